"""bubbliiiing/deeplabv3-plus-pytorch: DeepLabV3+ on MobileNetV2 and Xception; and his PSPNet and U-Net.

Source of the facts: https://github.com/bubbliiiing/deeplabv3-plus-pytorch: nets/deeplabv3_plus.py, nets/mobilenetv2.py,
nets/xception.py and utils/utils.py; https://github.com/bubbliiiing/pspnet-pytorch: nets/pspnet.py;
https://github.com/bubbliiiing/unet-pytorch: nets/unet.py, nets/vgg.py and nets/resnet.py.
"""

import dataclasses
import functools
from typing import Any

from converters.families import variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.pytorch.mobilenet_names import mobilenet_v2_variables, plain_mobilenet_v2
from converters.families.pytorch.torchvision import vgg_features
from converters.families.pytorch.xception_names import named_xception, xception_variables
from converters.families.pytorch.yassouali import PSPNET_HEAD
from converters.families.trunks import network, trunk
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_SOURCE = "https://github.com/bubbliiiing/deeplabv3-plus-pytorch"
_ASSUMED = (
    "the tensors do not tell the output stride: it is 16 here, the default of downsample_factor. If the network was "
    "trained with 8, give output_stride=8 (--output_stride=8)"
)


def _head() -> tuple[Row, ...]:
    rows: list[Row] = []
    for convolution, norm, target in (
        *((f"aspp.branch{index + 1}.0", f"aspp.branch{index + 1}.1", f"aspp_{index}") for index in range(4)),
        ("aspp.branch5_conv", "aspp.branch5_bn", "aspp_pool"),
        ("aspp.conv_cat.0", "aspp.conv_cat.1", "aspp_project"),
        ("shortcut_conv.0", "shortcut_conv.1", "low_level"),
        ("cat_conv.0", "cat_conv.1", "decoder_1"),
        ("cat_conv.4", "cat_conv.5", "decoder_2"),
    ):
        rows += [(convolution, f"{target}_conv", "conv"), (norm, f"{target}_bn", "norm")]
    return *rows, ("cls_conv", "logits", "conv")


_OPTIONS: dict[str, Any] = {
    "separable": False,
    "decoder_convs": 2,
    "biases": True,
    "upsampling": "bilinear_align_corners",
}

DEEPLABV3PLUS = Family(
    name="bubbliiiing/deeplabv3-plus-pytorch",
    covers="DeepLabV3+ on MobileNetV2 and Xception",
    files=_SOURCE,
    proof="its code, 2.3e-6",
    source=_SOURCE,
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="unit",
    networks=(
        FamilyNetwork(
            "deeplabv3plus_mobilenet_v2",
            table((*plain_mobilenet_v2("backbone."), *_head()), (COUNTER,)),
            "backbone.features.0.0.weight",
            mobilenet_v2_variables,
            public="mobilenet",
            requires={"cls_conv.weight": ""},
            assumed_stride=_ASSUMED,
            options={**_OPTIONS, "top_conv": False, "low_level": "block3_add"},
        ),
        FamilyNetwork(
            "deeplabv3plus_xception65",
            table((*named_xception("backbone"), *_head()), (COUNTER,)),
            "backbone.conv1.weight",
            xception_variables,
            complete=r"(stem|block\d+)_.*",
            public="xception",
            requires={"cls_conv.weight": ""},
            assumed_stride=_ASSUMED,
            # The decoder reads the second separable convolution of a block before the next one's ReLU.
            options={**_OPTIONS, "form": "bubbliiiing", "low_level": "block2_2_bn"},
        ),
    ),
    classes="cls_conv.weight",
    head=r"(?!(stem|block\d+)_).*",
    features=r"block17_project_bn|block21_3_relu",
    options={"output_stride": 16},
    conventions=("previous",),
    datasets=("voc",),
)


def _read_pspnet(shapes: Shapes) -> dict[str, Any]:
    keys = {"filters": "master_branch.0.bottleneck.0.weight", "aux_filters": "auxiliary_branch.0.weight"}
    return {option: shapes[key][0] for option, key in keys.items() if key in shapes}


