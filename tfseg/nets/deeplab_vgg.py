"""DeepLab on VGG16: its poolings read 3x3 pixels, two of them keep the size, and fc6 is a dilated 3x3 convolution."""

import keras
from keras.layers import Add, AveragePooling2D, MaxPooling2D, SpatialDropout2D, ZeroPadding2D

from tfseg import specs
from tfseg.nets import blocks
from tfseg.nets.heads import segmenter
from tfseg.nets.vgg import stage_convs


def DeepLabLargeFOV(
    num_classes=21,
    *,
    rates=None,
    upsampling="bilinear_align_corners",
    width=1.0,
    channels=3,
    name=None,
):
    """DeepLab-LargeFOV: VGG16 at output stride 8, one fc6 of rate 12 behind an average of 3x3 pixels.

    Input `(batch, height, width, channels)` float32, preprocessed (BGR minus mean for the public weights), any size.
    Output logits `(batch, height, width, num_classes)` float32; at sizes of 8 k + 1 pixels, as the public networks are
    given, enlarged exactly as there. The map at stride 8, `(batch, height // 8 + 1, width // 8 + 1, num_classes)` at
    those sizes, is the output of `fc8_score`.

    Args:
        num_classes: 21 for PASCAL VOC (background included).
        rates: of each fc6, one branch each; None: the paper's. SSD reads the same weights at (6,).
        upsampling: of `tfseg.specs.UPSAMPLINGS`, see `FCN`.
        width: multiplies every channel count but `num_classes`.
        channels: of the input.
        name: of the model.
    Raises:
        ValueError: another upsampling, or no rate.
    Reference: Chen et al. 2015, https://arxiv.org/abs/1412.7062, section 4 ("DeepLab-LargeFOV").
    """
    return _deeplab("deeplab_largefov", num_classes, rates, upsampling, width, channels, name)


def DeepLabV2VGG(
    num_classes=21,
    *,
    rates=None,
    upsampling="bilinear_align_corners",
    width=1.0,
    channels=3,
    name=None,
):
    """DeepLabV2 on VGG16: as `DeepLabLargeFOV`, with four branches of fc6, fc7 and scores, and without the average.

    The branches' scores are summed: their map at stride 8 is the output of `fc8_score`, that of branch 1 of
    `fc8_score_1`.

    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 3.2 and table 3 ("ASPP-L").
    """
    return _deeplab("deeplabv2_vgg16", num_classes, rates, upsampling, width, channels, name)


def _deeplab(network, num_classes, rates, upsampling, width, channels, name):
    own_rates, averages = specs.DEEPLAB_VGGS[network]
    rates = own_rates if rates is None else tuple(rates)
    if not rates:
        raise ValueError(f"{network} needs the rate of at least one fc6, such as {own_rates}. Received: rates={rates}")
    image, x = blocks.image_input(channels, "deeplab")
    for stage in range(1, 6):
        x = stage_convs(x, 16, stage, width=width, dilation_rate=2 if stage == 5 else 1)
        x = _pool(x, f"pool{stage}", strides=2 if stage <= 3 else 1)
    if averages:  # Caffe counts the zeros about the map
        x = ZeroPadding2D(1, data_format=blocks.CHANNELS_LAST, name="pool5a_pad")(x)
        x = AveragePooling2D(3, 1, data_format=blocks.CHANNELS_LAST, name="pool5a")(x)
    suffixes = [f"_{index}" for index in range(1, len(rates) + 1)] if len(rates) > 1 else [""]
    scores = [_branch(x, num_classes, rate, width, suffix) for rate, suffix in zip(rates, suffixes, strict=True)]
    score = Add(name="fc8_score")(scores) if len(scores) > 1 else scores[0]
    return segmenter(keras.Model(image, score), [score], upsampling, name or network)


def _pool(x, name, strides):
    """A maximum of 3x3 pixels under Caffe's ceil rule; zeros serve as minus infinity, for a ReLU stands before it."""
    if strides == 1:
        return MaxPooling2D(3, 1, padding="same", data_format=blocks.CHANNELS_LAST, name=name)(x)
    x = ZeroPadding2D(((1, 2), (1, 2)), data_format=blocks.CHANNELS_LAST, name=f"{name}_pad")(x)
    return blocks.max_pool(x, 3, name)


def _branch(x, num_classes, rate, width, suffix):
    units = blocks.scaled(specs.VGG_REDUCED_UNITS, width)
    for index, kernel_size, dilation_rate in ((6, 3, rate), (7, 1, 1)):
        x = blocks.conv(x, units, kernel_size, f"fc{index}{suffix}", use_bias=True, dilation_rate=dilation_rate)
        x = blocks.relu(x, f"relu{index}{suffix}")
        x = SpatialDropout2D(0.5, data_format=blocks.CHANNELS_LAST, name=f"drop{index}{suffix}")(x)
    return blocks.conv(x, num_classes, 1, f"fc8_score{suffix}", use_bias=True)
