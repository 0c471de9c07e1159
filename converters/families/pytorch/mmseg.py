"""mmsegmentation: FCN, PSPNet, DeepLabV3 and V3+ at output stride 8 (its "D8"), and UPerNet, on bottleneck ResNets.

Source of the facts: https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/resnet.py,
mmseg/models/decode_heads/fcn_head.py, psp_head.py, aspp_head.py, sep_aspp_head.py,
uper_head.py and configs/_base_/models/*_r50*.py. Its ResNet-18 is not here: it dilates only the first convolution of
each block. Its "d6" and "mg124" files have the same tensors and other rates.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import FEATURES, HEAD, network, trunk
from converters.names.tables import Ignored, Row
from converters.types import Shapes
from tfseg import specs

# In mmsegmentation "r50b" is plain, and "r50" has a stem of three 3x3 convolutions (V1c).
_BACKBONES = tuple(f"resnet{depth}{letter}" for depth in (50, 101, 152) for letter in ("c", "", "d"))
ASSUMED = (
    "the tensors do not tell whether maps are enlarged with aligned corners, as in files for images of 769 pixels, or "
    "other rates: the corners are not aligned here. The configuration in the meta of a training file is read"
)
UNREAD_AUX = ((r"auxiliary_head\..*", "the second head, which only training reads"),)


def modules(rows: Iterable[tuple[str, str]]) -> Iterator[Row]:
    """The rows of convolution and norm for each of mmcv's modules.

    Args:
        rows: name of the module, beginning of the layers' names.
    """
    for source, target in rows:
        yield f"{source}.conv", f"{target}_conv", "conv"
        yield f"{source}.bn", f"{target}_bn", "norm"


_AUX = (
    *modules([("auxiliary_head.convs.0", "aux_head")]),
    ("auxiliary_head.conv_seg", "aux_logits", "conv"),
)
_FCN = (
    *modules(
        [
            ("decode_head.convs.0", "head"),
            ("decode_head.convs.1", "head_2"),
            ("decode_head.conv_cat", "head_cat"),
        ]
    ),
    ("decode_head.conv_seg", "logits", "conv"),
)
_DEEPLABV3 = (
    *modules(
        [
            ("decode_head.image_pool.1", "aspp_pool"),
            ("decode_head.aspp_modules.{i}", "aspp_{i}"),
            ("decode_head.bottleneck", "aspp_project"),
        ]
    ),
    ("decode_head.conv_seg", "logits", "conv"),
)


def mmcv_separable(source: str, target: str) -> tuple[Row, ...]:
    """The rows of mmcv's depthwise separable convolution, which has a norm after each of its two kernels."""
    return (
        (f"{source}.depthwise_conv.conv", f"{target}_depthwise", "depthwise"),
        (f"{source}.depthwise_conv.bn", f"{target}_depthwise_bn", "norm"),
        (f"{source}.pointwise_conv.conv", f"{target}_conv", "conv"),
        (f"{source}.pointwise_conv.bn", f"{target}_bn", "norm"),
    )


_DEEPLABV3PLUS = (
    *modules(
        [
            ("decode_head.image_pool.1", "aspp_pool"),
            ("decode_head.aspp_modules.0", "aspp_0"),
            ("decode_head.bottleneck", "aspp_project"),
            ("decode_head.c1_bottleneck", "low_level"),
        ]
    ),
    *mmcv_separable("decode_head.aspp_modules.{i}", "aspp_{i}"),
    *mmcv_separable("decode_head.sep_bottleneck.{i}", "decoder_{i+1}"),
    ("decode_head.conv_seg", "logits", "conv"),
)
_BINS = (1, 2, 3, 6)
_PSPNET = (
    *modules(
        [
            *((f"decode_head.psp_modules.{index}.1", f"ppm_{bins}") for index, bins in enumerate(_BINS)),
            ("decode_head.bottleneck", "head"),
        ]
    ),
    ("decode_head.conv_seg", "logits", "conv"),
)
# Its levels are counted from the finest there, and from the coarsest here.
_UPERNET = (
    *modules(
        [
            *((f"decode_head.psp_modules.{index}.1", f"psp_{bins}") for index, bins in enumerate(_BINS)),
            ("decode_head.bottleneck", "psp_out"),
            *((f"decode_head.lateral_convs.{index}", f"lateral_{2 - index}") for index in range(3)),
            *((f"decode_head.fpn_convs.{index}", f"fpn_{2 - index}") for index in range(3)),
            ("decode_head.fpn_bottleneck", "fusion"),
        ]
    ),
    ("decode_head.conv_seg", "logits", "conv"),
)
_FCN_CONV = "decode_head.convs.0.conv.weight"
_BOTTLENECK = "decode_head.bottleneck.conv.weight"


