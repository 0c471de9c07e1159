"""A transposed convolution that enlarges every channel by one separable kernel as two small matrix products."""

import keras
import numpy as np
from keras import layers, ops

from tfseg.layers.resizing import pair

TOLERANCE = 1e-6  # of the kernel's largest value: the rounding of float32


def separate_upsampling(plan):
    """A kernel that mixes no channels and is a column times a row acts on the rows and on the columns of a map apart.

    W[i, j, c, d] = column[i] row[j] scale[c] if c = d, else 0: then y = R x C^T scale, with matrices R and C of
    (output pixels, input pixels) that hold `column` and `row`, shifted by the stride. Bilinear kernels are such; the
    weights tell, and any other kernel stays as it is.

    Returns: the changed layers' names.
    """
    changed = []
    for step in plan.of_kind(layers.Conv2DTranspose):
        conv = step.operation
        if conv.output_padding is not None or max(pair(conv.dilation_rate)) > 1:
            continue
        kernel, *bias = step.arrays
        parts = factors(kernel)
        if parts is None:
            continue
        step.kind = SeparableUpsampling
        step.changes = step.config(("strides", "padding", "activation")) | {
            "kernel_size": kernel.shape[:2],
            "use_bias": conv.use_bias,
            "dtype": conv.dtype_policy,
        }
        step.values = [*parts, *bias]
        changed.append(step.name)
    return changed


def factors(kernel):
    """`(column, row, scale)` of a kernel `(height, width, channels, channels)` that is their product; else None."""
    if kernel.shape[2] != kernel.shape[3]:
        return None
    diagonal = np.einsum("ijcc->ijc", kernel).astype("float64")
    place = np.unravel_index(np.abs(diagonal).argmax(), diagonal.shape)
    largest = diagonal[place]
    if not largest:
        return None
    column, row = diagonal[:, place[1], place[2]] / largest, diagonal[place[0], :, place[2]]
    scale = diagonal[place[0], place[1]] / largest
    product = np.einsum("i,j,c,cd->ijcd", column, row, scale, np.eye(len(scale)))
    return (column, row, scale) if np.abs(product - kernel).max() <= TOLERANCE * abs(largest) else None


@keras.saving.register_keras_serializable("tfseg")
class SeparableUpsampling(layers.Layer):
    """What `keras.layers.Conv2DTranspose` computes with the kernel `column[i] * row[j] * scale[c]` on the diagonal.

    Args:
        kernel_size, strides: rows and columns.
        padding: "valid" or "same", of the transposed convolution.
        use_bias, activation: as of `Conv2DTranspose`.
    """

    def __init__(self, kernel_size, strides, padding="valid", use_bias=False, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = pair(kernel_size)
        self.strides = pair(strides)
        self.padding = padding
        self.use_bias = use_bias
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        sizes = {"column": self.kernel_size[0], "row": self.kernel_size[1], "scale": input_shape[-1]}
        self.column, self.row, self.scale = (self.add_weight((size,), name=name) for name, size in sizes.items())
        self.bias = self.add_weight((input_shape[-1],), name="bias") if self.use_bias else None

    def call(self, inputs):
        rows, columns = ops.shape(inputs)[1:3]
        channels = inputs.shape[3]
        x = ops.reshape(inputs * self.scale, (-1, rows, columns * channels))
        x = ops.matmul(self._matrix(0, rows), x)
        x = ops.matmul(self._matrix(1, columns), ops.reshape(x, (-1, self.size_behind(rows, 0), columns, channels)))
        return self.activation(x if self.bias is None else x + self.bias)

    def _matrix(self, axis, pixels):
        """Output pixels by input pixels: the kernel, one stride further for each input pixel."""
        kernel, size, stride = (self.column, self.row)[axis], self.kernel_size[axis], self.strides[axis]
        before = max(size - stride, 0) // 2 if self.padding == "same" else 0
        output = ops.arange(self.size_behind(pixels, axis), dtype="int32")[:, None]
        place = output + before - stride * ops.arange(pixels, dtype="int32")[None]
        inside = ops.logical_and(place >= 0, place < size)
        return ops.where(inside, ops.take(kernel, ops.clip(place, 0, size - 1)), ops.zeros((), kernel.dtype))

    def size_behind(self, pixels, axis):
        """The length of rows (0) or columns (1) of the output, for one of the input."""
        size, stride = self.kernel_size[axis], self.strides[axis]
        return pixels * stride + (max(size - stride, 0) if self.padding == "valid" else 0)

    def compute_output_spec(self, inputs):
        sizes = [pixels and self.size_behind(pixels, axis) for axis, pixels in enumerate(inputs.shape[1:3])]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
        }
