"""Heads that turn a backbone's features into a map of scores at the input's size."""

import re

import keras
from keras.layers import Dropout

from tfseg.layers import ResizeLike
from tfseg.nets import blocks

_STAGE4_OUT = re.compile(r"conv4_block\d+_out")


def FCN(backbone, num_classes, aux=False, *, upsampling="bilinear", name=None):
    """A backbone with torchvision's FCN head: 3x3 convolution to a quarter, BatchNorm, ReLU, dropout 0.1, 1x1.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the map at the backbone's stride is
    the output of the layer `logits`. With `aux`, a list of two such outputs, the second from `aux_logits`.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> features; `ResNet`, `VGG`,
            `keras.applications`.
        num_classes: channels of the logits, background included.
        aux: a second head, for training: True reads the last block of ResNet's `conv4` stage, a string the layer so
            named.
        upsampling: of `tfseg.specs.INTERPOLATIONS`: "bilinear", "bilinear_align_corners" or "nearest".
        name: of the model; "fcn_" and the backbone's by default.
    Raises:
        ValueError: a backbone without a single map as its output, or no layer for `aux`.
    Reference: https://docs.pytorch.org/vision/stable/models/fcn.html.
    """
    outputs = [_fcn_logits(check_features(backbone), num_classes), *auxiliary_logits(backbone, aux, num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"fcn_{backbone.name}")


def check_features(backbone):
    """The one map that a head reads."""
    if isinstance(backbone.output, list) or len(backbone.output.shape) != 4:
        raise ValueError(
            "A head needs one map (batch, height, width, channels) from its backbone: build that with "
            f"include_top=False. Received: output {backbone.output}"
        )
    return backbone.output


def logits(x, num_classes, prefix=""):
    return blocks.conv(x, num_classes, 1, f"{prefix}logits", use_bias=True)


def auxiliary_logits(backbone, aux, num_classes):
    """`[logits]` of an FCN head on an earlier layer, or `[]` if none is wanted."""
    if not aux:
        return []
    names = [layer.name for layer in backbone.layers]
    wanted = [name for name in names if (_STAGE4_OUT.fullmatch(name) if aux is True else name == aux)]
    if not wanted:
        raise ValueError(
            f"The backbone {backbone.name!r} has no layer for the auxiliary head: aux=True reads conv4_block<n>_out, "
            f"aux=<name> a layer by its name. Received: aux={aux!r}"
        )
    return [_fcn_logits(backbone.get_layer(wanted[-1]).output, num_classes, "aux_")]


def segmenter(backbone, outputs, upsampling, name):
    """The model that gives each of these maps at its input's size: one output, or a list."""
    maps = [
        ResizeLike(upsampling, name=f"{prefix}score", dtype="float32")([map_, backbone.input])
        for prefix, map_ in zip(("", "aux_"), outputs, strict=False)
    ]
    return keras.Model(backbone.input, maps if len(maps) > 1 else maps[0], name=name)


def _fcn_logits(x, num_classes, prefix=""):
    x = blocks.conv_norm_relu(x, max(1, x.shape[-1] // 4), 3, f"{prefix}head")
    return logits(Dropout(0.1, name=f"{prefix}head_dropout")(x), num_classes, prefix)
