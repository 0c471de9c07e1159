"""A transposed convolution that enlarges every channel by one separable kernel, as two small matrix products."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from tfseg.layers.arguments import pair
from tfseg.rewrites.plan import RewritePlan
from tfseg.types import Array, Tensor

TOLERANCE = 1e-6  # relative to the kernel's largest value: the rounding of float32


class KernelFactors(NamedTuple):
    """The vectors whose product is a kernel: `column[i] * row[j] * scale[c]`."""

    column: Array
    row: Array
    scale: Array


def separate_upsampling(plan: RewritePlan) -> list[str]:
    """A kernel that mixes no channels and is a column times a row acts on the rows and on the columns of a map apart.

    W[i, j, c, d] = column[i] row[j] scale[c] if c = d, else 0: then y = R x C^T scale. The matrices R and C, of
    (output pixels, input pixels), hold `column` and `row`, shifted by the stride. Bilinear kernels have this form. The
    weights decide, and any other kernel stays as it is.

    Args:
        plan: calls of the model; edited in place.
    Returns: the names of the changed layers.
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


def factors(kernel: Array) -> KernelFactors | None:
    """The factors of a kernel `(height, width, channels, channels)`; None if it is no product."""
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
    is_product = np.abs(product - kernel).max() <= TOLERANCE * abs(largest)
    return KernelFactors(column, row, scale) if is_product else None


@keras.saving.register_keras_serializable("tfseg")
class SeparableUpsampling(layers.Layer):
    """What `keras.layers.Conv2DTranspose` computes with the kernel `column[i] * row[j] * scale[c]` on the diagonal.

    Args:
        kernel_size: rows and columns of the kernel.
        strides: rows and columns that the map grows by for each input pixel.
        padding: "valid" or "same", as in `Conv2DTranspose`.
        use_bias: whether a bias is added.
        activation: activation of the result, as in `Conv2DTranspose`.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str = "valid",
        use_bias: bool = False,
        activation: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kernel_size = pair(kernel_size)
        self.strides = pair(strides)
        self.padding = padding
        self.use_bias = use_bias
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weights."""
        sizes = {"column": self.kernel_size[0], "row": self.kernel_size[1], "scale": input_shape[-1]}
        self.column, self.row, self.scale = (self.add_weight((size,), name=name) for name, size in sizes.items())
        self.bias = self.add_weight((input_shape[-1],), name="bias") if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """The enlarged map, `(batch, height, width, channels)`."""
        rows, columns = ops.shape(inputs)[1:3]
        channels = inputs.shape[3]
        x = ops.reshape(inputs * self.scale, (-1, rows, columns * channels))
        x = ops.matmul(self._matrix(0, rows), x)
        x = ops.matmul(self._matrix(1, columns), ops.reshape(x, (-1, self.output_size(rows, 0), columns, channels)))
        return self.activation(x if self.bias is None else x + self.bias)

    def _matrix(self, axis: int, pixels: int | Tensor) -> Tensor:
        """Output pixels by input pixels: the kernel, one stride further for each input pixel."""
        kernel, size, stride = (self.column, self.row)[axis], self.kernel_size[axis], self.strides[axis]
        before = max(size - stride, 0) // 2 if self.padding == "same" else 0
        output = ops.arange(self.output_size(pixels, axis), dtype="int32")[:, None]
        place = output + before - stride * ops.arange(pixels, dtype="int32")[None]
        inside = ops.logical_and(place >= 0, place < size)
        return ops.where(inside, ops.take(kernel, ops.clip(place, 0, size - 1)), ops.zeros((), kernel.dtype))

    def output_size(self, pixels: int | Tensor, axis: int) -> int | Tensor:
        """The length of rows (0) or columns (1) of the output, for `pixels` of the input."""
        size, stride = self.kernel_size[axis], self.strides[axis]
        return pixels * stride + (max(size - stride, 0) if self.padding == "valid" else 0)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The symbolic result."""
        sizes = [pixels and self.output_size(pixels, axis) for axis, pixels in enumerate(inputs.shape[1:3])]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
        }
