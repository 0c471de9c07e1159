"""Networks in caffe-tensorflow's naming, narrow and random, computed with TensorFlow's functions and its padding SAME.

Weights are drawn when a layer is first met, and kept in kaffe's form: `{layer: {name: array}}`.
"""

import numpy as np
import tensorflow as tf

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
# Parts of the layers after a convolution, in TensorFlow 1's words.
TF1 = {"scale": "gamma", "offset": "beta", "mean": "moving_mean", "variance": "moving_variance"}


class KaffeNet:
    """Layers as functions, whose weights are drawn when they are first called."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)
        self.layers = {}

    def numbers(self, *shape, scale=1.0, around=0.0):
        return (around + scale * self.random.normal(size=shape)).astype("float32")

    def _kernel(self, name, shape, bias):
        if name not in self.layers:
            self.layers[name] = {"weights": self.numbers(*shape, scale=np.prod(shape[:-1]) ** -0.5)}
            self.layers[name] |= {"biases": self.numbers(shape[-1], scale=0.1)} if bias else {}
        layer = self.layers[name]
        return layer["weights"], layer.get("biases", np.float32(0))

    def conv(self, x, filters, kernel_size, name, *, stride=1, rate=1, pad=None, bias=False):
        """`pad` zeros on each side, or SAME."""
        weights, biases = self._kernel(name, (kernel_size, kernel_size, x.shape[-1], filters), bias)
        if pad:
            x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        return tf.nn.conv2d(x, weights, stride, "VALID" if pad else "SAME", dilations=rate) + biases

    def dense(self, x, units, name):
        weights, biases = self._kernel(name, (x.shape[-1], units), True)
        return x @ weights + biases

    def norm(self, x, name, relu=True):
        if name not in self.layers:
            count = x.shape[-1]
            self.layers[name] = {
                "mean": self.numbers(count, scale=0.2),
                "variance": np.abs(self.numbers(count, scale=0.2, around=1)),
                "scale": self.numbers(count, scale=0.2, around=1),
                "offset": self.numbers(count, scale=0.2),
            }
        layer = self.layers[name]
        x = tf.nn.batch_normalization(x, layer["mean"], layer["variance"], layer["offset"], layer["scale"], 1e-5)
        return tf.nn.relu(x) if relu else x

    def variables(self):
        """The same weights as TensorFlow 1 keeps them: `{"layer/name": array}`."""
        return {
            f"{layer}/{TF1.get(name, name)}": array
            for layer, parameters in self.layers.items()
            for name, array in parameters.items()
        }

    def save(self, path):
        """Writes kaffe's file `path.npy` or, without that ending, a checkpoint of TensorFlow 1; returns the path."""
        if path.suffix == ".npy":
            np.save(path, self.layers)
        else:
            names, tensors = zip(*self.variables().items(), strict=True)
            slices = [""] * len(names)
            tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=slices, tensors=tensors)
        return path


def vgg(net, pixels, convolutions=(2, 2, 3, 3, 3), width=1 / 16, classes=10):
    """Kaffe's program, for images of 224 pixels."""
    x = pixels
    for stage, count in enumerate(convolutions, 1):
        for index in range(1, count + 1):
            filters = int(min(64 * 2 ** (stage - 1), 512) * width)
            x = tf.nn.relu(net.conv(x, filters, 3, f"conv{stage}_{index}", bias=True))
        x = tf.nn.max_pool2d(x, 2, 2, "SAME")
    x = tf.reshape(x, (len(pixels), -1))
    for index in (6, 7):
        x = tf.nn.relu(net.dense(x, int(4096 * width), f"fc{index}"))
    return net.dense(x, classes, "fc8")


