"""Heads that turn a backbone's features into a map of scores at the input's size."""

import re
from collections.abc import Sequence

import keras
from keras.layers import Concatenate, Dropout

from tfseg import specs
from tfseg.layers import CropLike, DepthwiseConv2DTranspose, Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.types import Tensor


def FCN(
    backbone: keras.Model,
    num_classes: int,
    aux: bool | str = False,
    *,
    aux_classes: int | None = None,
    convs: int = 1,
    concat: bool = False,
    head_kernel: int = 3,
    head_reduction: int = 4,
    head_rate: int = 1,
    aux_reduction: int = 4,
    upsampling: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """A backbone with torchvision's FCN head: 3x3 convolution to a quarter, BatchNorm, ReLU, dropout 0.1, 1x1.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the map at the backbone's stride is
    the output of the layer `logits`. With `aux` the outputs are a list of two such maps, the second from `aux_logits`.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> one map of features, such as `ResNet`, `VGG` or
            a model of `keras.applications`.
        num_classes: channels of the logits, background included.
        aux: layer that a second head reads, for training: True means the last block of ResNet's `conv4` stage. False:
            no second head.
        aux_classes: channels of the second head; None: `num_classes`.
        convs: number of 3x3 convolutions before the logits, a quarter of the features wide (mmsegmentation: 2).
        concat: whether one more convolution reads the features beside the output of those (mmsegmentation).
        head_kernel: rows, and columns, of those kernels (HRNet: 1).
        head_reduction: how many times fewer channels than the features they have (HRNet: 1).
        head_rate: dilation rate of those kernels (mmsegmentation's "d6": 6). The second head has none.
        aux_reduction: how many times fewer channels the second head has inside than it reads (CSAILVision: 2).
        upsampling: how the map is enlarged to the input's size, a name of `tfseg.specs.UPSAMPLINGS`. "bilinear",
            "bilinear_align_corners", "bilinear_asymmetric" and "nearest" resize it. "transposed_convolution" enlarges
            each class by the map's stride with its own kernel (the layer `up`), and crops to the input. The kernel is
            bilinear at the start.
        name: name of the model; None: "fcn_" and the backbone's name.
    Returns: functional model, trainable, without the backbone's own top.
    Raises:
        ValueError: a backbone whose output is not a single map, no layer for `aux`, or an unknown upsampling.
    Reference: https://docs.pytorch.org/vision/stable/models/fcn.html; Long et al. 2015,
        https://arxiv.org/abs/1411.4038.

    Example:
        >>> model = tfseg.FCN(tfseg.ResNet(18, output_stride=8, width=1 / 16), num_classes=5)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
        >>> model.get_layer("logits").output.shape
        (None, None, None, 5)
    """
    outputs = [
        _fcn_logits(
            check_features(backbone),
            num_classes,
            reduction=head_reduction,
            convs=convs,
            concat=concat,
            kernel_size=head_kernel,
            rate=head_rate,
        ),
        *auxiliary_logits(backbone, aux, aux_classes or num_classes, aux_reduction),
    ]
    return segmenter(backbone, outputs, upsampling, name or f"fcn_{backbone.name}")


def check_features(backbone: keras.Model) -> Tensor:
    """The single map that a head reads.

    Args:
        backbone: model whose output is that map.
    Raises:
        ValueError: the output is not a single map.
    """
    if isinstance(backbone.output, list) or len(backbone.output.shape) != 4:
        raise ValueError(
            "A head needs one map (batch, height, width, channels) from its backbone: build that with "
            f"include_top=False. Received: output {backbone.output}"
        )
    return backbone.output


def logits(x: Tensor, num_classes: int, prefix: str = "", kernel_size: int = 1) -> Tensor:
    """The convolution to the classes, with a bias: the layer `<prefix>logits`.

    Args:
        x: map `(batch, height, width, channels)`.
        num_classes: number of output channels.
        prefix: beginning of the layer's name.
        kernel_size: rows, and columns, of the kernel.
    """
    return blocks.conv(x, num_classes, kernel_size, f"{prefix}logits", use_bias=True)


def auxiliary_logits(
    backbone: keras.Model, aux: bool | str, num_classes: int, reduction: int = 4, filters: int | None = None
) -> list[Tensor]:
    """`[logits]` of an FCN head on an earlier layer, or `[]` without one.

    Args:
        backbone: model that has the layer.
        aux: layer that the head reads; True: the last block of ResNet's `conv4` stage; False: no head.
        num_classes: number of classes.
        reduction: how many times fewer channels the head has inside than it reads.
        filters: number of those channels instead.
    Raises:
        ValueError: the backbone has no such layer.
    """
    if not aux:
        return []
    x = tap(backbone, aux if isinstance(aux, str) else "conv4", "the auxiliary head", f"aux={aux!r}")
    return [_fcn_logits(x, num_classes, "aux_", reduction=reduction, filters=filters)]


def tap(backbone: keras.Model, layer: str, purpose: str, received: str) -> Tensor:
    """The output of one of a backbone's layers.

    Args:
        backbone: model that has the layer.
        layer: name of the layer, or of a ResNet's stage ("conv4"), whose last block is then used.
        purpose: what reads the output, for the error message.
        received: argument that named the layer, for the error message.
    Raises:
        ValueError: the backbone has no such layer.
    """
    block = re.compile(rf"{re.escape(layer)}_block\d+_out")
    names = [name for name in (part.name for part in backbone.layers) if name == layer or block.fullmatch(name)]
    if not names:
        raise ValueError(
            f"The backbone {backbone.name!r} has no layer for {purpose}: neither {layer} nor {layer}_block<n>_out. "
            f"Received: {received}"
        )
    return backbone.get_layer(names[-1]).output


def segmenter(
    backbone: keras.Model, outputs: Sequence[Tensor], upsampling: str, name: str, *, by_stride: bool = False
) -> keras.Model:
    """The model that returns maps of scores at its input's size: one output, or a list.

    Args:
        backbone: model from whose input the maps are computed.
        outputs: map of scores, and that of the auxiliary head if there is one.
        upsampling: name of `tfseg.specs.UPSAMPLINGS`.
        name: name of the model.
        by_stride: whether an interpolation enlarges a map by its stride and crops, like a transposed convolution.
    Raises:
        ValueError: an unknown upsampling.
    """
    blocks.check_choice("upsampling", upsampling, specs.UPSAMPLINGS)
    maps = [
        _enlarged(scores, backbone.input, upsampling, by_stride, prefix)
        for prefix, scores in zip(("", "aux_"), outputs, strict=False)
    ]
    return keras.Model(backbone.input, maps if len(maps) > 1 else maps[0], name=name)


def interpolation(upsampling: str) -> str:
    """How maps inside a head are resized: like its last map, or bilinearly for a transposed convolution.

    Args:
        upsampling: how the last map is enlarged, a name of `tfseg.specs.UPSAMPLINGS`.
    """
    return upsampling if upsampling in specs.INTERPOLATIONS else "bilinear"


def _enlarged(x: Tensor, image: keras.KerasTensor, upsampling: str, by_stride: bool, prefix: str) -> Tensor:
    if upsampling == "transposed_convolution":
        x = DepthwiseConv2DTranspose(stride_of(image, x), name=f"{prefix}up")(x)
    elif by_stride:
        x = Rescale(stride_of(image, x), upsampling, name=f"{prefix}up", dtype="float32")(x)
    else:
        return ResizeLike(upsampling, name=f"{prefix}score", dtype="float32")([x, image])
    return CropLike(name=f"{prefix}score", dtype="float32")([x, image])


def stride_of(image: keras.KerasTensor, x: Tensor) -> int:
    """Image pixels per pixel of a map, whatever borders remove or add.

    The image becomes 1024 rows taller; the stride is 1024 divided by the number of rows that the map gains.
    """
    graph = keras.Function(image, x)
    rows = [graph.compute_output_shape((1, side, side, image.shape[-1]))[1] for side in (1024, 2048)]
    return 1024 // (rows[1] - rows[0])


def _fcn_logits(
    features: Tensor,
    num_classes: int,
    prefix: str = "",
    *,
    reduction: int = 4,
    filters: int | None = None,
    convs: int = 1,
    concat: bool = False,
    kernel_size: int = 3,
    rate: int = 1,
) -> Tensor:
    filters = filters or max(1, features.shape[-1] // reduction)
    x = blocks.conv_norm_relu(features, filters, kernel_size, f"{prefix}head", dilation_rate=rate)
    for index in range(2, convs + 1):
        x = blocks.conv_norm_relu(x, filters, kernel_size, f"{prefix}head_{index}", dilation_rate=rate)
    if concat:
        x = Concatenate(name=f"{prefix}head_concat")([features, x])
        x = blocks.conv_norm_relu(x, filters, kernel_size, f"{prefix}head_cat")
    return logits(Dropout(0.1, name=f"{prefix}head_dropout")(x), num_classes, prefix)
