"""Dilated residual networks: classifiers whose last map is eight times smaller than the image, and their segmenter."""

import keras

from tfseg import specs
from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, logits, segmenter
from tfseg.nets.resnet import ResNet, residual_block
from tfseg.types import Tensor


def DRN(
    spec: str | specs.DRNSpec = "d_22",
    *,
    include_top: bool = False,
    num_classes: int = 1000,
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """DRN-A, -C or -D: dilated residual networks of output stride 8.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last level,
    `(batch, ceil(height / 8), ceil(width / 8), 512)` (2048 for A). Output with the top: logits `(batch, num_classes)`.

    Layers of C and D are called `level0_conv`, `level3_block1_2_conv` and so on (`_0_conv` is the projection). DRN-A
    has the names of `ResNet`.

    The classifier averages its whole map. The public code averages the first 28 x 28 pixels, which is the same for
    images of 217 to 224 pixels. It fails for smaller images (A for larger ones, too); above 440 pixels it classifies
    every further window by itself.

    Args:
        spec: "a_50", "c_26", "c_42", "c_58", "d_22", "d_24", "d_38", "d_40", "d_54", "d_56", "d_105" or "d_107"; or a
            `tfseg.specs.DRNSpec`.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        width: factor of every channel count.
        channels: channels of the input.
        name: name of the model; None: "drn_" and the spec, such as "drn_d_22".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec.
    Reference: Yu et al. 2017, https://arxiv.org/abs/1705.09914, section 4; D: https://github.com/fyu/drn.

    Example:
        >>> model = tfseg.DRN("d_22", width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 9, 11, 32)
    """
    title, spec = _spec(spec)
    if spec.arch == "A":
        return ResNet(
            specs.ResNetSpec(spec.blocks, spec.bottleneck),
            output_stride=8,
            convention="one",
            width=width,
            include_top=include_top,
            num_classes=num_classes,
            channels=channels,
            name=name or title,
        )
    blocks.check_width(width)
    image, x = blocks.image_input(channels, "torch")
    x = blocks.conv_norm_relu(x, specs.scaled(specs.DRN_FILTERS[0], width), 7, "level0")
    levels = zip(spec.blocks, specs.DRN_FILTERS, specs.DRN_STRIDES, specs.DRN_DILATION_RATES, strict=True)
    for level, (count, filters, strides, rate) in enumerate(levels, 1):
        for block in range(1, count + 1):
            x = _block(x, filters * width, spec, level, block, strides=strides if block == 1 else 1, rate=rate)
    if include_top:
        x = GlobalAveragePooling(name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _block(x: Tensor, planes: float, spec: specs.DRNSpec, level: int, block: int, *, strides: int, rate: int) -> Tensor:
    name, convolutions = f"level{level}_block{block}", spec.convolutions(level)
    if level <= 6 and convolutions > 1:
        kind = specs.ResNetSpec((), bottleneck=convolutions == 3)
        return residual_block(x, planes, name, kind, strides=strides, rate=rate, freed_rate=rate)
    for index in range(1, convolutions + 1):
        options = {"strides": strides if index == 1 else 1, "dilation_rate": rate}
        x = blocks.conv_norm_relu(x, specs.scaled(planes, 1), 3, f"{name}_{index}", **options)
    return x


def DRNSeg(
    backbone: keras.Model,
    num_classes: int,
    aux: bool | str = False,
    *,
    aux_classes: int | None = None,
    upsampling: str = "transposed_convolution",
    name: str | None = None,
) -> keras.Model:
    """A backbone with DRN's head: a 1x1 convolution; its map enlarged by the backbone's stride, cropped to the input.

    Input and output are those of `FCN`; the map at the backbone's stride is the output of the layer `logits`.

    The public code returns the logarithm of the softmax, at whole multiples of 8 pixels. For an input between two
    multiples this model returns the top left part. The public transposed convolution keeps its bilinear kernel; here it
    is trained, unless the layer `up` is frozen.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> one map of features (see `FCN`).
        num_classes: channels of the logits, background included.
        aux: layer that a second head reads, for training: True means the last block of ResNet's `conv4` stage. False:
            no second head.
        aux_classes: channels of the second head; None: `num_classes`.
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`). Here interpolations also
            enlarge the map by its stride; "bilinear_align_corners" is the public code's `use_torch_up`.
        name: name of the model; None: "drnseg_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone whose output is not a single map, no layer for `aux`, or an unknown upsampling.
    Reference: Yu et al. 2017, https://arxiv.org/abs/1705.09914, section 5.

    Example:
        >>> model = tfseg.DRNSeg(tfseg.DRN("d_22", width=1 / 16), num_classes=19)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 19)
    """
    outputs = [
        logits(check_features(backbone), num_classes),
        *auxiliary_logits(backbone, aux, aux_classes or num_classes),
    ]
    return segmenter(backbone, outputs, upsampling, name or f"drnseg_{backbone.name}", by_stride=True)


def _spec(spec: str | specs.DRNSpec) -> tuple[str, specs.DRNSpec]:
    """The name and the spec for a name, with or without "drn_", or for a spec."""
    if isinstance(spec, specs.DRNSpec):
        return next((name for name, row in specs.DRNS.items() if row == spec), "drn"), spec
    name = f"drn_{str(spec).removeprefix('drn_')}"
    if name not in specs.DRNS:
        names = ", ".join(name.removeprefix("drn_") for name in specs.DRNS)
        raise ValueError(f"A DRN is a name ({names}) or a DRNSpec. Received: {spec!r}")
    return name, specs.DRNS[name]