def resnet(net, pixels, depth=50, width=1 / 8, classes=10):
    """Kaffe's program: strides in the first 1x1."""
    x = net.conv(pixels, int(64 * width), 7, "conv1", stride=2, bias=depth == 50)
    x = tf.nn.max_pool2d(net.norm(x, "bn_conv1"), 3, 2, "SAME")
    for stage, count in enumerate(BLOCKS[depth], 2):
        planes = int(64 * 2 ** (stage - 2) * width)
        for block in range(count):
            letter = "abcdef"[block] if depth == 50 or count <= 3 else f"b{block}" if block else "a"
            name, stride = f"{stage}{letter}_branch", 2 if block == 0 and stage > 2 else 1

            def normed(x, filters, kernel_size, part, name=name, relu=True, **options):
                return net.norm(
                    net.conv(x, filters, kernel_size, f"res{name}{part}", **options), f"bn{name}{part}", relu
                )

            shortcut = normed(x, 4 * planes, 1, "1", relu=False, stride=stride) if block == 0 else x
            y = normed(normed(x, planes, 1, "2a", stride=stride), planes, 3, "2b")
            x = tf.nn.relu(shortcut + normed(y, 4 * planes, 1, "2c", relu=False))
    return net.dense(tf.reduce_mean(x, (1, 2)), classes, "fc1000")


def features(net, pixels, depth, width, places, rates):
    """PSPNet's trunk; for each stage the convolution that strides, or None, and the rate."""

    def normed(x, filters, kernel_size, name, relu=True, **options):
        return net.norm(net.conv(x, filters, kernel_size, name, **options), f"{name}_bn", relu)

    x = pixels
    for index, filters in enumerate((64, 64, 128), 1):
        name = f"conv1_{index}_3x3" + "_s2" * (index == 1)
        x = normed(x, int(filters * width), 3, name, stride=2 if index == 1 else 1)
    x = tf.nn.max_pool2d(x, 3, 2, "SAME")
    for stage, (count, place, rate) in enumerate(zip(BLOCKS[depth], places, rates, strict=True), 2):
        planes = int(64 * 2 ** (stage - 2) * width)
        for block in range(1, count + 1):
            name, shortcut, strides = f"conv{stage}_{block}", x, {"1x1": 1, "3x3": 1}
            if block == 1:
                strides |= {place: 2} if place else {}
                stride = 2 if place else 1
                shortcut = normed(x, 4 * planes, 1, f"{name}_1x1_proj", relu=False, stride=stride)
            y = normed(x, planes, 1, f"{name}_1x1_reduce", stride=strides["1x1"])
            y = normed(y, planes, 3, f"{name}_3x3", stride=strides["3x3"], rate=rate, pad=rate)
            x = tf.nn.relu(shortcut + normed(y, 4 * planes, 1, f"{name}_1x1_increase", relu=False))
    return x


def pspnet(net, pixels, depth=50, width=1 / 8, classes=5):
    """The scores at the size of the image, for images whose features fall into 1, 2, 3 and 6 equal parts."""
    x = features(net, pixels, depth, width, (None, "1x1", None, None), (1, 1, 2, 4))
    side, resize = x.shape[1], tf.compat.v1.image.resize_bilinear
    pooled = []
    for bins in (1, 2, 3, 6):
        name, size = f"conv5_3_pool{bins}_conv", side // bins
        y = tf.nn.avg_pool2d(x, size, size, "VALID")
        y = net.norm(net.conv(y, x.shape[-1] // 4, 1, name), f"{name}_bn")
        pooled.append(resize(y, (side, side), align_corners=True))
    x = tf.concat([x, *reversed(pooled)], -1)
    x = net.norm(net.conv(x, 512, 3, "conv5_4"), "conv5_4_bn")
    return resize(net.conv(x, classes, 1, "conv6", bias=True), pixels.shape[1:3], align_corners=True)


def classifier(net, pixels, depth=50, width=1 / 8, classes=5):
    """The classifier with PSPNet's names: stages 4 and 5 stride in their 3x3.

    The published one averages 7x7 pixels, the whole map of an image of 224.
    """
    x = features(net, pixels, depth, width, (None, "1x1", "3x3", "3x3"), (1, 1, 1, 1))
    return net.conv(tf.reduce_mean(x, (1, 2), keepdims=True), classes, 1, "conv6", bias=True)[:, 0, 0]
