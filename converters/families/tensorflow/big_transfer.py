"""Google's Big Transfer (BiT): ResNetV2 with GroupNorm and standardized kernels, in NumPy archives.

Source of the facts: https://github.com/google-research/big_transfer, bit_pytorch/models.py and bit_pytorch/train.py.
"""

import functools
from collections.abc import Iterator

from converters.families import further_variables
from converters.families.family import Family, FamilyNetwork
from converters.names.tables import Row, table
from tfseg import specs

_CONV = "standardized_conv2d"


def _rows() -> Iterator[Row]:
    yield f"resnet/root_block/{_CONV}", "conv0", "keras_conv"
    # Units are counted with two digits, up to 36.
    for written, counted in (("3", "3"), ("2", "2"), ("1", "1"), ("0", "")):
        unit, target = f"resnet/block{{s}}/unit{written}{{b}}", f"stage{{s}}_unit{counted}{{b}}"
        yield f"{unit}/a/proj/{_CONV}", f"{target}_sc", "keras_conv"
        yield f"{unit}/{{c:a}}/{_CONV}", f"{target}_conv{{c}}", "keras_conv"
        yield f"{unit}/{{c:a}}/group_norm", f"{target}_gn{{c}}", "keras_group_norm"
    yield "resnet/group_norm", "gn1", "keras_group_norm"
    yield "resnet/head/conv2d", "predictions", "keras_dense1x1"


BIT = Family(
    name="google-research/big_transfer",
    source="https://github.com/google-research/big_transfer",
    license="Apache-2.0",
    covers="Big Transfer: R50x1, R50x3, R101x1, R101x3, R152x2 and R152x4 (`BiT-M-R50x1.npz`, "
    "`BiT-M-R50x1-ILSVRC2012.npz`)",
    files="https://github.com/google-research/big_transfer#available-models",
    formats=("NumPy npz",),
    preprocessing="inception",
    networks=tuple(
        FamilyNetwork(
            name,
            table(tuple(_rows())),
            f"resnet/root_block/{_CONV}/kernel",
            functools.partial(further_variables.resnetv2, spec=spec),
            complete=r"stage\d_.*|conv0",
        )
        for name, spec in specs.PREACTIVATION_RESNETS.items()
        if spec.standardized
    ),
    classes="resnet/head/conv2d/kernel",
    head=r"predictions/.*",
    proof="timm, which loads these files, 5.5e-6",
)
