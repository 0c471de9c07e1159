"""Caffe's DeepLabs on VGG16: LargeFOV, the reduced VGG16 that it begins from, and DeepLabV2's four branches.

Source of the facts: https://github.com/meng-tang/rloss, exper/pascal_scribble/config/, where
deeplab_largeFOV/test.prototxt and deeplab_vgg16/test.prototxt are the authors' networks in use. For the reduced VGG16:
https://gist.github.com/weiliu89/2ed6e13bfd5b57cf81d6.
"""

import functools
from typing import Any

from converters.families import variables
from converters.families.family import Family, FamilyNetwork
from converters.names.tables import Row, table

_CONVS = ("conv{s}_{i}", "conv{s}_{i}", "conv")


def _network(name: str, rows: tuple[Row, ...], branches: tuple[str, ...]) -> FamilyNetwork:
    convolutions = functools.partial(variables.deeplab_vgg, branches=branches)
    return FamilyNetwork(name, table((_CONVS, *rows)), "conv1_1.weight", convolutions)


_FIELDS: dict[str, Any] = {
    "source": "https://github.com/meng-tang/rloss",
    "license": "BSD-2-Clause",
    "formats": ("Caffe",),
    "preprocessing": "deeplab",
    "head": r"fc[678].*",
    "features": r"pool5a?",
    "dilates": False,
    "conventions": (),
    "datasets": ("voc",),
}

LARGEFOV = Family(
    name="liangchiehchen/deeplab_largefov",
    covers="DeepLab-LargeFOV on VGG16, and `VGG_ILSVRC_16_layers_fc_reduced.caffemodel`, from which it begins (its "
    "scores are then new)",
    files="http://liangchiehchen.com/projects/Init%20Models.html",
    networks=(
        _network(
            "deeplab_largefov",
            # Only the reduced VGG16 has ImageNet's scores, fc8; no segmenter has a place for them.
            (("fc{i}", "fc{i}", "conv"), ("fc8_voc12", "fc8_score", "conv")),
            ("fc6",),
        ),
    ),
    classes="fc8_voc12.weight",
    proof="OpenCV, 7.0e-7",
    **_FIELDS,
)

ASPP = Family(
    name="liangchiehchen/deeplabv2_vgg16",
    covers="DeepLabV2 on VGG16, four branches summed",
    files="http://liangchiehchen.com/projects/DeepLabv2_vgg.html",
    networks=(
        _network(
            "deeplabv2_vgg16",
            (("fc8_voc12_{i}", "fc8_score_{i}", "conv"), ("fc{n}_{i}", "fc{n}_{i}", "conv")),
            tuple(f"fc6_{index}" for index in range(1, 5)),
        ),
    ),
    classes="fc8_voc12_1.weight",
    proof="OpenCV, 7.7e-7",
    **_FIELDS,
)
