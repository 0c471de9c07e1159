"""bonlime's DeepLabs for Keras, and bubbliiiing's in the same names, narrow and random, under the names of its files."""

import keras
import tensorflow as tf
from helpers.references import randomize
from helpers.tf1_deeplab import MOBILENET
from keras import layers


class Resized(layers.Layer):
    """A map at the size of another one, its corners on the other's."""

    def call(self, inputs):
        x, like = inputs
        return tf.compat.v1.image.resize_bilinear(x, tf.shape(like)[1:3], align_corners=True)

    def compute_output_shape(self, shapes):
        return (*shapes[1][:3], shapes[0][3])


def _norm(x, name, epsilon=1e-3):
    return layers.BatchNormalization(epsilon=epsilon, name=f"{name}_BN")(x)


def _conv(x, filters, kernel_size, name, epsilon=1e-3, strides=1):
    x = layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False, name=name)(x)
    return _norm(x, name, epsilon)


def _separable(x, filters, name, *, strides=1, rate=1, inside=False, epsilon=1e-3):
    x = x if inside else layers.ReLU()(x)
    padding = "same"
    if strides > 1:
        x, padding = layers.ZeroPadding2D(1)(x), "valid"
    options = {"padding": padding, "dilation_rate": rate, "use_bias": False}
    x = layers.DepthwiseConv2D(3, strides, name=f"{name}_depthwise", **options)(x)
    x = _norm(x, f"{name}_depthwise", epsilon)
    x = layers.ReLU()(x) if inside else x
    x = _conv(x, filters, 1, f"{name}_pointwise", epsilon)
    return layers.ReLU()(x) if inside else x


def _module(x, filters, name, shortcut, strides=1, rate=1):
    before, maps = x, []
    for index, count in enumerate(filters, 1):
        stride = strides if index == 3 else 1
        x = _separable(x, count, f"{name}_separable_conv{index}", strides=stride, rate=rate, inside=shortcut == "none")
        maps.append(x)
    if shortcut == "conv":
        before = _conv(before, filters[-1], 1, f"{name}_shortcut", strides=strides)
    return (x if shortcut == "none" else layers.Add()([x, before])), maps[1]


def _head(x, rates):
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    mean = Resized()([layers.ReLU()(_conv(mean, 256, 1, "image_pooling", 1e-5)), x])
    branches = [mean, layers.ReLU()(_conv(x, 256, 1, "aspp0", 1e-5))]
    for index, rate in enumerate(rates, 1):
        branches.append(_separable(x, 256, f"aspp{index}", rate=rate, inside=True, epsilon=1e-5))
    return layers.ReLU()(_conv(layers.Concatenate()(branches), 256, 1, "concat_projection", 1e-5))


def _decoder(x, low):
    low = layers.ReLU()(_conv(low, 48, 1, "feature_projection0", 1e-5))
    x = layers.Concatenate()([Resized()([x, low]), low])
    for index in range(2):
        x = _separable(x, 256, f"decoder_conv{index}", inside=True, epsilon=1e-5)
    return x


def xception(width=1 / 16, classes=5, logits="custom_logits_semantic"):
    """DeepLabV3+ on Xception-65, output stride 16; without a name of its last layer bubbliiiing's."""
    count = lambda filters: max(1, round(filters * width))  # noqa: E731
    image = keras.Input((None, None, 3))
    x = layers.ReLU()(_conv(image, count(32), 3, "entry_flow_conv1_1", strides=2))
    x = layers.ReLU()(_conv(x, count(64), 3, "entry_flow_conv1_2"))
    x, _ = _module(x, (count(128),) * 3, "entry_flow_block1", "conv", 2)
    x, low = _module(x, (count(256),) * 3, "entry_flow_block2", "conv", 2)
    x, _ = _module(x, (count(728),) * 3, "entry_flow_block3", "conv", 2)
    for unit in range(1, 17):
        x, _ = _module(x, (count(728),) * 3, f"middle_flow_unit_{unit}", "sum")
    x, _ = _module(x, tuple(map(count, (728, 1024, 1024))), "exit_flow_block1", "conv")
    x, _ = _module(x, tuple(map(count, (1536, 1536, 2048))), "exit_flow_block2", "none", rate=2)
    x = layers.Conv2D(classes, 1, name=logits)(_decoder(_head(x, (6, 12, 18)), low))
    return randomize(keras.Model(image, Resized()([x, image])))


def mobilenet_features(image, output_stride, kept_block=3):
    """MobileNetV2's last map, and that of a block."""
    x = layers.ReLU(6)(_conv(image, 32, 3, "Conv", strides=2))
    number, reached, rate, low = 0, 2, 1, None
    for expansion, filters, repetitions, first in MOBILENET:
        for index in range(repetitions):
            strides = first if index == 0 else 1
            kept = strides if reached < output_stride else 1
            name, before = "expanded_conv_" + (f"{number}_" if number else ""), x
            if expansion > 1:
                x = layers.ReLU(6)(_conv(x, expansion * x.shape[-1], 1, f"{name}expand"))
            options = {"padding": "same", "dilation_rate": rate, "use_bias": False, "name": f"{name}depthwise"}
            x = layers.ReLU(6)(_norm(layers.DepthwiseConv2D(3, kept, **options)(x), f"{name}depthwise"))
            x = _conv(x, filters, 1, f"{name}project")
            x = layers.Add()([x, before]) if strides == 1 and x.shape[-1] == before.shape[-1] else x
            number, reached, rate = number + 1, reached * kept, rate * strides // kept
            low = x if number == kept_block else low
    return x, low


def mobilenet(classes=21):
    """DeepLabV3 on MobileNetV2, output stride 8."""
    image = keras.Input((None, None, 3))
    x, _ = mobilenet_features(image, 8)
    x = layers.Conv2D(classes, 1, name="logits_semantic")(_head(x, ()))
    return randomize(keras.Model(image, Resized()([x, image])))


def mobilenet_plus(classes=21, output_stride=16):
    """bubbliiiing's DeepLabV3+ on MobileNetV2, whose last layer has no name."""
    image = keras.Input((None, None, 3))
    x, low = mobilenet_features(image, output_stride)
    x = _decoder(_head(x, {16: (6, 12, 18), 8: (12, 24, 36)}[output_stride]), low)
    x = layers.Conv2D(classes, 1)(x)
    return randomize(keras.Model(image, Resized()([x, image])))


def xception_plus(classes=21):
    """bubbliiiing's DeepLabV3+ on Xception-65."""
    return xception(classes=classes, logits=None)
