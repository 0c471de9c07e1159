"""A convolution over many inputs as shifted slices of the map and matrix products."""

import keras
from keras import layers, ops

from tfseg.rewrites.plan import RewritePlan
from tfseg.types import Tensor

# Measured on two cores of a CPU, see BUILD_NOTES.md. Smaller convolutions are as fast in the backend's own kernels.
LEAST_CHANNELS_X_FILTERS = 2**16  # input channels times filters
LEAST_PLACES = 25  # places of the kernel: rows times columns
LEAST_POINTWISE = 512  # channels, and filters, of a kernel of one place
CONFIG = ("filters", "kernel_size", "padding", "dilation_rate", "use_bias", "activation")


def slice_convolutions(plan: RewritePlan) -> list[str]:
    """A convolution of stride 1 is one matrix product over slices of the map, each shifted by a place of the kernel.

    y[p] = sum over places k of W[k]^T x[p + dilation * k].

    The shifted maps for one row of the kernel, laid side by side, are a matrix of pixels by (columns x channels). One
    row of the kernel is then one product, so the large kernel of fc6 runs at the speed of a matrix product. For a
    kernel of one place, the map itself is the matrix.

    It applies only to large kernels, and to kernels of one place over many channels. Elsewhere the convolutions of the
    backend are as fast, and they do not need the slices' memory: the map's, times the kernel's columns.

    Args:
        plan: calls of the model; edited in place.
    Returns: the names of the changed layers.
    """
    sliced = []
    for step in plan.of_kind(layers.Conv2D):
        rows, columns, channels, filters = step.operation.kernel.shape
        if rows * columns == 1:
            pays = min(channels, filters) >= LEAST_POINTWISE
        else:
            pays = rows * columns >= LEAST_PLACES and channels * filters >= LEAST_CHANNELS_X_FILTERS
        if pays and is_plain(step.operation):
            step.changes = step.config(CONFIG) | {"dtype": step.operation.dtype_policy}
            step.kind = SlicedConv2D
            sliced.append(step.name)
    return sliced


def is_plain(conv: keras.Layer) -> bool:
    """Whether the convolution has stride 1 and one group."""
    return conv.groups == max(conv.strides) == 1


@keras.saving.register_keras_serializable("tfseg")
class SlicedConv2D(layers.Conv2D):
    """What `keras.layers.Conv2D` computes at stride 1, channels last, one group: as matrix products over slices.

    Arguments and weights are those of `Conv2D`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The convolution of `(batch, height, width, channels)`."""
        (rows, columns), (down, right) = self.kernel_size, self.dilation_rate
        channels = self.kernel.shape[2]
        x = inputs
        if self.padding == "same":
            lost = down * (rows - 1), right * (columns - 1)
            x = ops.pad(x, [[0, 0], *([pixels // 2, pixels - pixels // 2] for pixels in lost), [0, 0]])
        height, width = ops.shape(x)[1:3]
        result = 0
        for row in range(rows):
            band = x[:, row * down : height - (rows - 1 - row) * down]
            slices = [band[:, :, column * right : width - (columns - 1 - column) * right] for column in range(columns)]
            matrix = ops.reshape(ops.concatenate(slices, axis=-1), (-1, columns * channels))
            result += ops.matmul(matrix, ops.reshape(self.kernel[row], (columns * channels, self.filters)))
        shape = (-1, height - down * (rows - 1), width - right * (columns - 1), self.filters)
        if self.use_bias:
            result = ops.add(result, self.bias)
        return self.activation(ops.reshape(result, shape))
