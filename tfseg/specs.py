"""The numbers of the networks, and nothing else: whatever differs between two networks with the same tensor names.

Reference:

* VGG: https://arxiv.org/abs/1409.1556, table 1.
* FCN: https://arxiv.org/abs/1411.4038 and https://arxiv.org/abs/1605.06211.
* ResNet: https://arxiv.org/abs/1512.03385, table 1.
* ResNeXt: https://arxiv.org/abs/1611.05431.
* Wide ResNet: https://arxiv.org/abs/1605.07146.
* ResNeSt: https://arxiv.org/abs/2004.08955.
* SENet: https://arxiv.org/abs/1709.01507.
* ResNet-RS: https://arxiv.org/abs/2103.07579.
* Res2Net: https://arxiv.org/abs/1904.01169.
* CLIP: https://arxiv.org/abs/2103.00020.
* Blur pooling: https://arxiv.org/abs/1904.11486.
* DRN: https://arxiv.org/abs/1705.09914.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

# Users find them among these tables.
from tfseg.backbone_specs import DENSENETS as DENSENETS
from tfseg.backbone_specs import EFFICIENTNET_SIZES as EFFICIENTNET_SIZES
from tfseg.backbone_specs import EFFICIENTNET_STAGES as EFFICIENTNET_STAGES
from tfseg.backbone_specs import EFFICIENTNETS as EFFICIENTNETS
from tfseg.backbone_specs import HRNET_TOP as HRNET_TOP
from tfseg.backbone_specs import HRNETS as HRNETS
from tfseg.backbone_specs import MIT_PATCHES as MIT_PATCHES
from tfseg.backbone_specs import MITS as MITS
from tfseg.backbone_specs import MOBILENETS_V2 as MOBILENETS_V2
from tfseg.backbone_specs import MOBILENETS_V3 as MOBILENETS_V3
from tfseg.backbone_specs import PREACTIVATION_RESNETS as PREACTIVATION_RESNETS
from tfseg.backbone_specs import XCEPTION_FORMS as XCEPTION_FORMS
from tfseg.backbone_specs import XCEPTIONS as XCEPTIONS
from tfseg.backbone_specs import DenseNetSpec as DenseNetSpec
from tfseg.backbone_specs import EfficientNetSpec as EfficientNetSpec
from tfseg.backbone_specs import HRNetSpec as HRNetSpec
from tfseg.backbone_specs import HRNetStage as HRNetStage
from tfseg.backbone_specs import MiTSpec as MiTSpec
from tfseg.backbone_specs import PreActivationSpec as PreActivationSpec
from tfseg.backbone_specs import XceptionBlock as XceptionBlock
from tfseg.backbone_specs import XceptionForm as XceptionForm
from tfseg.backbone_specs import divisible as divisible
from tfseg.palettes import CLASSES as CLASSES
from tfseg.palettes import COLORS as COLORS
from tfseg.palettes import VOC_PALETTE as VOC_PALETTE

# ---------------------------------------------------------------------------------------------------------------- VGG

VGG_CONVS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}  # convolutions per stage
VGG_FILTERS = (64, 128, 256, 512, 512)
VGG_FC_UNITS = 4096
VGG_GRID = 7  # fc6 reads a 7x7 map
VGG_REDUCED_UNITS = 1024  # units of fc6 and fc7 in DeepLab, a quarter

VGGS = {f"vgg{depth}{'_bn' * bn}": (depth, bool(bn)) for depth in VGG_CONVS for bn in (0, 1)}

# ---------------------------------------------------------------------------------------------------------- FCN on VGG


class Upscore(NamedTuple):
    """One transposed convolution of an FCN: kernel twice its stride, bilinear at the start.

    Attributes:
        name: name of the layer.
        strides: output pixels per input pixel.
        skip: pooling whose scores are added to the result; None: the result is cropped to the input.
        scale: factor of that pooling in the at-once variant; None: no factor.
    """

    name: str
    strides: int
    skip: str | None
    scale: float | None = None


FCNS: dict[str, tuple[Upscore, ...]] = {
    "fcn32s": (Upscore("upscore", 32, None),),
    "fcn16s": (Upscore("upscore2", 2, "pool4"), Upscore("upscore16", 16, None)),
    "fcn8s": (Upscore("upscore2", 2, "pool4"), Upscore("upscore_pool4", 2, "pool3"), Upscore("upscore8", 8, None)),
    "fcn8s_atonce": (
        Upscore("upscore2", 2, "pool4", 0.01),
        Upscore("upscore_pool4", 2, "pool3", 0.0001),
        Upscore("upscore8", 8, None),
    ),
}

# --------------------------------------------------------------------------------------------------- DeepLab on VGG16

# The rate of each fc6, and whether the poolings end with an average of 3x3 pixels.
DEEPLAB_VGGS: dict[str, tuple[tuple[int, ...], bool]] = {
    "deeplab_largefov": ((12,), True),
    "deeplabv2_vgg16": ((6, 12, 18, 24), False),
}

# -------------------------------------------------------------------------------------------------------- plain U-Net

UNETS: dict[str, tuple[int, ...]] = {"plain_unet": (64, 128, 256, 512, 1024)}  # channels at each stride


@dataclasses.dataclass(frozen=True)
class UnetForm:
    """What differs between codes of the plain U-Net.

    Attributes:
        padding: zero pixels around the map that each 3x3 convolution reads; None: as many as keep the size. Without
            zeros finer maps are cropped to the enlarged ones, and the scores are enlarged to the image.
        decoder_norms: whether the convolutions of the decoder have BatchNorms.
        half_first: whether the first of two convolutions has half as many channels.
        pool_last: whether a stage pools after its convolutions, by the ceil rule, and not before them. Two more
            convolutions then follow the coarsest map.
        resize: whether an enlarged map of another size than the finer one is resized to it; if not, it gets a row or
            column of zeros.
    """

    padding: int | None = None
    decoder_norms: bool = True
    half_first: bool = False
    pool_last: bool = False
    resize: bool = False


UNET_FORMS: dict[str, UnetForm] = {
    "milesial": UnetForm(),
    "meetps": UnetForm(padding=0, decoder_norms=False),
    "yassouali": UnetForm(half_first=True, pool_last=True, resize=True),
}

# ------------------------------------------------------------------------------------------------------------- SegNet

# Channels of the decoder's convolutions, coarsest stage first; the scores come after the last one.
SEGNETS: dict[str, tuple[tuple[int, ...], ...]] = {
    "plain_segnet": ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,)),
}

# ------------------------------------------------------------------------------------------------------------- ResNet


@dataclasses.dataclass(frozen=True)
class ResNetSpec:
    """One residual network. Widths follow torchvision: a block is `planes * group_width / 64 * groups` wide inside.

    Attributes:
        blocks: number of residual blocks in each of the four stages.
        bottleneck: whether a block is 1x1, 3x3, 1x1 with a fourfold output, or two 3x3.
        groups: groups of the 3x3 convolutions of a bottleneck.
        group_width: width of one group where `planes` is 64.
        stride_in: convolution of a block that strides: "3x3" (v1.5) or "1x1" (v1, Caffe); "1x1_or_3x3" for the 1x1 one
            where the stage strides, and the 3x3 one where it is dilated instead; or one for each stage.
        stride_at: block of a stage that strides: its "first"; or its "last" on behalf of the next stage, as tf-slim
            has it. There the shortcut keeps every second pixel.
        stem_pool: zero pixels before and after each axis of the 3x3 stride-2 pooling. (0, 1) is Caffe's ceil rule
            without padding. (1, 2) is the ceil rule with padding 1: one more pixel at the far side turns floor into
            ceil. "same" is TensorFlow's SAME: 0 before and 1 after at even sizes, 1 and 1 at odd ones. "convolution" is
            a 3x3 convolution of stride 2 in place of the pooling (ResNet-RS).
        stem_same: whether the stem's convolution of stride 2 follows TensorFlow's SAME; if not, both sides have the
            same padding.
        epsilon: epsilon of every BatchNorm.
        norm: "batch"; or "affine" for a factor and a number that is added to each channel, into which a BatchNorm was
            folded (Detectron's AffineChannel).
        stem: widths of three 3x3 convolutions, the first of stride 2; empty: one 7x7 convolution.
        stem_filters: filters of that 7x7 convolution.
        average_shortcut: "" or, for the "d" nets, an average pooling in place of the projection's stride. In a dilated
            stage, which strides no more, "same" keeps the pooling, 2x2 with zeros at the far side (timm). There "none"
            drops it (PyTorch-Encoding, mmsegmentation). "valid" (CLIP) strides without an odd last row or column,
            and keeps the pooling where an earlier stage is dilated, too (timm).
        squeeze: how many times narrower the middle of squeeze-and-excite is; 0: no squeeze-and-excite.
        squeeze_divisor: number of which the width of that middle is a multiple: 8 in timm, 1 in Cadene's.
        squeeze_relu: whether a ReLU stands before squeeze-and-excite, too.
        narrow_first: whether the first 1x1 convolution of a bottleneck is half as wide as the 3x3 one (SENet-154).
        projection_kernel: rows, and columns, of the kernels of the projections that stride.
        radix: number of convolutions that split attention weighs against each other in place of each 3x3; 0: no split
            attention.
        scales: number of parts of the channels that Res2Net convolves one after the other in place of each 3x3; 0: one
            convolution. `group_width` is then the width of one part.
        biases: which convolutions before a BatchNorm have a bias: "", "stem" or "all".
        one_rate: whether all convolutions of a block have the rate of the one that lost its stride; if not, only that
            one has it (Lextal's ResNet-18 and -34 have it).
        antialias: "" or what reduces a map after a convolution of stride 1, in place of a stride: "average", the means
            of 2x2 pixels, or "blur" (`tfseg.layers.BlurPooling`). The stem then has that average alone, or a maximum
            pooling of stride 1 before the blur. In a dilated stage the average is left out, and the blur keeps all
            pixels, as timm has it. "average_valid" is the average without an odd last row or column (CLIP).

    Example:
        >>> spec = tfseg.specs.RESNETS["resnet50"]
        >>> spec.blocks, spec.expansion
        ((3, 4, 6, 3), 4)
        >>> import dataclasses
        >>> caffe = dataclasses.replace(spec, stride_in="1x1", stem_pool=(0, 1))
        >>> tfseg.ResNet(caffe, width=1 / 16).output_shape
        (None, None, None, 128)
    """

    blocks: tuple[int, ...]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    stride_in: str | tuple[str, ...] = "3x3"
    stride_at: str = "first"
    stem_pool: tuple[int, int] | str = (1, 1)
    stem_same: bool = False
    epsilon: float = 1e-5
    norm: str = "batch"
    stem: tuple[int, ...] = ()
    stem_filters: int = 64
    average_shortcut: str = ""
    squeeze: int = 0
    squeeze_divisor: int = 8
    squeeze_relu: bool = False
    narrow_first: bool = False
    projection_kernel: int = 1
    radix: int = 0
    scales: int = 0
    biases: str = ""
    one_rate: bool = False
    antialias: str = ""

    @property
    def expansion(self) -> int:
        """How many times wider the output of a block is than its `planes`."""
        return 4 if self.bottleneck else 1


RESNETS: dict[str, ResNetSpec] = {
    "resnet18": ResNetSpec((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetSpec((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetSpec((3, 4, 6, 3)),
    "resnet101": ResNetSpec((3, 4, 23, 3)),
    "resnet152": ResNetSpec((3, 8, 36, 3)),
    "resnext50_32x4d": ResNetSpec((3, 4, 6, 3), groups=32, group_width=4),
    "resnext101_32x8d": ResNetSpec((3, 4, 23, 3), groups=32, group_width=8),
    "resnext101_64x4d": ResNetSpec((3, 4, 23, 3), groups=64, group_width=4),
    "wide_resnet50_2": ResNetSpec((3, 4, 6, 3), group_width=128),
    "wide_resnet101_2": ResNetSpec((3, 4, 23, 3), group_width=128),
}
TORCHVISION_RESNETS = tuple(RESNETS)
RESNET_FILTERS = (64, 128, 256, 512)


def _variants() -> Iterator[tuple[str, ResNetSpec]]:
    """timm's variants, by its letters.

    A trailing c means a deep stem, d and t a deep stem and an averaging projection, s a wider deep stem. A trailing e
    means both. A leading "se" means squeeze-and-excite, "resnest" split attention, "res2net" parts of channels.
    """
    stems = {"c": (32, 32, 64), "d": (32, 32, 64), "s": (64, 64, 128), "t": (24, 32, 64)}
    letters = {18: "d", 34: "d", 50: "cdst", 101: "cds", 152: "cds"}
    for depth in letters:
        plain = RESNETS[f"resnet{depth}"]
        for letter in letters[depth]:
            shortcut = "same" if letter in "dt" else ""
            yield f"resnet{depth}{letter}", dataclasses.replace(plain, stem=stems[letter], average_shortcut=shortcut)
        yield f"seresnet{depth}", dataclasses.replace(plain, squeeze=16)
        if depth in (50, 101):
            yield f"seresnext{depth}_32x4d", dataclasses.replace(plain, groups=32, group_width=4, squeeze=16)
    for depth, counts in {
        14: (1,) * 4,
        26: (2,) * 4,
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        200: (3, 24, 36, 3),
    }.items():
        letter = "d" if depth <= 50 else "e"
        stem = (32, 32, 64) if letter == "d" else (64, 64, 128)
        yield f"resnest{depth}{letter}", ResNetSpec(counts, stem=stem, average_shortcut="same", radix=2)
    deep: dict[str, Any] = {"stem": stems["d"], "average_shortcut": "same"}
    yield "resnet26", ResNetSpec((2,) * 4)
    yield "resnet26d", ResNetSpec((2,) * 4, **deep)
    yield "resnext50d_32x4d", dataclasses.replace(RESNETS["resnext50_32x4d"], **deep)
    for depth in (50, 101):
        plain = RESNETS[f"resnet{depth}"]
        yield f"resnetrs{depth}", dataclasses.replace(plain, **deep, stem_pool="convolution", squeeze=4)
        yield f"res2net{depth}_26w_4s", dataclasses.replace(plain, group_width=26, scales=4)
        yield f"res2net{depth}d", dataclasses.replace(plain, **deep, group_width=26, scales=4)
    yield "resnext101_32x4d", dataclasses.replace(RESNETS["resnext101_32x8d"], group_width=4)
    for width in (16, 32, 48):  # Facebook's, which saw a billion images of Instagram
        yield f"resnext101_32x{width}d", dataclasses.replace(RESNETS["resnext101_32x8d"], group_width=width)
    for width, scales in ((48, 2), (14, 8), (26, 6), (26, 8)):
        yield f"res2net50_{width}w_{scales}s", ResNetSpec((3, 4, 6, 3), group_width=width, scales=scales)
    yield "res2next50", ResNetSpec((3, 4, 6, 3), groups=8, group_width=4, scales=4)


RESNETS |= dict(_variants())
# SENet-154 of the paper's authors, with timm's pooling.
RESNETS["senet154"] = ResNetSpec(
    (3, 8, 36, 3),
    groups=64,
    group_width=4,
    stem=(64, 64, 128),
    squeeze=16,
    narrow_first=True,
    projection_kernel=3,
)
_CLIP: dict[str, Any] = {"stem": (32, 32, 64), "average_shortcut": "valid", "antialias": "average_valid"}
RESNETS |= {f"resnet{depth}_clip": dataclasses.replace(RESNETS[f"resnet{depth}"], **_CLIP) for depth in (50, 101)}

# Networks whose tensors have the names and shapes of another one's -> the other one, and what differs.
RESNET_DOUBLES: dict[str, tuple[str, dict[str, Any]]] = {
    "resnetaa34d": ("resnet34d", {"antialias": "average"}),
    "resnetaa50": ("resnet50", {"antialias": "average"}),
    "resnetaa50d": ("resnet50d", {"antialias": "average"}),
    "resnetaa101d": ("resnet101d", {"antialias": "average"}),
    "resnetblur18": ("resnet18", {"antialias": "blur"}),
    "resnetblur50": ("resnet50", {"antialias": "blur"}),
    "resnetblur50d": ("resnet50d", {"antialias": "blur"}),
    "resnetblur101d": ("resnet101d", {"antialias": "blur"}),
    # Caffe's ResNets in PyTorch: with the pooling of torchvision, as Detectron and mmcv have it, and with Caffe's own.
    **{f"resnet{depth}_caffe_padded": (f"resnet{depth}", {"stride_in": "1x1"}) for depth in (50, 101, 152)},
    **{
        f"resnet{depth}_caffe_ceil": (f"resnet{depth}", {"stride_in": "1x1", "stem_pool": (0, 1)})
        for depth in (50, 101, 152)
    },
}
RESNETS |= {name: dataclasses.replace(RESNETS[double], **changes) for name, (double, changes) in RESNET_DOUBLES.items()}


def first_filters(filters: int, spec: ResNetSpec) -> int:
    """The width of the first 1x1 convolution of a bottleneck.

    Args:
        filters: width of its 3x3 convolution.
        spec: numbers of the network.

    Example:
        >>> tfseg.specs.first_filters(256, tfseg.specs.RESNETS["senet154"])
        128
    """
    return max(spec.groups, filters // 2) if spec.narrow_first else filters


def squeezed(filters: int, spec: ResNetSpec) -> int:
    """The width of the middle of squeeze-and-excite.

    Args:
        filters: channels that it weighs.
        spec: numbers of the network.

    Example:
        >>> tfseg.specs.squeezed(64, tfseg.specs.RESNETS["seresnet18"])
        8
    """
    divisor = spec.squeeze_divisor
    return max(divisor, (filters // spec.squeeze + divisor // 2) // divisor * divisor)


# ---------------------------------------------------------------------------------------------------------------- DRN


class DRNSpec(NamedTuple):
    """One dilated residual network of output stride 8: eight levels in C and D, the four stages of a ResNet in A.

    C and D begin at full resolution and pool nowhere. Their last two levels have no shortcuts and smaller rates, so
    that the grid which dilation leaves on a map fades.

    Attributes:
        arch: "A", "C" or "D".
        blocks: number of blocks in each level.
        bottleneck: whether the blocks of levels 3 to 6 are bottlenecks.

    Example:
        >>> spec = tfseg.specs.DRNS["drn_d_22"]
        >>> [spec.convolutions(level) for level in range(1, 9)]
        [1, 1, 2, 2, 2, 2, 1, 1]
    """

    arch: str
    blocks: tuple[int, ...]
    bottleneck: bool = False

    def convolutions(self, level: int) -> int:
        """Number of convolutions in each block of a level: three in a bottleneck, two in another residual block.

        Outside levels 3 to 6 a block has two convolutions in C and one in D.

        Args:
            level: number of the level, from 1.
        """
        if 3 <= level <= 6:
            return 3 if self.bottleneck else 2
        return 1 if self.arch == "D" else 2


DRNS: dict[str, DRNSpec] = {
    "drn_a_50": DRNSpec("A", (3, 4, 6, 3), bottleneck=True),
    "drn_c_26": DRNSpec("C", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_c_42": DRNSpec("C", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_c_58": DRNSpec("C", (1, 1, 3, 4, 6, 3, 1, 1), bottleneck=True),
    "drn_d_22": DRNSpec("D", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_d_24": DRNSpec("D", (1, 1, 2, 2, 2, 2, 2, 2)),
    "drn_d_38": DRNSpec("D", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_40": DRNSpec("D", (1, 1, 3, 4, 6, 3, 2, 2)),
    "drn_d_54": DRNSpec("D", (1, 1, 3, 4, 6, 3, 1, 1), bottleneck=True),
    "drn_d_56": DRNSpec("D", (1, 1, 3, 4, 6, 3, 2, 2), bottleneck=True),
    "drn_d_105": DRNSpec("D", (1, 1, 3, 4, 23, 3, 1, 1), bottleneck=True),
    "drn_d_107": DRNSpec("D", (1, 1, 3, 4, 23, 3, 2, 2), bottleneck=True),
}
# One entry for each level of C and D. A bottleneck's output has four times the filters of its level.
DRN_FILTERS = (16, 32, 64, 128, 256, 512, 512, 512)
DRN_STRIDES = (1, 2, 2, 2, 1, 1, 1, 1)
DRN_DILATION_RATES = (1, 1, 1, 1, 2, 4, 2, 1)

# The rate of the layer that loses its stride: its old rate, its old rate x stride, or 1.
CONVENTIONS = ("previous", "new", "one")
OUTPUT_STRIDES = (32, 16, 8, 4)
# How a map is enlarged to the size of the image: torch's interpolations, TensorFlow 1's own ("asymmetric"), or a
# transposed convolution, which is bilinear at the start and trained with the rest.
INTERPOLATIONS = ("bilinear", "bilinear_align_corners", "bilinear_asymmetric", "nearest")
UPSAMPLINGS = (*INTERPOLATIONS, "transposed_convolution")
PYRAMID_ORDERS = ("features_first", "features_last", "reversed")  # in which PSPNet concatenates

# ---------------------------------------------------------------------------------------------------------------- names

# Heads and decoders: `tfseg.build("unet", backbone="resnet50")`, or in one name "unet_resnet50".
DECODERS = ("fpn", "linknet", "lraspp", "manet", "pan", "segformer", "segnet", "unet", "unetplusplus", "upernet")
RESNET_HEADS = ("fcn", "deeplabv2", "deeplabv3", "deeplabv3plus", "pspnet", *DECODERS)
DRN_HEADS = ("drnseg", "fcn", "deeplabv3", "deeplabv3plus", "pspnet")

FURTHER_BACKBONES = (
    *MOBILENETS_V2,
    *MOBILENETS_V3,
    *EFFICIENTNETS,
    *MITS,
    *HRNETS,
    *XCEPTIONS,
    *DENSENETS,
    *PREACTIVATION_RESNETS,
)
BACKBONES = (*VGGS, *RESNETS, *DRNS, *FURTHER_BACKBONES)
_PAIRS = (
    (RESNET_HEADS, RESNETS),
    ((*DRN_HEADS, *DECODERS), DRNS),
    (("pspnet", *DECODERS), VGGS),
    (("fcn", "deeplabv3", "deeplabv3plus", "pspnet", *DECODERS), FURTHER_BACKBONES),
)
# Name of a segmenter -> names of its head and of its backbone.
SEGMENTERS = {f"{head}_{name}": (head, name) for heads, names in _PAIRS for head in heads for name in names}


def network_names() -> list[str]:
    """The names of all networks, sorted: `tfseg.list_models()`.

    Example:
        >>> tfseg.specs.network_names() == tfseg.list_models()
        True
    """
    return sorted([*BACKBONES, *SEGMENTERS, *FCNS, *DEEPLAB_VGGS, *UNETS, *SEGNETS])


def scaled(filters: float, width: float) -> int:
    """`filters * width` channels, rounded, at least one.

    Args:
        filters: number of channels at width 1.
        width: factor of that number.

    Example:
        >>> tfseg.specs.scaled(64, 0.5)
        32
    """
    return max(1, round(filters * width))


# ------------------------------------------------------------------------------------------------------ preprocessing


class ImagePreprocessing(TypedDict):
    """x = (image[channel_order] / divisor - mean) / std, for an image in 0..255.

    `mean` and `std` have one number for each channel, in the order of `channel_order`.
    """

    channel_order: str
    divisor: float
    mean: Sequence[float]
    std: Sequence[float]


PREPROCESSING: dict[str, ImagePreprocessing] = {
    "torch": {
        "channel_order": "RGB",
        "divisor": 255.0,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    },
    "caffe": {"channel_order": "BGR", "divisor": 1.0, "mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0)},
    # OpenAI's CLIP and open_clip.
    "clip": {
        "channel_order": "RGB",
        "divisor": 255.0,
        "mean": (0.48145466, 0.4578275, 0.40821073),
        "std": (0.26862954, 0.26130258, 0.27577711),
    },
    # The pixels themselves, from 0 to 255.
    "pixels": {"channel_order": "RGB", "divisor": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    # From -1 to 1, as TensorFlow's Inception, MobileNet and DeepLab want them.
    "inception": {"channel_order": "RGB", "divisor": 127.5, "mean": (1.0, 1.0, 1.0), "std": (1.0, 1.0, 1.0)},
    # The pixels themselves, from 0 to 1.
    "unit": {"channel_order": "RGB", "divisor": 255.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    # The means of Fast R-CNN, which CSAILVision's files used before August 2019.
    "fast_rcnn": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (102.9801, 115.9465, 122.7717),
        "std": (1.0, 1.0, 1.0),
    },
    # ImageNet's mean as Detectron2 and mmdetection have it, for networks that come from Caffe.
    "detectron2": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (103.53, 116.28, 123.675),
        "std": (1.0, 1.0, 1.0),
    },
    # The PASCAL VOC training mean of the original FCN.
    "fcn": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (104.00698793, 116.66876762, 122.67891434),
        "std": (1.0, 1.0, 1.0),
    },
    # The means of the same network for its other data sets.
    "pascal_context": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (104.007, 116.669, 122.679),
        "std": (1.0, 1.0, 1.0),
    },
    "siftflow": {"channel_order": "BGR", "divisor": 1.0, "mean": (114.578, 115.294, 108.353), "std": (1.0, 1.0, 1.0)},
    "nyud": {"channel_order": "BGR", "divisor": 1.0, "mean": (116.19, 97.203, 92.318), "std": (1.0, 1.0, 1.0)},
    # Depth as an image of disparity, height and angle, in the channel order of the file.
    "nyud_hha": {"channel_order": "RGB", "divisor": 1.0, "mean": (132.431, 94.076, 118.477), "std": (1.0, 1.0, 1.0)},
    # D is the natural logarithm of the depth, in the unit of NYUDv2's depth images.
    "nyud_color_d": {
        "channel_order": "BGRD",
        "divisor": 1.0,
        "mean": (116.19, 97.203, 92.318, 7.844),
        "std": (1.0, 1.0, 1.0, 1.0),
    },
    # VOC's mean, as DeepLab rounds it.
    "deeplab": {"channel_order": "BGR", "divisor": 1.0, "mean": (104.008, 116.669, 122.675), "std": (1.0, 1.0, 1.0)},
    # ImageNet's means, as tf-slim rounds them; it does not swap channels.
    "slim": {"channel_order": "RGB", "divisor": 1.0, "mean": (123.68, 116.78, 103.94), "std": (1.0, 1.0, 1.0)},
    # Caffe's means in the order of RGB, as divamgupta's package has them.
    "caffe_rgb": {"channel_order": "RGB", "divisor": 1.0, "mean": (123.68, 116.779, 103.939), "std": (1.0, 1.0, 1.0)},
    # The mean of ImageNet in whole numbers, for SENet and open_nsfw.
    "caffe_rounded": {"channel_order": "BGR", "divisor": 1.0, "mean": (104.0, 117.0, 123.0), "std": (1.0, 1.0, 1.0)},
    # The mean of VGGFace2's faces.
    "vggface2": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (91.4953, 103.8827, 131.0912),
        "std": (1.0, 1.0, 1.0),
    },
    # meetps/pytorch-semseg on ADE20K and CamVid: a mean of Caffe's, then a divisor.
    "meetps": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (104.00699, 116.66877, 122.67892),
        "std": (255.0, 255.0, 255.0),
    },
    # Mean and deviation of PASCAL VOC as yassouali/pytorch-segmentation measured them.
    "yassouali_voc": {
        "channel_order": "RGB",
        "divisor": 255.0,
        "mean": (0.45734706, 0.43338275, 0.40058118),
        "std": (0.23965294, 0.23532275, 0.2398498),
    },
    # Mean and deviation of the Cityscapes training set, as DRN measured them.
    "drn_cityscapes": {
        "channel_order": "RGB",
        "divisor": 255.0,
        "mean": (0.29010095242892997, 0.32808144844279574, 0.28696394422942517),
        "std": (0.1829540508368939, 0.18656561047509476, 0.18447508988480435),
    },
}
