"""A convolution of many filters as several of few."""

import keras
from keras import layers, ops

from tfseg.rewrites import slice_convolutions

FILTERS = 64  # of one part


def split_filters(plan):
    """The filters of a convolution know nothing of each other, so they can be run 64 at a time.

    TensorFlow's convolutions on a CPU reach the speed of matrix products with so few filters, and about half of it
    with 512. Dilated kernels are given to it as they are, where Keras's layer rearranges the map (space to batch).

    Returns: the changed layers' names.
    """
    split = []
    for step in plan.of_kind(layers.Conv2D):
        rows, columns, channels, filters = step.operation.kernel.shape
        pays = rows * columns > 1 and filters > FILTERS and channels * filters >= slice_convolutions.PAYING
        if pays and slice_convolutions.is_plain(step.operation):
            step.kind = SplitConv2D
            step.changes = step.config(slice_convolutions.CONFIG) | {"dtype": step.operation.dtype_policy}
            split.append(step.name)
    return split


@keras.saving.register_keras_serializable("tfseg")
class SplitConv2D(layers.Conv2D):
    """What `keras.layers.Conv2D` computes at stride 1, channels last, one group: filter by filter, 64 at a time.

    Arguments and weights are those of `Conv2D`.
    """

    def call(self, inputs):
        kernel = ops.convert_to_tensor(self.kernel)
        parts = [
            _convolved(inputs, kernel[..., first : first + FILTERS], self.padding, self.dilation_rate)
            for first in range(0, self.filters, FILTERS)
        ]
        y = ops.concatenate(parts, axis=-1)
        return self.activation(y + self.bias if self.use_bias else y)


def _convolved(x, kernel, padding, rate):
    if keras.backend.backend() != "tensorflow":
        return ops.conv(x, kernel, 1, padding, "channels_last", rate)
    import tensorflow as tf

    return tf.nn.conv2d(x, kernel, 1, padding.upper(), dilations=rate)
