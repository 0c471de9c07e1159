"""PSPNet in Caffe, by the authors.

Source of the facts: https://github.com/hszhao/PSPNet: evaluation/prototxt/*.
"""

import dataclasses
from typing import Any

from converters.families.family import Family
from converters.families.trunks import FEATURES, HEAD, network
from converters.names.tables import Row
from tfseg import specs


def _psp_rows(conv: str, target: str) -> tuple[Row, Row]:
    """The rows of a convolution and of the one normalizing layer that this fork of Caffe has."""
    return (conv, f"{target}_conv", "conv"), (f"{conv}/bn", f"{target}_bn", "bn")


PSPNET_ROWS = (
    *_psp_rows("conv1_1_3x3_s2", "conv1_1"),
    *(row for index in (2, 3) for row in _psp_rows(f"conv1_{index}_3x3", f"conv1_{index}")),
    *(
        row
        for part, index in (("1x1_proj", 0), ("1x1_reduce", 1), ("3x3", 2), ("1x1_increase", 3))
        for row in _psp_rows(f"conv{{s}}_{{b}}_{part}", f"conv{{s}}_block{{b}}_{index}")
    ),
    *_psp_rows("conv5_3_pool{n}_conv", "ppm_{n}"),
    *_psp_rows("conv5_4", "head"),
    ("conv6", "logits", "conv"),
)


_PSPNET_STEM: dict[str, Any] = {"stem": (64, 64, 128), "stride_in": "1x1", "stem_pool": (1, 2)}


_STRIDES: dict[str, dict[str, Any]] = {"resnet50": {}, "resnet101": {"stride_in": "3x3"}}

PSPNET = Family(
    name="hszhao/PSPNet",
    source="https://github.com/hszhao/PSPNet",
    license="BSD-2-Clause",
    covers="PSPNet on ResNet-50 and -101, the original: its poolings are those of images of 473 or 713 pixels",
    files="https://github.com/hszhao/PSPNet",
    formats=("Caffe",),
    preprocessing="caffe",
    # The network of ADE20K strides in a 1x1, those of VOC and Cityscapes in the 3x3 after it.
    networks=tuple(
        network(
            f"pspnet_{name}",
            dataclasses.replace(specs.RESNETS[name], stem=_PSPNET_STEM["stem"]),
            PSPNET_ROWS,
            options=options,
        )
        for name, options in _STRIDES.items()
    ),
    classes="conv6.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "convention": "new",
        "order": "reversed",
        "upsampling": "bilinear_align_corners",
    }
    | _PSPNET_STEM,
    conventions=("new",),
    datasets=("voc", "cityscapes", "ade20k"),
    proof="OpenCV, 2.7e-6",
)
