"""DeepLab on VGG16: its poolings read 3x3 pixels, two of them keep the size, and fc6 is a dilated 3x3 convolution."""

from collections.abc import Sequence

import keras
from keras.layers import Add, AveragePooling2D, MaxPooling2D, SpatialDropout2D, ZeroPadding2D

from tfseg import specs
from tfseg.nets import blocks
from tfseg.nets.heads import segmenter
from tfseg.nets.vgg import stage_convs
from tfseg.types import Tensor


def DeepLabLargeFOV(
    num_classes: int = 21,
    *,
    rates: Sequence[int] | None = None,
    upsampling: str = "bilinear_align_corners",
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """DeepLab-LargeFOV: VGG16 at output stride 8, one fc6 of rate 12 after an average of 3x3 pixels.

    Input `(batch, height, width, channels)` float32, preprocessed (BGR minus mean for the public weights), any size.
    Output logits `(batch, height, width, num_classes)` float32. The map at stride 8 is the output of `fc8_score`.

    The public networks are given images of 8 k + 1 pixels. There the map has `height // 8 + 1` rows and
    `width // 8 + 1` columns, and is enlarged exactly as in the public networks.

    Args:
        num_classes: number of classes, 21 for PASCAL VOC (background included).
        rates: dilation rate of each fc6, one branch for each; None: the paper's. SSD reads the same weights at (6,).
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`).
        width: factor of every channel count but `num_classes`.
        channels: channels of the input.
        name: name of the model; None: "deeplab_largefov".
    Returns: functional model.
    Raises:
        ValueError: another upsampling, or no rate.
    Reference: Chen et al. 2015, https://arxiv.org/abs/1412.7062, section 4 ("DeepLab-LargeFOV").

    Example:
        >>> model = tfseg.DeepLabLargeFOV(5, width=1 / 16)
        >>> features = keras.Model(model.input, model.get_layer("fc8_score").output)
        >>> tuple(features(np.zeros((1, 65, 81, 3))).shape)
        (1, 9, 11, 5)
    """
    return _deeplab("deeplab_largefov", num_classes, rates, upsampling, width, channels, name)


def DeepLabV2VGG(
    num_classes: int = 21,
    *,
    rates: Sequence[int] | None = None,
    upsampling: str = "bilinear_align_corners",
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """DeepLabV2 on VGG16: `DeepLabLargeFOV` with four branches of fc6, fc7 and scores, and without the average.

    Input and output are those of `DeepLabLargeFOV`. The scores of the branches are summed. The sum at stride 8 is the
    output of `fc8_score`, the scores of the first branch are the output of `fc8_score_1`.

    Args:
        num_classes: number of classes, 21 for PASCAL VOC (background included).
        rates: dilation rate of each fc6, one branch for each; None: the paper's.
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`).
        width: factor of every channel count but `num_classes`.
        channels: channels of the input.
        name: name of the model; None: "deeplabv2_vgg16".
    Returns: functional model.
    Raises:
        ValueError: another upsampling, or no rate.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 3.2 and table 3 ("ASPP-L").

    Example:
        >>> model = tfseg.DeepLabV2VGG(5, rates=(6, 12), width=1 / 16)
        >>> [model.get_layer(name).dilation_rate for name in ("fc6_1", "fc6_2")]
        [(6, 6), (12, 12)]
    """
    return _deeplab("deeplabv2_vgg16", num_classes, rates, upsampling, width, channels, name)


def _deeplab(
    network: str,
    num_classes: int,
    rates: Sequence[int] | None,
    upsampling: str,
    width: float,
    channels: int,
    name: str | None,
) -> keras.Model:
    paper_rates, averages = specs.DEEPLAB_VGGS[network]
    rates = paper_rates if rates is None else tuple(rates)
    if not rates:
        raise ValueError(
            f"{network} needs the rate of at least one fc6, such as {paper_rates}. Received: rates={rates}"
        )
    blocks.check_width(width)
    image, x = blocks.image_input(channels, "deeplab")
    for stage in range(1, 6):
        x = stage_convs(x, 16, stage, width=width, dilation_rate=2 if stage == 5 else 1)
        x = _pool(x, f"pool{stage}", strides=2 if stage <= 3 else 1)
    if averages:  # Caffe's average counts the zeros around the map
        x = ZeroPadding2D(1, data_format=blocks.CHANNELS_LAST, name="pool5a_pad")(x)
        x = AveragePooling2D(3, 1, data_format=blocks.CHANNELS_LAST, name="pool5a")(x)
    suffixes = [f"_{index}" for index in range(1, len(rates) + 1)] if len(rates) > 1 else [""]
    scores = [_branch(x, num_classes, rate, width, suffix) for rate, suffix in zip(rates, suffixes, strict=True)]
    score = Add(name="fc8_score")(scores) if len(scores) > 1 else scores[0]
    return segmenter(keras.Model(image, score), [score], upsampling, name or network)


def _pool(x: Tensor, name: str, strides: int) -> Tensor:
    """A maximum of 3x3 pixels by Caffe's ceil rule, padded with zeros: its input comes from a ReLU."""
    if strides == 1:
        return MaxPooling2D(3, 1, padding="same", data_format=blocks.CHANNELS_LAST, name=name)(x)
    x = ZeroPadding2D(((1, 2), (1, 2)), data_format=blocks.CHANNELS_LAST, name=f"{name}_pad")(x)
    return blocks.max_pool(x, 3, name)


def _branch(x: Tensor, num_classes: int, rate: int, width: float, suffix: str) -> Tensor:
    units = specs.scaled(specs.VGG_REDUCED_UNITS, width)
    for index, kernel_size, dilation_rate in ((6, 3, rate), (7, 1, 1)):
        x = blocks.conv(x, units, kernel_size, f"fc{index}{suffix}", use_bias=True, dilation_rate=dilation_rate)
        x = blocks.relu(x, f"relu{index}{suffix}")
        x = SpatialDropout2D(0.5, data_format=blocks.CHANNELS_LAST, name=f"drop{index}{suffix}")(x)
    return blocks.conv(x, num_classes, 1, f"fc8_score{suffix}", use_bias=True)
