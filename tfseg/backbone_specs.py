"""The numbers of the light and newer backbones; `tfseg.specs` has these tables, too.

Reference:

* MobileNetV2: https://arxiv.org/abs/1801.04381, table 2.
* MobileNetV3: https://arxiv.org/abs/1905.02244, tables 1 and 2.
* EfficientNet: https://arxiv.org/abs/1905.11946, table 1.
* DenseNet: https://arxiv.org/abs/1608.06993, table 1.
"""

import dataclasses
from typing import Any, NamedTuple

# ---------------------------------------------------------------------------------------------------------- MobileNets


class MobileNetV2Stage(NamedTuple):
    """Blocks of MobileNetV2 of one width.

    Attributes:
        expansion: how many times wider the middle of a block is than its input.
        filters: channels of each block's output.
        blocks: number of blocks.
        strides: stride of the first block.
    """

    expansion: int
    filters: int
    blocks: int
    strides: int


MOBILENETS_V2: dict[str, tuple[MobileNetV2Stage, ...]] = {
    "mobilenet_v2": tuple(
        MobileNetV2Stage(*row)
        for row in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
    )
}


class MobileNetV3Block(NamedTuple):
    """One block of MobileNetV3.

    Attributes:
        kernel_size: rows, and columns, of the depthwise kernel.
        expanded: channels in its middle.
        filters: channels of its output.
        squeeze: whether it has squeeze-and-excite.
        activation: name of the nonlinear function.
        strides: input pixels per output pixel.
    """

    kernel_size: int
    expanded: int
    filters: int
    squeeze: bool
    activation: str
    strides: int


_RE, _HS = "relu", "hard_silu"
# The blocks, and the units of the fully connected layer in front of the last one.
MOBILENETS_V3: dict[str, tuple[tuple[MobileNetV3Block, ...], int]] = {
    "mobilenet_v3_large": (
        tuple(
            MobileNetV3Block(*row)
            for row in (
                (3, 16, 16, False, _RE, 1),
                (3, 64, 24, False, _RE, 2),
                (3, 72, 24, False, _RE, 1),
                (5, 72, 40, True, _RE, 2),
                (5, 120, 40, True, _RE, 1),
                (5, 120, 40, True, _RE, 1),
                (3, 240, 80, False, _HS, 2),
                (3, 200, 80, False, _HS, 1),
                (3, 184, 80, False, _HS, 1),
                (3, 184, 80, False, _HS, 1),
                (3, 480, 112, True, _HS, 1),
                (3, 672, 112, True, _HS, 1),
                (5, 672, 160, True, _HS, 2),
                (5, 960, 160, True, _HS, 1),
                (5, 960, 160, True, _HS, 1),
            )
        ),
        1280,
    ),
    "mobilenet_v3_small": (
        tuple(
            MobileNetV3Block(*row)
            for row in (
                (3, 16, 16, True, _RE, 2),
                (3, 72, 24, False, _RE, 2),
                (3, 88, 24, False, _RE, 1),
                (5, 96, 40, True, _HS, 2),
                (5, 240, 40, True, _HS, 1),
                (5, 240, 40, True, _HS, 1),
                (5, 120, 48, True, _HS, 1),
                (5, 144, 48, True, _HS, 1),
                (5, 288, 96, True, _HS, 2),
                (5, 576, 96, True, _HS, 1),
                (5, 576, 96, True, _HS, 1),
            )
        ),
        1024,
    ),
}


def divisible(filters: float, divisor: int = 8) -> int:
    """A number of channels as a multiple of 8, not less than nine tenths of it.

    Args:
        filters: number of channels.
        divisor: what divides the result.
    Reference: https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet/mobilenet.py

    Example:
        >>> tfseg.specs.divisible(44), tfseg.specs.divisible(11)
        (48, 16)
    """
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * filters else rounded + divisor


# -------------------------------------------------------------------------------------------------------- EfficientNet


class EfficientNetStage(NamedTuple):
    """Blocks of EfficientNet-B0 of one width.

    Attributes:
        expansion: how many times wider the middle of a block is than its input.
        kernel_size: rows, and columns, of the depthwise kernels.
        strides: stride of the first block.
        filters: channels of each block's output.
        blocks: number of blocks.
    """

    expansion: int
    kernel_size: int
    strides: int
    filters: int
    blocks: int


EFFICIENTNET_STAGES = tuple(
    EfficientNetStage(*row)
    for row in (
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    )
)


@dataclasses.dataclass(frozen=True)
class EfficientNetSpec:
    """One EfficientNet: how B0 grows, and what its publisher decided.

    Attributes:
        width: factor of every channel count of B0.
        depth: factor of every number of blocks of B0, rounded up.
        dropout: share of the features that training drops before `predictions`.
        epsilon: epsilon of every BatchNorm.
        momentum: share of the old value in the moving averages of every BatchNorm.
        padding: zeros of the convolutions that stride. "symmetric": as many on both sides (torchvision). "same":
            TensorFlow's SAME, which depends on the size of each map. A number: those that SAME adds for images of so
            many pixels, at every size (efficientnet_pytorch, segmentation_models.pytorch).
    """

    width: float
    depth: float
    dropout: float
    epsilon: float = 1e-5
    momentum: float = 0.9
    padding: int | str = "symmetric"


