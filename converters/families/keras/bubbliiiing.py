"""bubbliiiing's DeepLabV3+, PSPNet and U-Net for Keras. Layers of the decoders have no names: Keras counts them.

Source of the facts: https://github.com/bubbliiiing/deeplabv3-plus-keras: nets/deeplab.py, nets/mobilenet.py,
nets/Xception.py and utils/utils.py; https://github.com/bubbliiiing/pspnet-keras: nets/*.py;
https://github.com/bubbliiiing/unet-keras: nets/*.py.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from converters.families import light_variables, variables
from converters.families.family import FamilyNetwork
from converters.families.keras import applications, bonlime, qubvel
from converters.families.tensorflow import deeplab
from converters.families.trunks import network
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_SOURCE = "https://github.com/bubbliiiing/deeplabv3-plus-keras"
_STRIDE = (
    "the tensors do not tell the output stride: it is 16 here, the default of downsample_factor. If the network was "
    "trained with 8, give output_stride=8 (--output_stride=8)"
)
# Keras counts layers without a name; the logits are the only convolution among them.
_LOGITS: tuple[Row, ...] = tuple((name, "logits", "keras_conv") for name in ("conv2d", "conv2d_{n}"))


def _nothing(shapes: Shapes) -> Mapping[str, Any]:
    return {}


def _network(name: str, trunk: tuple[Row, ...], **fields: Any) -> FamilyNetwork:
    (other,) = (network for network in deeplab.DEEPLAB.networks if network.name == name)
    rows = (*trunk, *(row for row in bonlime.DECODER if row[1] != "logits"), *_LOGITS)
    requires = {"feature_projection0/kernel": "", "aspp1_depthwise_BN/gamma": ""}
    fields = {"assumed": "", "assumed_stride": _STRIDE, **fields}
    return dataclasses.replace(other, read=_nothing, table=table(rows), requires=requires, **fields)


_OPTIONS = {network.name: network.options for network in deeplab.DEEPLAB.networks}

DEEPLAB = dataclasses.replace(
    bonlime.DEEPLAB,
    name="bubbliiiing/deeplabv3-plus-keras",
    source=_SOURCE,
    license="MIT",
    covers="DeepLabV3+ on MobileNetV2 and Xception-65 for Keras (`deeplabv3_mobilenetv2.h5`, `deeplabv3_xception.h5`)",
    files=f"{_SOURCE}/releases",
    networks=(
        _network(
            "deeplabv3plus_mobilenet_v2",
            bonlime.MOBILENET,
            first="Conv/kernel",
            # The decoder reads the third block after its sum.
            options={**_OPTIONS["deeplabv3plus_mobilenet_v2"], "low_level": "block3_add"},
        ),
        _network(
            "deeplabv3plus_xception65",
            bonlime.XCEPTION,
            first="entry_flow_conv1_1/kernel",
            options={**_OPTIONS["deeplabv3plus_xception65"], "stem_same": True},
        ),
    ),
    classes="conv2d/kernel",
    datasets=("voc",),
    proof="its code, 2.5e-7",
)

# --------------------------------------------------------------------------------------------------------------- PSPNet

_PSPNET = "https://github.com/bubbliiiing/pspnet-keras"
_BINS = (1, 2, 3, 6)
_PYRAMID: tuple[Row, ...] = (
    *((f"conv2d_{place}", f"ppm_{bins}_conv", "keras_conv") for place, bins in enumerate(_BINS, 1)),
    *((f"batch_normalization_{place}", f"ppm_{bins}_bn", "keras_norm") for place, bins in enumerate(_BINS, 1)),
    ("conv2d_5", "head_conv", "keras_conv"),
    ("batch_normalization_5", "head_bn", "keras_norm"),
    ("conv2d_6", "logits", "keras_conv"),
)
_AUX = ((r"branch_.*", "the auxiliary head, which only training uses"),)
_DEEP_STEM: tuple[Row, ...] = (
    ("conv{i}", "conv1_{i}_conv", "keras_conv"),
    ("bn_conv{i}", "conv1_{i}_bn", "keras_norm"),
    *(row for row in applications.OLD_NAMES if row[0].startswith(("res", "bn{s}"))),
)
_POOLED: dict[str, Any] = {
    "requires": {"conv2d_6/kernel": "", "batch_normalization_5/gamma": ""},
    "assumed": qubvel.POOLING,
    "assumed_stride": _STRIDE,
}
_SPEC = dataclasses.replace(specs.RESNETS["resnet50"], stem=(64, 64, 128))

PSPNET = dataclasses.replace(
    DEEPLAB,
    name="bubbliiiing/pspnet-keras",
    source=_PSPNET,
    covers="PSPNet on ResNet-50 with a deep stem and on MobileNetV2 for Keras (`pspnet_resnet50.h5`, "
    "`pspnet_mobilenetv2.h5`)",
    files=f"{_PSPNET}/releases",
    preprocessing="unit",
    networks=(
        network(
            "pspnet_resnet50",
            _SPEC,
            (*_DEEP_STEM, *_PYRAMID),
            _AUX,
            # A dilated stage keeps the old rate in its first block; where it strides, its 1x1 convolution does.
            options={"stem": _SPEC.stem, "stride_in": "1x1_or_3x3", "epsilon": 1e-3, "filters": 512},
            **_POOLED,
        ),
        FamilyNetwork(
            "pspnet_mobilenet_v2",
            table((*bonlime.MOBILENET, *_PYRAMID), _AUX),
            "Conv/kernel",
            light_variables.mobilenet_v2_without_top,
            complete=r"(stem|block\d+|top)_.*",
            options={"top_conv": False, "padding": "same", "epsilon": 1e-3, "filters": 80},
            **_POOLED,
        ),
    ),
    classes="conv2d_6/kernel",
    head=r"(?!(conv[1-5]|stem|block\d+)_).*",
    features=r"conv5_block\d+_out|block17_project_bn",
    options={"output_stride": 16, "upsampling": "bilinear_align_corners", "head_epsilon": 1e-3},
    proof="a twin in Keras, 4.5e-6",
)

# ---------------------------------------------------------------------------------------------------------------- U-Net

_UNET = "https://github.com/bubbliiiing/unet-keras"
_FILTERS = (512, 256, 128, 64)


def _unet_rows(steps: int) -> tuple[Row, ...]:
    """The rows of a decoder: two convolutions a step, then the logits."""
    convs = [
        (f"conv2d_{2 * step + place}", f"decoder_{step}_conv{place}_conv", "keras_conv")
        for step in range(steps)
        for place in (1, 2)
    ]
    return *convs, (f"conv2d_{2 * steps + 1}", "logits", "keras_conv")


def _unet(name: str, rows: tuple[Row, ...], first: str, kernels: Any, steps: int, **options: Any) -> FamilyNetwork:
    last = f"conv2d_{2 * steps + 1}/kernel"
    filters = (*_FILTERS, _FILTERS[-1])[:steps]
    return FamilyNetwork(
        name,
        table((*rows, *_unet_rows(steps))),
        first,
        kernels,
        requires={last: ""},
        classes=last,
        assumed="the softmax that ends the model is left out: the logits come out",
        options={"norms": False, "skip_first": True, "head_kernel": 1, "filters": filters, **options},
    )


UNET = dataclasses.replace(
    DEEPLAB,
    name="bubbliiiing/unet-keras",
    source=_UNET,
    covers="U-Net on VGG16 and on ResNet-50 for Keras (`unet_vgg_voc.h5`, `unet_resnet_voc.h5`)",
    files=f"{_UNET}/releases",
    networks=(
        _unet(
            "unet_vgg16",
            (("block{s}_conv{i}", "conv{s}_{i}", "keras_conv"),),
            "block1_conv1/kernel",
            functools.partial(variables.vgg, depth=16),
            4,
            taps=tuple(f"relu{stage}_{count}" for stage, count in enumerate(specs.VGG_CONVS[16], 1)),
        ),
        _unet(
            "unet_resnet50",
            tuple(row for row in applications.OLD_NAMES if row[1] != "predictions"),
            "conv1/kernel",
            functools.partial(variables.resnet, spec=dataclasses.replace(specs.RESNETS["resnet50"], biases="all")),
            5,
            biases="all",
            epsilon=1e-3,
            stride_in="1x1",
        ),
    ),
    classes="conv2d_9/kernel",
    head=r"(?!conv[1-5]_).*",
    features=r"conv5_block\d+_out|relu5_3",
    options={},
    dilates=False,
    conventions=(),
    multiple_of=32,
    proof="its code, 0",
)
