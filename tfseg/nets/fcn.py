"""The four FCNs on VGG16: FCN-32s, -16s, -8s and -8s-at-once, in the exact geometry of the paper's networks."""

import functools
from collections.abc import Mapping

import keras
from keras.layers import Add, Conv2DTranspose, DepthwiseConv2D, Rescaling, SpatialDropout2D

from tfseg import specs
from tfseg.initializers import BilinearInitializer
from tfseg.layers import CropLike, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.fcn_geometry import explain_geometry
from tfseg.nets.vgg import stage_convs
from tfseg.types import Tensor

Heads = int | Mapping[str, int]
"""A number of classes, or one for each head by its name."""


def FCN32s(
    num_classes: Heads = 21,
    *,
    padding: int | str = 100,
    width: float = 1.0,
    channels: int = 3,
    upsampling: str = "transposed_convolution",
    name: str | None = None,
) -> keras.Model:
    """FCN-32s on VGG16: one transposed convolution from stride 32 to the image's size.

    Input `(batch, height, width, channels)` float32, preprocessed (BGR minus mean for the public weights), any size.
    Output logits `(batch, height, width, num_classes)` float32. Layers have the paper's names. Score layers begin at
    zero, transposed convolutions as bilinear interpolation; the other kernels are random until weights are imported.

    Several heads share one trunk with `num_classes={"sem": 33, "geo": 3}`: SIFT Flow's semantic and geometric classes.
    The model then returns a list of logits in that order, and a head's layers end in its name (`score_fr_sem`).

    Args:
        num_classes: number of classes, 21 for PASCAL VOC (background included); or one for each head, by its name.
        padding: 100, the paper's number of zero pixels around the image, or "same", the lighter modern form without
            them (conv1_1 padded by 1, fc6 by 3, transposed convolutions by half their stride). The same weights fit
            both; near the image's border their scores differ.
        width: factor of every channel count but `num_classes`.
        channels: channels of the input; 4 for color and depth.
        upsampling: "transposed_convolution", or a name of `tfseg.specs.INTERPOLATIONS`: how scores are resized to those
            of the next finer map and to the image, borders included (meetps/pytorch-semseg: "nearest").
        name: name of the model; None: "fcn32s".
    Returns: functional model.
    Raises:
        ValueError: another padding or upsampling, or no heads.
    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211; `explain_geometry` derives the crops.

    Example:
        >>> model = tfseg.FCN32s(5, padding="same", width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    return _fcn("fcn32s", num_classes, padding, width, channels, name, upsampling=upsampling)


def FCN16s(
    num_classes: Heads = 21,
    *,
    padding: int | str = 100,
    width: float = 1.0,
    channels: int = 3,
    upsampling: str = "transposed_convolution",
    name: str | None = None,
) -> keras.Model:
    """FCN-16s on VGG16: `FCN32s` with the scores of pool4 added at stride 16.

    Input and output are those of `FCN32s`.

    Args:
        num_classes: number of classes, or one for each head by its name (see `FCN32s`).
        padding: 100, the paper's number of zero pixels around the image, or "same" (see `FCN32s`).
        width: factor of every channel count but `num_classes`.
        channels: channels of the input; 4 for color and depth.
        upsampling: how scores are enlarged (see `FCN32s`).
        name: name of the model; None: "fcn16s".
    Returns: functional model.
    Raises:
        ValueError: another padding or upsampling, or no heads.
    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211, section 4.2.

    Example:
        >>> tfseg.FCN16s(5, width=1 / 16).get_layer("score_pool4").filters
        5
    """
    return _fcn("fcn16s", num_classes, padding, width, channels, name, upsampling=upsampling)


def FCN8s(
    num_classes: Heads = 21,
    *,
    padding: int | str = 100,
    width: float = 1.0,
    channels: int = 3,
    upsampling: str = "transposed_convolution",
    name: str | None = None,
) -> keras.Model:
    """FCN-8s on VGG16: `FCN32s` with the scores of pool4 added at stride 16 and those of pool3 at stride 8.

    Input and output are those of `FCN32s`.

    Args:
        num_classes: number of classes, or one for each head by its name (see `FCN32s`).
        padding: 100, the paper's number of zero pixels around the image, or "same" (see `FCN32s`).
        width: factor of every channel count but `num_classes`.
        channels: channels of the input; 4 for color and depth.
        upsampling: how scores are enlarged (see `FCN32s`).
        name: name of the model; None: "fcn8s".
    Returns: functional model.
    Raises:
        ValueError: another padding or upsampling, or no heads.
    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211, section 4.2.

    Example:
        >>> model = tfseg.FCN8s({"sem": 33, "geo": 3}, padding="same", width=1 / 16)
        >>> [output.shape for output in model.outputs]
        [(None, None, None, 33), (None, None, None, 3)]
    """
    return _fcn("fcn8s", num_classes, padding, width, channels, name, upsampling=upsampling)


def FCN8sAtOnce(
    num_classes: Heads = 21,
    *,
    padding: int | str = 100,
    width: float = 1.0,
    channels: int = 3,
    channel_scales: bool = False,
    name: str | None = None,
) -> keras.Model:
    """FCN-8s trained in one step: `FCN8s` with pool4 multiplied by 0.01 and pool3 by 0.0001 before their scores.

    Input and output are those of `FCN32s`.

    Args:
        num_classes: number of classes, or one for each head by its name (see `FCN32s`).
        padding: 100, the paper's number of zero pixels around the image, or "same" (see `FCN32s`).
        width: factor of every channel count but `num_classes`.
        channels: channels of the input; 4 for color and depth.
        channel_scales: whether the two factors are weights, one for each channel, as in the original Caffe network.
        name: name of the model; None: "fcn8s_atonce".
    Returns: functional model.
    Raises:
        ValueError: another padding, or no heads.
    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211, section 4.3.

    Example:
        >>> tfseg.FCN8sAtOnce(5, width=1 / 16).get_layer("scale_pool4").scale
        0.01
    """
    return _fcn("fcn8s_atonce", num_classes, padding, width, channels, name, channel_scales)


def _fcn(
    network: str,
    num_classes: Heads,
    padding: int | str,
    width: float,
    channels: int,
    name: str | None,
    channel_scales: bool = False,
    upsampling: str = "transposed_convolution",
) -> keras.Model:
    heads = num_classes if isinstance(num_classes, Mapping) else {"": num_classes}
    if not heads:
        raise ValueError('num_classes is a number, or one for each head: {"sem": 33, "geo": 3}. Received: {}')
    blocks.check_choice("padding", padding, (100, "same"))
    blocks.check_choice("upsampling", upsampling, ("transposed_convolution", *specs.INTERPOLATIONS))
    blocks.check_width(width)
    same = padding == "same"
    image, x = blocks.image_input(channels, "fcn")
    poolings = {}
    for stage in range(1, 6):
        first_padding = int(padding) if stage == 1 and not same else None
        x = stage_convs(x, 16, stage, width=width, first_padding=first_padding)
        # TensorFlow's "same" is the ceil rule at window 2, stride 2.
        x = poolings[f"pool{stage}"] = blocks.max_pool(x, 2, f"pool{stage}", padding="same")
    units = specs.scaled(specs.VGG_FC_UNITS, width)
    for index, kernel_size in ((6, specs.VGG_GRID), (7, 1)):
        x = blocks.conv(x, units, kernel_size, f"fc{index}", use_bias=True, padding=None if same else 0)
        x = SpatialDropout2D(0.5, data_format=blocks.CHANNELS_LAST, name=f"drop{index}")(blocks.relu(x, f"relu{index}"))
    skips = {
        skip: _scaled(poolings[skip], skip, scale, channel_scales) for _, _, skip, scale in specs.FCNS[network] if skip
    }
    finish = functools.partial(_head, network, padding)
    if upsampling != "transposed_convolution":
        finish = functools.partial(_resized_head, network, upsampling)
    scores = [finish(x, skips, image, count, head and f"_{head}") for head, count in heads.items()]
    return keras.Model(image, scores if isinstance(num_classes, Mapping) else scores[0], name=name or network)


def _scaled(pooling: Tensor, skip: str, scale: float | None, channel_scales: bool) -> Tensor:
    if scale is None:
        return pooling
    if not channel_scales:
        return Rescaling(scale, name=f"scale_{skip}")(pooling)
    return DepthwiseConv2D(
        1,
        use_bias=False,
        depthwise_initializer=keras.initializers.Constant(scale),
        data_format=blocks.CHANNELS_LAST,
        name=f"scale_{skip}",
    )(pooling)


def _head(
    network: str,
    padding: int | str,
    x: Tensor,
    skips: Mapping[str, Tensor],
    image: keras.KerasTensor,
    num_classes: int,
    suffix: str,
) -> Tensor:
    """Logits at the image's size, from the map of fc7 and the skips.

    Args:
        network: name of `tfseg.specs.FCNS`.
        padding: 100 or "same".
        x: map of fc7.
        skips: poolings, already scaled, by their names.
        image: input of the model.
        num_classes: number of classes of this head.
        suffix: end of the layers' names, which distinguishes several heads.
    """
    crops = explain_geometry(network, 1, 1, padding=padding).crops
    same = padding == "same"
    x = _score(x, num_classes, f"score_fr{suffix}")
    for upscore, strides, skip, _ in specs.FCNS[network]:
        x = Conv2DTranspose(
            num_classes,
            2 * strides,
            strides,
            padding="same" if same else "valid",
            use_bias=False,
            kernel_initializer=BilinearInitializer(),
            data_format=blocks.CHANNELS_LAST,
            name=f"{upscore}{suffix}",
        )(x)
        if skip is None:
            return CropLike(crops[upscore], name=f"score{suffix}", dtype="float32")([x, image])
        y = _score(skips[skip], num_classes, f"score_{skip}{suffix}")
        if same:
            x = CropLike(crops[upscore], name=f"{upscore}{suffix}c")([x, y])
        else:
            y = CropLike(crops[f"score_{skip}"], name=f"score_{skip}{suffix}c")([y, x])
        x = Add(name=f"fuse_{skip}{suffix}")([x, y])
    return x


def _resized_head(
    network: str,
    upsampling: str,
    x: Tensor,
    skips: Mapping[str, Tensor],
    image: keras.KerasTensor,
    num_classes: int,
    suffix: str,
) -> Tensor:
    """Logits at the image's size, where scores are resized to those of the next finer map and nothing is cropped."""
    x = _score(x, num_classes, f"score_fr{suffix}")
    for name, _, skip, _ in specs.FCNS[network]:
        if skip is None:
            return ResizeLike(upsampling, name=f"score{suffix}", dtype="float32")([x, image])
        y = _score(skips[skip], num_classes, f"score_{skip}{suffix}")
        x = ResizeLike(upsampling, name=f"{name}{suffix}")([x, y])
        x = Add(name=f"fuse_{skip}{suffix}")([x, y])
    return x


def _score(x: Tensor, num_classes: int, name: str) -> Tensor:
    return blocks.conv(x, num_classes, 1, name, use_bias=True, kernel_initializer="zeros")