def _efficientnets() -> dict[str, EfficientNetSpec]:
    scales = ((1, 1), (1, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2, 3.1))
    dropouts = (0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5)
    rows = {}
    for index, ((width, depth), dropout) in enumerate(zip(scales, dropouts, strict=True)):
        spec = EfficientNetSpec(width, depth, dropout)
        as_tensorflow: dict[str, Any] = {"epsilon": 1e-3, "momentum": 0.99}
        # torchvision took the three largest from TensorFlow's files.
        rows[f"efficientnet_b{index}"] = dataclasses.replace(spec, **as_tensorflow) if index >= 5 else spec
        rows[f"tf_efficientnet_b{index}"] = dataclasses.replace(spec, **as_tensorflow, padding="same")
    return rows


EFFICIENTNETS: dict[str, EfficientNetSpec] = _efficientnets()
EFFICIENTNET_SIZES = (224, 240, 260, 300, 380, 456, 528, 600)  # pixels of the images on which B0 to B7 were trained

# ----------------------------------------------------------------------------------------------------------------- MiT


@dataclasses.dataclass(frozen=True)
class MiTSpec:
    """One Mix Transformer, the backbone of SegFormer: four stages of strides 4, 8, 16 and 32.

    Attributes:
        filters: channels of each stage.
        blocks: number of blocks in each stage.
        heads: heads of the attention in each stage.
        reductions: how many times smaller than the map its keys and values are, in each stage.
        expansion: how many times wider the middle of a block's second half is.
        epsilon: epsilon of the normalizations of the blocks and at the end of each stage. transformers has 1e-5.
        inner_epsilon: epsilon of the other normalizations: of the patches and of reduced maps. mmsegmentation has 1e-6.
        dropped: share of the images whose last block is left out in training; it grows from 0.
    """

    filters: tuple[int, ...]
    blocks: tuple[int, ...]
    heads: tuple[int, ...] = (1, 2, 5, 8)
    reductions: tuple[int, ...] = (8, 4, 2, 1)
    expansion: int = 4
    epsilon: float = 1e-6
    inner_epsilon: float = 1e-5
    dropped: float = 0.1


