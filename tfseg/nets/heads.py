"""Heads that turn a backbone's features into a map of scores at the input's size."""

import re

import keras
from keras.layers import Concatenate, Dropout

from tfseg import specs
from tfseg.layers import CropLike, DepthwiseConv2DTranspose, Rescale, ResizeLike
from tfseg.nets import blocks


def FCN(backbone, num_classes, aux=False, *, convs=1, concat=False, aux_reduction=4, upsampling="bilinear", name=None):
    """A backbone with torchvision's FCN head: 3x3 convolution to a quarter, BatchNorm, ReLU, dropout 0.1, 1x1.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the map at the backbone's stride is
    the output of the layer `logits`. With `aux`, a list of two such outputs, the second from `aux_logits`.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> features; `ResNet`, `VGG`,
            `keras.applications`.
        num_classes: channels of the logits, background included.
        aux: a second head, for training: True reads the last block of ResNet's `conv4` stage, a string the layer so
            named.
        convs: 3x3 convolutions before the logits, a quarter of the features wide (mmsegmentation: 2).
        concat: whether one more reads the features beside what those give (mmsegmentation).
        aux_reduction: how many times fewer channels than it reads the second head has inside (CSAILVision: 2).
        upsampling: of `tfseg.specs.UPSAMPLINGS`: "bilinear", "bilinear_align_corners", "bilinear_asymmetric" or
            "nearest" resize the map to the input; "transposed_convolution" enlarges it by its stride, every class by a
            kernel of its own that is bilinear at the start (the layer `up`), and cuts off what is beyond the input.
        name: of the model; "fcn_" and the backbone's by default.
    Raises:
        ValueError: a backbone without a single map as its output, or no layer for `aux`.
    Reference: https://docs.pytorch.org/vision/stable/models/fcn.html.
    """
    outputs = [
        _fcn_logits(check_features(backbone), num_classes, convs=convs, concat=concat),
        *auxiliary_logits(backbone, aux, num_classes, aux_reduction),
    ]
    return segmenter(backbone, outputs, upsampling, name or f"fcn_{backbone.name}")


def check_features(backbone):
    """The one map that a head reads."""
    if isinstance(backbone.output, list) or len(backbone.output.shape) != 4:
        raise ValueError(
            "A head needs one map (batch, height, width, channels) from its backbone: build that with "
            f"include_top=False. Received: output {backbone.output}"
        )
    return backbone.output


def logits(x, num_classes, prefix="", kernel_size=1):
    return blocks.conv(x, num_classes, kernel_size, f"{prefix}logits", use_bias=True)


def auxiliary_logits(backbone, aux, num_classes, reduction=4):
    """`[logits]` of an FCN head on an earlier layer, or `[]` if none is wanted."""
    if not aux:
        return []
    x = tap(backbone, "conv4" if aux is True else aux, "the auxiliary head", f"aux={aux!r}")
    return [_fcn_logits(x, num_classes, "aux_", reduction)]


def tap(backbone, layer, purpose, received):
    """The output of a backbone's layer: of the one so named, or of the last block of a ResNet's stage ("conv4")."""
    block = re.compile(rf"{re.escape(layer)}_block\d+_out")
    names = [one.name for one in backbone.layers if one.name == layer or block.fullmatch(one.name)]
    if not names:
        raise ValueError(
            f"The backbone {backbone.name!r} has no layer for {purpose}: neither {layer} nor {layer}_block<n>_out. "
            f"Received: {received}"
        )
    return backbone.get_layer(names[-1]).output


def segmenter(backbone, outputs, upsampling, name, *, by_stride=False):
    """The model that gives each of these maps at its input's size: one output, or a list.

    With `by_stride` an interpolation enlarges as a transposed convolution does: by the map's stride, and cuts.
    """
    blocks.check("upsampling", upsampling, specs.UPSAMPLINGS)
    maps = [
        _enlarged(map_, backbone.input, upsampling, by_stride, prefix)
        for prefix, map_ in zip(("", "aux_"), outputs, strict=False)
    ]
    return keras.Model(backbone.input, maps if len(maps) > 1 else maps[0], name=name)


def interpolation(upsampling):
    """Of maps inside a head: as of its last one, or bilinear where that is enlarged by a transposed convolution."""
    return upsampling if upsampling in specs.INTERPOLATIONS else "bilinear"


def _enlarged(x, image, upsampling, by_stride, prefix):
    if upsampling == "transposed_convolution":
        x = DepthwiseConv2DTranspose(_stride(image, x), name=f"{prefix}up")(x)
    elif by_stride:
        x = Rescale(_stride(image, x), upsampling, name=f"{prefix}up", dtype="float32")(x)
    else:
        return ResizeLike(upsampling, name=f"{prefix}score", dtype="float32")([x, image])
    return CropLike(name=f"{prefix}score", dtype="float32")([x, image])


def _stride(image, x):
    """Image pixels per pixel of a map: how many more rows it has of a taller image, whatever borders take or add."""
    graph = keras.Function(image, x)
    rows = [graph.compute_output_shape((1, side, side, image.shape[-1]))[1] for side in (1024, 2048)]
    return 1024 // (rows[1] - rows[0])


def _fcn_logits(features, num_classes, prefix="", reduction=4, convs=1, concat=False):
    filters = max(1, features.shape[-1] // reduction)
    x = blocks.conv_norm_relu(features, filters, 3, f"{prefix}head")
    for index in range(2, convs + 1):
        x = blocks.conv_norm_relu(x, filters, 3, f"{prefix}head_{index}")
    if concat:
        x = Concatenate(name=f"{prefix}head_concat")([features, x])
        x = blocks.conv_norm_relu(x, filters, 3, f"{prefix}head_cat")
    return logits(Dropout(0.1, name=f"{prefix}head_dropout")(x), num_classes, prefix)
