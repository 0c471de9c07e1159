"""A convolution over many inputs as shifted slices of the map and matrix products."""

import keras
from keras import layers, ops

# Measured on two cores of a CPU, see BUILD_NOTES.md: channels x filters from which a convolution pays to be rewritten,
# places of a kernel from which slices do, and channels as well as filters from which they do where it has one place.
PAYING, LARGE, POINTWISE = 2**16, 25, 512
CONFIG = ("filters", "kernel_size", "padding", "dilation_rate", "use_bias", "activation")


def slice_convolutions(plan):
    """A convolution of stride 1 is one matrix product over slices of the map, each shifted by a place of the kernel.

    y[p] = sum over places k of W[k]^T x[p + dilation * k]: laid side by side, the shifted maps of one row of the kernel
    are a matrix of pixels by (columns x channels), and a row is one product. So the large kernel of fc6 runs at the
    speed of a matrix product. A kernel of one place is a product of the map as it lies.

    Only large kernels, and those of one place over many channels: elsewhere the convolutions of the backend are as
    fast, without the slices' memory, `kernel columns` times that of the map.

    Returns: the changed layers' names.
    """
    sliced = []
    for step in plan.of_kind(layers.Conv2D):
        rows, columns, channels, filters = step.operation.kernel.shape
        if rows * columns == 1:
            pays = min(channels, filters) >= POINTWISE
        else:
            pays = rows * columns >= LARGE and channels * filters >= PAYING
        if pays and is_plain(step.operation):
            step.changes = step.config(CONFIG) | {"dtype": step.operation.dtype_policy}
            step.kind = SlicedConv2D
            sliced.append(step.name)
    return sliced


def is_plain(conv):
    """Whether it has stride 1 and one group."""
    return conv.groups == max(conv.strides) == 1


@keras.saving.register_keras_serializable("tfseg")
class SlicedConv2D(layers.Conv2D):
    """What `keras.layers.Conv2D` computes at stride 1, channels last, one group: as matrix products over slices.

    Arguments and weights are those of `Conv2D`.
    """

    def call(self, inputs):
        (rows, columns), (down, right) = self.kernel_size, self.dilation_rate
        channels = self.kernel.shape[2]
        x = inputs
        if self.padding == "same":
            lost = down * (rows - 1), right * (columns - 1)
            x = ops.pad(x, [[0, 0], *([one // 2, one - one // 2] for one in lost), [0, 0]])
        height, width = ops.shape(x)[1:3]
        result = 0
        for row in range(rows):
            band = x[:, row * down : height - (rows - 1 - row) * down]
            slices = [band[:, :, one * right : width - (columns - 1 - one) * right] for one in range(columns)]
            matrix = ops.reshape(ops.concatenate(slices, axis=-1), (-1, columns * channels))
            result += ops.matmul(matrix, ops.reshape(self.kernel[row], (columns * channels, self.filters)))
        shape = (-1, height - down * (rows - 1), width - right * (columns - 1), self.filters)
        if self.use_bias:
            result = ops.add(result, self.bias)
        return self.activation(ops.reshape(result, shape))