_WIDE = (64, 128, 320, 512)
MITS: dict[str, MiTSpec] = {
    "mit_b0": MiTSpec((32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": MiTSpec(_WIDE, (2, 2, 2, 2)),
    "mit_b2": MiTSpec(_WIDE, (3, 4, 6, 3)),
    "mit_b3": MiTSpec(_WIDE, (3, 4, 18, 3)),
    "mit_b4": MiTSpec(_WIDE, (3, 8, 27, 3)),
    "mit_b5": MiTSpec(_WIDE, (3, 6, 40, 3)),
}
MIT_PATCHES = ((7, 4), (3, 2), (3, 2), (3, 2))  # kernel and stride of the convolution that begins each stage

# --------------------------------------------------------------------------------------------------------------- HRNet


class HRNetStage(NamedTuple):
    """One stage of HRNet: all of its branches exchange their maps after every module.

    Attributes:
        modules: number of modules.
        blocks: number of residual blocks in each branch of a module.
    """

    modules: int
    blocks: int


@dataclasses.dataclass(frozen=True)
class HRNetSpec:
    """One HRNet.

    Attributes:
        filters: channels of the branch of stride 4; every further branch has twice as many.
        stages: stages two, three and four, with as many branches.
        first_blocks: number of bottlenecks in the first stage.
    """

    filters: int
    stages: tuple[HRNetStage, ...] = (HRNetStage(1, 4), HRNetStage(4, 4), HRNetStage(3, 4))
    first_blocks: int = 4


HRNETS: dict[str, HRNetSpec] = {f"hrnet_w{filters}": HRNetSpec(filters) for filters in (18, 30, 32, 40, 44, 48, 64)}
HRNETS["hrnet_w18_small_v2"] = HRNetSpec(18, (HRNetStage(1, 2), HRNetStage(3, 2), HRNetStage(2, 2)), 2)
HRNET_TOP = (32, 64, 128, 256, 2048)  # widths of the classifier's bottlenecks, and of its last convolution

# ------------------------------------------------------------------------------------------------------------ DenseNet


@dataclasses.dataclass(frozen=True)
class DenseNetSpec:
    """One DenseNet.

    Attributes:
        layers: number of layers in each of the four stages.
        growth: channels that each layer adds.
        filters: filters of the first convolution.
    """

    layers: tuple[int, ...]
    growth: int = 32
    filters: int = 64


DENSENETS: dict[str, DenseNetSpec] = {
    "densenet121": DenseNetSpec((6, 12, 24, 16)),
    "densenet161": DenseNetSpec((6, 12, 36, 24), growth=48, filters=96),
    "densenet169": DenseNetSpec((6, 12, 32, 32)),
    "densenet201": DenseNetSpec((6, 12, 48, 32)),
}

# ------------------------------------------------------------------------------------------------------------ Xception


class XceptionBlock(NamedTuple):
    """Three separable convolutions of DeepLab's Xception.

    Attributes:
        filters: channels of the three.
        strides: stride of the last one.
        shortcut: whether the block's input is added; if not, a ReLU follows each of its convolutions.
    """

    filters: tuple[int, int, int]
    strides: int = 1
    shortcut: bool = True


@dataclasses.dataclass(frozen=True)
class XceptionForm:
    """What differs between codes of DeepLab's Xception that have the same tensors.

    Attributes:
        epsilon: epsilon of every BatchNorm.
        shortcut_relu: which shortcuts read a map after the ReLU that begins the block: "none" of them, the
            "identities", or "all". In PyTorch, a ReLU that overwrites its input makes them so.
        exit_relu: whether a ReLU stands before the last block.
        depthwise_relu: whether ReLUs stand after the depthwise convolutions of the last block, too.
        last_stride: whether the last block but one strides; if not, the network ends at stride 16.
    """

    epsilon: float = 1e-3
    shortcut_relu: str = "none"
    exit_relu: bool = False
    depthwise_relu: bool = True
    last_stride: bool = True


XCEPTION_FORMS: dict[str, XceptionForm] = {
    "tensorflow": XceptionForm(),
    "jfzhang95": XceptionForm(epsilon=1e-5, shortcut_relu="all", exit_relu=True, depthwise_relu=False),
    "bubbliiiing": XceptionForm(epsilon=1e-5, shortcut_relu="identities", last_stride=False),
}


def _xception(entry: tuple[tuple[int, int], ...], middle: int) -> tuple[XceptionBlock, ...]:
    return (
        *(XceptionBlock((filters,) * 3, strides) for filters, strides in entry),
        *(XceptionBlock((728, 728, 728)) for _ in range(middle)),
        XceptionBlock((728, 1024, 1024), 2),
        XceptionBlock((1536, 1536, 2048), shortcut=False),
    )


_ENTRY = ((128, 2), (256, 2), (728, 2))
XCEPTIONS: dict[str, tuple[XceptionBlock, ...]] = {
    "xception41": _xception(_ENTRY, 8),
    "xception65": _xception(_ENTRY, 16),
    "xception71": _xception(((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)), 16),
}

# -------------------------------------------------------------------------------------------- ResNet, activated before


@dataclasses.dataclass(frozen=True)
class PreActivationSpec:
    """One residual network whose norms and ReLUs stand before its convolutions.

    Attributes:
        blocks: number of residual units in each of the four stages.
        bottleneck: whether a unit is 1x1, 3x3, 1x1 with a fourfold output, or two 3x3.
        data_norm: whether the image itself is normalized first, without a factor.
        stem_norm: whether a norm and a ReLU follow the first convolution.
        bare_shortcut: whether the first unit has no projection if it keeps the channels.
        epsilon: epsilon of every norm.
        momentum: share of the old value in the moving averages of BatchNorm.
        standardized: whether every kernel is standardized when it is used, and the norms are GroupNorms of 32 groups
            (BiT).
        factor: factor of every channel count.
        slim: whether the network is tf-slim's. There the last unit of a stage strides on behalf of the next one. The
            pooling pads by TensorFlow's SAME. The first convolution, projections and the last of a unit have biases.
    """

    blocks: tuple[int, ...]
    bottleneck: bool = True
    data_norm: bool = False
    stem_norm: bool = False
    bare_shortcut: bool = False
    epsilon: float = 1e-5
    momentum: float = 0.9
    standardized: bool = False
    factor: int = 1
    slim: bool = False


_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_QUBVEL: dict[str, Any] = {"data_norm": True, "stem_norm": True, "epsilon": 2e-5, "momentum": 0.99}
PREACTIVATION_RESNETS: dict[str, PreActivationSpec] = {
    # qubvel's classification_models, the backbones of his segmentation_models for Keras.
    **{f"preact_resnet{depth}": PreActivationSpec(_DEPTHS[depth], depth >= 50, **_QUBVEL) for depth in _DEPTHS},
    # timm's.
    **{
        f"resnetv2_{depth}": PreActivationSpec(_DEPTHS[depth], depth >= 50, bare_shortcut=depth < 50)
        for depth in _DEPTHS
    },
    # tf-slim's.
    **{
        f"resnetv2_{depth}_slim": PreActivationSpec(_DEPTHS[depth], slim=True, momentum=0.997)
        for depth in (50, 101, 152)
    },
    # Big Transfer.
    **{
        f"resnetv2_{depth}x{factor}_bit": PreActivationSpec(_DEPTHS[depth], standardized=True, factor=factor)
        for depth, factor in ((50, 1), (50, 3), (101, 1), (101, 3), (152, 2), (152, 4))
    },
}
