"""Dilated residual networks: classifiers whose last map is eight times smaller than the image, and their segmenter."""

import keras
from keras.layers import GlobalAveragePooling2D

from tfseg import specs
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, logits, segmenter
from tfseg.nets.resnet import ResNet, residual_block


def DRN(spec="d_22", *, include_top=False, num_classes=1000, width=1.0, channels=3, name=None):
    """DRN-C or -D, layers `level0_conv`, `level3_block1_2_conv` (`_0_conv` the projection); or DRN-A, `ResNet`'s names.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last level,
    `(batch, ceil(height / 8), ceil(width / 8), 512)` (2048 for A); with it: logits `(batch, num_classes)`.

    The classifier averages its whole map. The public code averages the first 28 x 28 pixels of it: the same for images
    of 217 to 224 pixels. Below, it fails (A above, too); past 440 it classifies every further window by itself.

    Args:
        spec: "a_50", "c_26", "c_42", "c_58", "d_22", "d_24", "d_38", "d_40", "d_54", "d_56", "d_105" or "d_107"; or a
            `tfseg.specs.DRNSpec`.
        include_top: average over the map, then `predictions`.
        num_classes: units of `predictions`.
        width: multiplies every channel count.
        channels: of the input.
        name: of the model; "drn_" and the spec's by default.
    Raises:
        ValueError: an unknown spec.
    Reference: Yu et al. 2017, https://arxiv.org/abs/1705.09914, section 4; D: https://github.com/fyu/drn.
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
    image, x = blocks.image_input(channels, "torch")
    x = blocks.conv_norm_relu(x, blocks.scaled(specs.DRN_FILTERS[0], width), 7, "level0")
    levels = zip(spec.blocks, specs.DRN_FILTERS, specs.DRN_STRIDES, specs.DRN_DILATION_RATES, strict=True)
    for level, (count, filters, strides, rate) in enumerate(levels, 1):
        for block in range(1, count + 1):
            x = _block(x, filters * width, spec, level, block, strides=strides if block == 1 else 1, rate=rate)
    if include_top:
        x = GlobalAveragePooling2D(data_format=blocks.CHANNELS_LAST, name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _block(x, planes, spec, level, block, *, strides, rate):
    name, convolutions = f"level{level}_block{block}", spec.convolutions(level)
    if level <= 6 and convolutions > 1:
        kind = specs.ResNetSpec((), bottleneck=convolutions == 3)
        return residual_block(x, planes, name, kind, strides=strides, rate=rate, freed_rate=rate)
    for index in range(1, convolutions + 1):
        options = {"strides": strides if index == 1 else 1, "dilation_rate": rate}
        x = blocks.conv_norm_relu(x, blocks.scaled(planes, 1), 3, f"{name}_{index}", **options)
    return x


def DRNSeg(backbone, num_classes, aux=False, *, upsampling="transposed_convolution", name=None):
    """A backbone with DRN's head: a 1x1 convolution, its map enlarged by the backbone's stride and cut to the input.

    Input and output as in `FCN`; the map at the backbone's stride is the output of the layer `logits`. The public code
    returns the logarithm of the softmax, at whole steps of 8 pixels: where the input ends between two, ours is the top
    left part of it. There the transposed convolution keeps its bilinear kernel; here it is trained, unless the layer
    `up` is frozen.

    Args:
        backbone, num_classes, aux, name: as in `FCN`.
        upsampling: as in `FCN`, and an interpolation, too, enlarges the map by its stride ("bilinear_align_corners" is
            the public code's `use_torch_up`).
    Raises:
        ValueError: as `FCN`.
    Reference: Yu et al. 2017, https://arxiv.org/abs/1705.09914, section 5.
    """
    outputs = [logits(check_features(backbone), num_classes), *auxiliary_logits(backbone, aux, num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"drnseg_{backbone.name}", by_stride=True)


def _spec(spec):
    """The name and the table row behind a name, with "drn_" or without, or a row."""
    if isinstance(spec, specs.DRNSpec):
        return next((name for name, row in specs.DRNS.items() if row == spec), "drn"), spec
    name = f"drn_{str(spec).removeprefix('drn_')}"
    if name not in specs.DRNS:
        names = ", ".join(name.removeprefix("drn_") for name in specs.DRNS)
        raise ValueError(f"A DRN is a name ({names}) or a DRNSpec. Received: {spec!r}")
    return name, specs.DRNS[name]
