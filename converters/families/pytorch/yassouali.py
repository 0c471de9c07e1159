"""yassouali/pytorch-segmentation: DeepLabV3+ and PSPNet on ResNets.

Source of the facts: https://github.com/yassouali/pytorch-segmentation: models/deeplabv3_plus.py, pspnet.py, resnet.py
and dataloaders/voc.py. Its ResNet-18 and -34 are not here: they dilate both convolutions of each block.
"""

import dataclasses
from typing import Any

from converters.families.family import Family
from converters.families.light_trunks import unit
from converters.families.trunks import FEATURES, HEAD, network, renamed, trunk
from converters.names.tables import Row
from converters.types import Shapes
from tfseg import specs

_DEPTHS = (50, 101, 152)
_MEANS = (
    "mean and deviation are those of its PASCAL VOC; its other data sets have others, for which give preprocessing= "
    "with the numbers of its dataloaders"
)
_STRIDE = "the tensors do not tell the output stride: it is 16, the default; for its other one give output_stride=8"

_DEEPLAB_HEAD: tuple[Row, ...] = (
    *(row for branch in range(4) for row in unit(f"ASSP.aspp{branch + 1}", f"aspp_{branch}")),
    *unit("ASSP.avg_pool", "aspp_pool", "1", "2"),
    *unit("ASSP", "aspp_project", "conv1", "bn1"),
    *unit("decoder", "low_level", "conv1", "bn1"),
    *unit("decoder.output", "decoder_1", "0", "1"),
    *unit("decoder.output", "decoder_2", "3", "4"),
    ("decoder.output.7", "logits", "conv"),
)
# The stem lies in a sequence with its pooling.
_LAYER0 = {"backbone.conv1": "backbone.layer0.0", "backbone.bn1": "backbone.layer0.1"}

DEEPLABV3PLUS = Family(
    name="yassouali/pytorch-segmentation/deeplabv3plus",
    covers="DeepLabV3+ on ResNet-50, -101 and -152",
    files="https://github.com/yassouali/pytorch-segmentation",
    proof="its code, 1.6e-6",
    source="https://github.com/yassouali/pytorch-segmentation",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="yassouali_voc",
    networks=tuple(
        network(
            f"deeplabv3plus_resnet{depth}",
            specs.RESNETS[f"resnet{depth}"],
            (*renamed(trunk(specs.RESNETS[f"resnet{depth}"], "backbone."), _LAYER0), *_DEEPLAB_HEAD),
            requires={"ASSP.conv1.weight": "decoder.output.7.weight"},
            assumed=_MEANS,
            assumed_stride=_STRIDE,
        )
        for depth in _DEPTHS
    ),
    classes="decoder.output.7.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 16,
        "convention": "new",
        "separable": False,
        "decoder_convs": 2,
        "low_level_first": True,
        "upsampling": "bilinear_align_corners",
    },
    conventions=("new",),
    datasets=("voc", "cityscapes", "ade20k"),
)

_PYRAMID = "master_branch.0"
_PSPNET_HEAD: tuple[Row, ...] = (
    *(row for i, bins in enumerate((1, 2, 3, 6)) for row in unit(f"{_PYRAMID}.stages.{i}", f"ppm_{bins}", "1", "2")),
    *unit(f"{_PYRAMID}.bottleneck", "head"),
    ("master_branch.1", "logits", "conv"),
    *unit("auxiliary_branch", "aux_head"),
    ("auxiliary_branch.4", "aux_logits", "conv"),
)


def _read_pspnet(shapes: Shapes) -> dict[str, Any]:
    key = f"{_PYRAMID}.bottleneck.0.weight"
    return {"filters": shapes[key][0]} if key in shapes else {}


PSPNET = dataclasses.replace(
    DEEPLABV3PLUS,
    name="yassouali/pytorch-segmentation/pspnet",
    covers="PSPNet on ResNet-50, -101 and -152 with a deep stem, auxiliary head",
    proof="its code, 4.0e-6",
    networks=tuple(
        network(
            f"pspnet_resnet{depth}s",
            specs.RESNETS[f"resnet{depth}s"],
            (*trunk(specs.RESNETS[f"resnet{depth}s"], stem="initial"), *_PSPNET_HEAD),
            read=_read_pspnet,
            assumed=_MEANS,
        )
        for depth in _DEPTHS
    ),
    classes="master_branch.1.weight",
    aux="auxiliary_branch.4.weight",
    options={
        "output_stride": 8,
        "convention": "previous",
        "aux_reduction": 2,
        "bin_upsampling": "bilinear_align_corners",
    },
    conventions=("previous",),
    dilates=False,
)
