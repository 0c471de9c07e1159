"""The numbers of the networks, and nothing else: whatever differs between two networks with the same tensor names.

Reference: VGG https://arxiv.org/abs/1409.1556 table 1; ResNet https://arxiv.org/abs/1512.03385 table 1;
ResNeXt https://arxiv.org/abs/1611.05431; Wide ResNet https://arxiv.org/abs/1605.07146;
FCN https://arxiv.org/abs/1411.4038 and https://arxiv.org/abs/1605.06211.
"""

from typing import NamedTuple

# ---------------------------------------------------------------------------------------------------------------- VGG

VGG_CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions a stage
VGG_FILTERS = (64, 128, 256, 512, 512)
VGG_FC_UNITS = 4096
VGG_GRID = 7  # fc6 reads a 7x7 map

VGGS = {f"vgg{depth}{'_bn' * bn}": (depth, bool(bn)) for depth in VGG_CONVS for bn in (0, 1)}

# ---------------------------------------------------------------------------------------------------------- FCN on VGG


class Upscore(NamedTuple):
    """One transposed convolution of an FCN: kernel twice its stride, bilinear at the start."""

    name: str
    strides: int
    skip: str | None  # the pooling whose scores are added to the result; None: crop to the input
    scale: float | None = None  # what the at-once variant multiplies that pooling with


FCNS = {
    "fcn32s": (Upscore("upscore", 32, None),),
    "fcn16s": (Upscore("upscore2", 2, "pool4"), Upscore("upscore16", 16, None)),
    "fcn8s": (Upscore("upscore2", 2, "pool4"), Upscore("upscore_pool4", 2, "pool3"), Upscore("upscore8", 8, None)),
    "fcn8s_atonce": (
        Upscore("upscore2", 2, "pool4", 0.01),
        Upscore("upscore_pool4", 2, "pool3", 0.0001),
        Upscore("upscore8", 8, None),
    ),
}

# ------------------------------------------------------------------------------------------------------------- ResNet


class ResNetSpec(NamedTuple):
    """One residual network. Widths follow torchvision: a block is `planes * group_width / 64 * groups` wide inside."""

    blocks: tuple  # residual blocks of each of the four stages
    bottleneck: bool = True  # 1x1, 3x3, 1x1 with a fourfold output; else two 3x3
    groups: int = 1
    group_width: int = 64
    stride_in: str = "3x3"  # the convolution of a stage's first block that strides: "3x3" (v1.5) or "1x1" (v1, Caffe)
    stem_pool: tuple = (1, 1)  # zero pixels before and after each axis of the 3x3 stride-2 pooling; (0, 1) is Caffe's
    # ceil rule without padding and (1, 2) with padding 1: one more pixel at the far side turns floor into ceil.
    epsilon: float = 1e-5
    stem: tuple = ()  # widths of three 3x3 convolutions, the first of stride 2; empty: one 7x7 of 64
    # The projection's stride as an average pooling before it ("d" nets). In a dilated stage, where it strides no more,
    # "same" keeps it, 2x2 over zeros at the far side (timm); "none" drops it (PyTorch-Encoding, mmsegmentation).
    average_shortcut: str = ""
    squeeze: int = 0  # squeeze-and-excite: how many times narrower its middle is; 0: without

    @property
    def expansion(self):
        return 4 if self.bottleneck else 1


RESNETS = {
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


def _variants():
    """timm's letters: c a deep stem, d and t an averaging projection besides, s a wider stem; se squeeze-and-excite."""
    stems = {"c": (32, 32, 64), "d": (32, 32, 64), "s": (64, 64, 128), "t": (24, 32, 64)}
    letters = {18: "d", 34: "d", 50: "cdst", 101: "cds", 152: "cds"}
    for depth in letters:
        plain = RESNETS[f"resnet{depth}"]
        for letter in letters[depth]:
            shortcut = "same" if letter in "dt" else ""
            yield f"resnet{depth}{letter}", plain._replace(stem=stems[letter], average_shortcut=shortcut)
        yield f"seresnet{depth}", plain._replace(squeeze=16)


RESNETS |= dict(_variants())

CONVENTIONS = ("previous", "new", "one")  # the rate of the layer that loses its stride: its old one, old x stride, or 1
OUTPUT_STRIDES = (32, 16, 8, 4)
# How a map comes to the size of the image: torch's interpolations, or a transposed convolution, bilinear at the start.
INTERPOLATIONS = ("bilinear", "bilinear_align_corners", "nearest")

# ------------------------------------------------------------------------------------------------------ preprocessing
# x = (image[channel_order] / divisor - mean) / std, image in 0..255; mean and std in the order of the channels.

PREPROCESSING = {
    "torch": {
        "channel_order": "RGB",
        "divisor": 255.0,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    },
    "caffe": {"channel_order": "BGR", "divisor": 1.0, "mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0)},
    # The PASCAL VOC training mean of the original FCN.
    "fcn": {
        "channel_order": "BGR",
        "divisor": 1.0,
        "mean": (104.00698793, 116.66876762, 122.67891434),
        "std": (1.0, 1.0, 1.0),
    },
}

# ------------------------------------------------------------------------------------------------ classes and colours


def _voc_palette(count):
    """PASCAL VOC's colours: bits 0, 3, 6, ... of the index are the high bits of red, 1, 4, 7, ... of green, ..."""
    return tuple(
        tuple(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)) for channel in range(3))
        for index in range(count)
    )


VOC_PALETTE = _voc_palette(256)

CLASSES = {
    "voc": (
        "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
        "pottedplant sheep sofa train tvmonitor"
    ).split(),
    "camvid": "sky building pole road pavement tree sign fence car pedestrian bicyclist".split(),
}
COLORS = {
    "voc": VOC_PALETTE[:21],
    "camvid": (
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
}