def _read_fcn(shapes: Shapes) -> dict[str, Any]:
    """Sizes of the two convolutions: channels, which divide those of the features, and kernels."""
    if _FCN_CONV not in shapes:
        return {}
    filters, features, kernel = shapes[_FCN_CONV][:3]
    return {"head_kernel": kernel} | ({"head_reduction": features // filters} if features % filters == 0 else {})


def _read_filters(shapes: Shapes) -> dict[str, Any]:
    return {"filters": shapes[_BOTTLENECK][0]} if _BOTTLENECK in shapes else {}


def _read_pspnet(shapes: Shapes) -> dict[str, Any]:
    filters = shapes[_BOTTLENECK][0] if _BOTTLENECK in shapes else 512
    return {"filters": filters, "branch_filters": filters}


def _read_deeplabv3plus(shapes: Shapes) -> dict[str, Any]:
    keys = {"filters": _BOTTLENECK, "low_level_filters": "decode_head.c1_bottleneck.conv.weight"}
    return {option: shapes[key][0] for option, key in keys.items() if key in shapes}


def on_resnets(
    title: str, head: Iterable[Row], options: dict[str, Any], ignored: Iterable[Ignored] = (), **fields: Any
) -> Iterator[FamilyNetwork]:
    """The networks of one head on all ResNets.

    Args:
        title: name of the head in `tfseg.build`.
        head: rows of the heads.
        options: options of `tfseg.build`.
        ignored: `(regular expression, why)` of keys that are left out, besides the counters of batches.
        fields: further fields of the records.
    """
    for name in _BACKBONES:
        spec = specs.RESNETS[name]
        shortcut = {"average_shortcut": "none"} if spec.average_shortcut else {}
        rows = [*trunk(spec, "backbone.", stem="stem"), *head]
        fields.setdefault("assumed", ASSUMED)
        yield network(f"{title}_{name}", spec, rows, ignored, options=options | shortcut, **fields)


MMSEG = Family(
    name="open-mmlab/mmsegmentation",
    covers="FCN, PSPNet, DeepLabV3 and V3+, D8, on ResNet-50, -101 and -152: V1c, plain (b) and V1d; auxiliary head",
    files="https://mmsegmentation.readthedocs.io/en/latest/model_zoo.html",
    proof="mmsegmentation, 4.2e-6",
    source="https://github.com/open-mmlab/mmsegmentation",
    license="Apache-2.0",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=(
        *on_resnets("fcn", (*_FCN, *_AUX), {"convs": 2, "concat": True}, read=_read_fcn),
        *on_resnets("pspnet", (*_PSPNET, *_AUX), {}, read=_read_pspnet),
        *on_resnets(
            "deeplabv3",
            (*_DEEPLABV3, *_AUX),
            {"filters": 512, "pool_first": True, "project_kernel": 3, "head_kernel": None},
            read=_read_filters,
        ),
        *on_resnets(
            "deeplabv3plus",
            (*_DEEPLABV3PLUS, *_AUX),
            {"pool_first": True, "project_kernel": 3, "decoder_convs": 2, "depthwise_norm": True},
            read=_read_deeplabv3plus,
            requires={"decode_head.c1_bottleneck.conv.weight": ""},
        ),
    ),
    classes="decode_head.conv_seg.weight",
    aux="auxiliary_head.conv_seg.weight",
    head=HEAD,
    features=FEATURES,
    trunk={"output_stride": 32},
    options={"output_stride": 8, "convention": "previous"},
    conventions=("previous",),
    datasets=("voc", "cityscapes", "ade20k"),
    ends_at_logits=True,
)

# Its files have the second head, too, which only training reads.
MMSEG_UPERNET = dataclasses.replace(
    MMSEG,
    name="open-mmlab/mmsegmentation/upernet",
    covers="UPerNet on ResNet-50, -101 and -152: V1c, plain (b) and V1d",
    proof="mmsegmentation, 5.6e-6",
    networks=tuple(
        on_resnets(
            "upernet",
            _UPERNET,
            {"normalize": False, "upsampling": "bilinear", "taps": ("conv2", "conv3", "conv4", "conv5")},
            UNREAD_AUX,
            read=_read_filters,
            requires={"decode_head.fpn_bottleneck.conv.weight": ""},
            dilates=False,
        )
    ),
    aux=None,
    options={"output_stride": 32},
    dilates=False,
)
