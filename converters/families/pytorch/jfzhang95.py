"""jfzhang95/pytorch-deeplab-xception: DeepLabV3+ on ResNet-101, MobileNetV2, Xception and DRN-D-54.

Source of the facts: https://github.com/jfzhang95/pytorch-deeplab-xception: modeling/deeplab.py, aspp.py, decoder.py and
backbone/*.py. The ReLUs of its Xception overwrite their inputs, so that the shortcuts read what is behind them.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from converters.families import variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.pytorch.drn import drn_rows
from converters.families.pytorch.mobilenet_names import in_two_parts, mobilenet_v2_variables, plain_mobilenet_v2
from converters.families.pytorch.xception_names import cadenes_xception, xception_variables
from converters.families.trunks import network, trunk
from converters.names.tables import Row, table
from tfseg import specs

_SOURCE = "https://github.com/jfzhang95/pytorch-deeplab-xception"
_ASSUMED = (
    "the tensors do not tell the output stride: it is 16 here, the default of its train.py. If the network was trained "
    "with --out-stride 8, give output_stride=8 (--output_stride=8)"
)


def _head() -> tuple[Row, ...]:
    rows: list[Row] = []
    for branch in range(4):
        rows += [
            (f"aspp.aspp{branch + 1}.atrous_conv", f"aspp_{branch}_conv", "conv"),
            (f"aspp.aspp{branch + 1}.bn", f"aspp_{branch}_bn", "norm"),
        ]
    for convolution, norm, target in (
        ("aspp.global_avg_pool.1", "aspp.global_avg_pool.2", "aspp_pool"),
        ("aspp.conv1", "aspp.bn1", "aspp_project"),
        ("decoder.conv1", "decoder.bn1", "low_level"),
        ("decoder.last_conv.0", "decoder.last_conv.1", "decoder_1"),
        ("decoder.last_conv.4", "decoder.last_conv.5", "decoder_2"),
    ):
        rows += [(convolution, f"{target}_conv", "conv"), (norm, f"{target}_bn", "norm")]
    return *rows, ("decoder.last_conv.8", "logits", "conv")


_TWICE = (r"backbone\.features\..*", "the same tensors as in low_level_features and high_level_features")
_OPTIONS = {
    "separable": False,
    "decoder_convs": 2,
    "upsampling": "bilinear_align_corners",
}


def _networks() -> Iterator[FamilyNetwork]:
    head = _head()
    fields: dict[str, Any] = {"requires": {"decoder.last_conv.8.weight": ""}, "assumed_stride": _ASSUMED}
    rows = (*trunk(specs.RESNETS["resnet101"], "backbone."), *head)
    yield network(
        "deeplabv3plus_resnet101",
        specs.RESNETS["resnet101"],
        rows,
        public="resnet",
        options={**_OPTIONS, "convention": "new", "multi_grid": (1, 2, 4)},
        **fields,
    )
    yield FamilyNetwork(
        "deeplabv3plus_mobilenet_v2",
        table((*in_two_parts(plain_mobilenet_v2("backbone.")), *head), (COUNTER, _TWICE)),
        "backbone.low_level_features.0.0.weight",
        mobilenet_v2_variables,
        public="mobilenet",
        options={**_OPTIONS, "top_conv": False, "pad_first": True, "late_rates": True, "low_level": "block3_add"},
        **fields,
    )
    yield FamilyNetwork(
        "deeplabv3plus_xception65",
        table((*cadenes_xception("backbone"), *head), (COUNTER,)),
        "backbone.conv1.weight",
        xception_variables,
        complete=r"(stem|block\d+)_.*",
        public="xception",
        options={**_OPTIONS, "form": "jfzhang95", "convention": "one", "low_level": "block2_1_before"},
        **fields,
    )


JFZHANG95 = Family(
    name="jfzhang95/pytorch-deeplab-xception",
    covers="DeepLabV3+ on ResNet-101, MobileNetV2 and Xception",
    files=_SOURCE,
    proof="its code, 2.9e-6",
    source=_SOURCE,
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(_networks()),
    classes="decoder.last_conv.8.weight",
    head=r"(?!(conv[1-5]|stem|block\d+)_).*",
    features=r"conv5_block\d+_out|block17_project_bn|block21_3_relu",
    options={"output_stride": 16},
    conventions=(),
    datasets=("voc", "cityscapes"),
)

# Its stride is 8, and its rates are those of stride 8, whatever --out-stride said.
DRN = dataclasses.replace(
    JFZHANG95,
    name="jfzhang95/pytorch-deeplab-xception/drn",
    covers="DeepLabV3+ on DRN-D-54",
    proof="its code, 4.3e-6",
    networks=(
        FamilyNetwork(
            "deeplabv3plus_drn_d_54",
            table(
                (*((f"backbone.{source}", layer, kind) for source, layer, kind in drn_rows("D", False)), *_head()),
                (COUNTER,),
            ),
            "backbone.layer0.0.weight",
            functools.partial(variables.drn, spec=specs.DRNS["drn_d_54"]),
            public="drn",
            requires={"decoder.last_conv.8.weight": ""},
            options={**_OPTIONS, "low_level": "level3_block3_out"},
            dilates=False,
        ),
    ),
    head=r"(?!level\d_).*",
    features=r"level8_block\d+_\d_relu",
    options={},
    dilates=False,
)