_PSPNET: dict[str, Any] = {
    "read": _read_pspnet,
    "requires": {"master_branch.1.weight": ""},
    "assumed_stride": _ASSUMED,
}

PSPNET = dataclasses.replace(
    DEEPLABV3PLUS,
    name="bubbliiiing/pspnet-pytorch",
    covers="PSPNet on ResNet-50 with a deep stem and on MobileNetV2, auxiliary head",
    files="https://github.com/bubbliiiing/pspnet-pytorch",
    source="https://github.com/bubbliiiing/pspnet-pytorch",
    networks=(
        network(
            "pspnet_resnet50s",
            specs.RESNETS["resnet50s"],
            (*trunk(specs.RESNETS["resnet50s"], "backbone.", "numbered"), *PSPNET_HEAD),
            public="resnet50",
            **_PSPNET,
        ),
        FamilyNetwork(
            "pspnet_mobilenet_v2",
            table((*plain_mobilenet_v2("backbone."), *PSPNET_HEAD), (COUNTER,)),
            "backbone.features.0.0.weight",
            mobilenet_v2_variables,
            public="mobilenet",
            aux_layer="block13_add",
            options={"top_conv": False},
            **_PSPNET,
        ),
    ),
    classes="master_branch.1.weight",
    aux="auxiliary_branch.4.weight",
    head=r"(?!(conv[1-5]|stem|block\d+)_).*",
    features=r"conv5_block\d+_out|block17_project_bn",
    options={"output_stride": 16, "upsampling": "bilinear_align_corners"},
    proof="its code, 4.0e-6",
)

_UNET_OPTIONS: dict[str, Any] = {
    "norms": False,
    "skip_first": True,
    "head_kernel": 1,
    "interpolation": "bilinear_align_corners",
}


def _unet_rows(steps: int) -> tuple[Row, ...]:
    """The rows of the decoder, which counts its steps down.

    Args:
        steps: number of steps; the last one of five is a sequence.
    """
    places = [(f"up_concat{4 - step}.conv{index}", step, index) for step in range(4) for index in (1, 2)]
    places += [(f"up_conv.{2 * index - 1}", step, index) for step in range(4, steps) for index in (1, 2)]
    return *((source, f"decoder_{step}_conv{index}_conv", "conv") for source, step, index in places), (
        "final",
        "logits",
        "conv",
    )


def _read_unet(shapes: Shapes) -> dict[str, Any]:
    keys = [*(f"up_concat{index}.conv1.weight" for index in (4, 3, 2, 1)), "up_conv.1.weight"]
    return {"filters": tuple(shapes[key][0] for key in keys if key in shapes)}


_UNET: dict[str, Any] = {"requires": {"up_concat1.conv1.weight": ""}, "read": _read_unet}

UNET = dataclasses.replace(
    PSPNET,
    name="bubbliiiing/unet-pytorch",
    covers="U-Net on VGG16 and on ResNet-50",
    files="https://github.com/bubbliiiing/unet-pytorch",
    source="https://github.com/bubbliiiing/unet-pytorch",
    networks=(
        FamilyNetwork(
            "unet_vgg16",
            table((*vgg_features(16, False, "vgg."), *_unet_rows(4)), (COUNTER,)),
            "vgg.features.0.weight",
            functools.partial(variables.vgg, depth=16),
            public="vgg",
            options={
                **_UNET_OPTIONS,
                "taps": tuple(f"relu{stage}_{count}" for stage, count in enumerate(specs.VGG_CONVS[16], 1)),
            },
            **_UNET,
        ),
        network(
            "unet_resnet50",
            dataclasses.replace(specs.RESNETS["resnet50"], stem_pool=(0, 1)),
            (*trunk(specs.RESNETS["resnet50"], "resnet."), *_unet_rows(5)),
            public="resnet50",
            options={**_UNET_OPTIONS, "stem_pool": (0, 1)},
            **_UNET,
        ),
    ),
    classes="final.weight",
    aux=None,
    head=r"(?!conv[1-5]_).*",
    features=r"conv5_block\d+_out|relu5_3",
    options={},
    dilates=False,
    conventions=(),
    multiple_of=32,
    proof="its code, 5.2e-6",
)
