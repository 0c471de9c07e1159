"""The FCN-VGG four: FCN-32s, -16s, -8s and -8s-at-once, in the exact geometry of the paper's networks."""

from collections.abc import Mapping

import keras
from keras.layers import Add, Conv2DTranspose, DepthwiseConv2D, Rescaling, SpatialDropout2D

from tfseg import specs
from tfseg.initializers import BilinearInitializer
from tfseg.layers import CropLike
from tfseg.nets import blocks
from tfseg.nets.fcn_geometry import explain_geometry
from tfseg.nets.vgg import stage_convs


def FCN32s(num_classes=21, *, padding=100, width=1.0, channels=3, name=None):
    """FCN-32s on VGG16: one transposed convolution from stride 32 to the image's size.

    Input `(batch, height, width, channels)` float32, preprocessed (BGR minus mean for the public weights), any size.
    Output logits `(batch, height, width, num_classes)` float32. Layers bear the paper's names; score layers begin at
    zero, transposed convolutions bilinear, the rest random until weights are imported.

    Args:
        num_classes: 21 for PASCAL VOC (background included); or several heads on one trunk, as `{"sem": 33, "geo": 3}`
            for SIFT Flow's semantic and geometric classes: the model then returns a list of logits, a head each, in
            that order, and the layers of a head end in its name (`score_fr_sem`).
        padding: 100, the paper's border of zeros about the image, or "same": the lighter modern form without it
            (conv1_1 padded by 1, fc6 by 3, transposed convolutions by half their stride). The same weights fit both;
            near the image's border their scores differ.
        width: multiplies every channel count but `num_classes`.
        channels: of the input; 4 for colour and depth.
        name: of the model.
    Raises:
        ValueError: another padding, or no heads.
    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211; `explain_geometry` derives the crops.
    """
    return _fcn("fcn32s", num_classes, padding, width, channels, name)


def FCN16s(num_classes=21, *, padding=100, width=1.0, channels=3, name=None):
    """FCN-16s: as `FCN32s`, with the scores of pool4 added at stride 16."""
    return _fcn("fcn16s", num_classes, padding, width, channels, name)


def FCN8s(num_classes=21, *, padding=100, width=1.0, channels=3, name=None):
    """FCN-8s: as `FCN32s`, with the scores of pool4 added at stride 16 and those of pool3 at stride 8."""
    return _fcn("fcn8s", num_classes, padding, width, channels, name)


def FCN8sAtOnce(num_classes=21, *, padding=100, width=1.0, channels=3, channel_scales=False, name=None):
    """FCN-8s trained in one go: as `FCN8s`, with pool4 multiplied by 0.01 and pool3 by 0.0001 before their scores.

    With `channel_scales` these factors are weights, one a channel, as the original Caffe network has them.
    """
    return _fcn("fcn8s_atonce", num_classes, padding, width, channels, name, channel_scales)


def _fcn(network, num_classes, padding, width, channels, name, channel_scales=False):
    heads = num_classes if isinstance(num_classes, Mapping) else {"": num_classes}
    if not heads:
        raise ValueError('num_classes is a number, or one for each head: {"sem": 33, "geo": 3}. Received: {}')
    same = padding == "same"
    image, x = blocks.image_input(channels, "fcn")
    poolings = {}
    for stage in range(1, 6):
        x = stage_convs(x, 16, stage, width=width, first_padding=padding if stage == 1 and not same else None)
        # TensorFlow's "same" is the ceil rule at window 2, stride 2.
        x = poolings[f"pool{stage}"] = blocks.max_pool(x, 2, f"pool{stage}", padding="same")
    units = blocks.scaled(specs.VGG_FC_UNITS, width)
    for index, kernel_size in ((6, specs.VGG_GRID), (7, 1)):
        x = blocks.conv(x, units, kernel_size, f"fc{index}", use_bias=True, padding=None if same else 0)
        x = SpatialDropout2D(0.5, data_format=blocks.CHANNELS_LAST, name=f"drop{index}")(blocks.relu(x, f"relu{index}"))
    skips = {
        skip: _scaled(poolings[skip], skip, scale, channel_scales) for _, _, skip, scale in specs.FCNS[network] if skip
    }
    scores = [_head(network, padding, x, skips, image, count, head and f"_{head}") for head, count in heads.items()]
    return keras.Model(image, scores if isinstance(num_classes, Mapping) else scores[0], name=name or network)


def _scaled(pooling, skip, scale, channel_scales):
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


def _head(network, padding, x, skips, image, num_classes, suffix):
    """Logits at the image's size, of fc7's map and the skips; `suffix` tells the layers of several heads apart."""
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


def _score(x, num_classes, name):
    return blocks.conv(x, num_classes, 1, name, use_bias=True, kernel_initializer="zeros")
