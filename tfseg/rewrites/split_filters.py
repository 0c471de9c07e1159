"""A convolution of many filters as several convolutions of few."""

import keras
from keras import layers, ops

from tfseg.rewrites import slice_convolutions
from tfseg.rewrites.plan import RewritePlan
from tfseg.types import Size, Tensor

FILTERS_PER_PART = 64


def split_filters(plan: RewritePlan) -> list[str]:
    """The filters of a convolution do not depend on each other, so they can run 64 at a time.

    TensorFlow's convolutions on a CPU reach the speed of matrix products with so few filters, and about half of it
    with 512. Dilated kernels are given to TensorFlow as they are; Keras's layer rearranges the map (space to batch).

    Args:
        plan: calls of the model; edited in place.
    Returns: the names of the changed layers.
    """
    split = []
    for step in plan.of_kind(layers.Conv2D):
        rows, columns, channels, filters = step.operation.kernel.shape
        is_large = channels * filters >= slice_convolutions.LEAST_CHANNELS_X_FILTERS
        pays = rows * columns > 1 and filters > FILTERS_PER_PART and is_large
        if pays and slice_convolutions.is_plain(step.operation):
            step.kind = SplitConv2D
            step.changes = step.config(slice_convolutions.CONFIG) | {"dtype": step.operation.dtype_policy}
            split.append(step.name)
    return split


@keras.saving.register_keras_serializable("tfseg")
class SplitConv2D(layers.Conv2D):
    """What `keras.layers.Conv2D` computes at stride 1, channels last, one group: 64 filters at a time.

    Arguments and weights are those of `Conv2D`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The convolution of `(batch, height, width, channels)`."""
        kernel = ops.convert_to_tensor(self.kernel)
        parts = [
            _convolved(inputs, kernel[..., first : first + FILTERS_PER_PART], self.padding, self.dilation_rate)
            for first in range(0, self.filters, FILTERS_PER_PART)
        ]
        y = ops.concatenate(parts, axis=-1)
        return self.activation(y + self.bias if self.use_bias else y)


def _convolved(x: Tensor, kernel: Tensor, padding: str, rate: Size) -> Tensor:
    if keras.backend.backend() != "tensorflow":
        return ops.conv(x, kernel, 1, padding, "channels_last", rate)
    import tensorflow as tf

    return tf.nn.conv2d(x, kernel, 1, padding.upper(), dilations=rate)
