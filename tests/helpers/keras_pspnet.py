"""PSPNet for Keras under the authors' names of its layers, narrow and random, for images of 473 or 713 pixels."""

import keras
import tensorflow as tf
from helpers.references import randomize
from keras import layers

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Interp(layers.Layer):
    """Maps of a size, with aligned corners or not."""

    def __init__(self, size, aligned):
        super().__init__()
        self.size, self.aligned = size, aligned

    def call(self, x):
        if self.aligned:
            return tf.compat.v1.image.resize_bilinear(x, self.size, align_corners=True)
        return tf.image.resize(x, self.size)


def _unit(x, filters, kernel_size, name, *, strides=1, rate=1, relu=True):
    options = {"padding": "same", "dilation_rate": rate, "use_bias": False, "name": name}
    x = layers.Conv2D(filters, kernel_size, strides, **options)(x)
    x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU()(x) if relu else x


def pspnet(depth=50, side=473, *, width=1 / 16, classes=5, aligned=True):
    """The network; `aligned=False` is that of divamgupta's package."""
    count = lambda filters: int(filters * width)  # noqa: E731
    x = image = keras.Input((side, side, 3))
    for index, (filters, strides, end) in enumerate(((64, 2, "_s2"), (64, 1, ""), (128, 1, "")), 1):
        x = _unit(x, count(filters), 3, f"conv1_{index}_3x3{end}", strides=strides)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, (blocks, rate) in enumerate(zip(BLOCKS[depth], (1, 1, 2, 4), strict=True), 2):
        filters = count(64 * 2 ** (stage - 2))
        for block in range(1, blocks + 1):
            strides = 2 if (stage, block) == (3, 1) else 1
            name, before = f"conv{stage}_{block}", x
            x = _unit(x, filters, 1, f"{name}_1x1_reduce", strides=strides)
            x = _unit(x, filters, 3, f"{name}_3x3", rate=rate)
            x = _unit(x, 4 * filters, 1, f"{name}_1x1_increase", relu=False)
            if block == 1:
                before = _unit(before, 4 * filters, 1, f"{name}_1x1_proj", strides=strides, relu=False)
            x = layers.ReLU()(layers.Add()([x, before]))
    pooled, edge = {}, x.shape[1]
    for bins in (1, 2, 3, 6):
        y = layers.AveragePooling2D(edge // bins)(x)
        y = _unit(y, count(512), 1, f"conv5_3_pool{bins}_conv")
        pooled[bins] = Interp((edge, edge), aligned)(y)
    x = layers.Concatenate()([x, pooled[6], pooled[3], pooled[2], pooled[1]])
    x = _unit(x, 512, 3, "conv5_4")
    x = layers.Conv2D(classes, 1, name="conv6")(x)
    return randomize(keras.Model(image, Interp((side, side), aligned)(x)))
