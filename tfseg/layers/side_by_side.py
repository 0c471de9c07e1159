"""Windows of a map, side by side in its channels."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.arguments import pair
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class SideBySide(keras.layers.Layer):
    """The pixels of each window of a map as channels of one pixel, in torch's order: channels first, then rows.

    Args:
        kernel_size: pixels of the window: one number, or rows and columns.
        strides: distance between windows.
        padding: zeros on both sides of the map.
        dilation_rate: distance in pixels between the pixels of a window.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html

    Example:
        >>> tuple(tfseg.layers.SideBySide(3, padding=1)(np.zeros((1, 4, 5, 2))).shape)
        (1, 4, 5, 18)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation_rate: int | Sequence[int] = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.strides = pair(kernel_size), pair(strides)
        self.padding, self.dilation_rate = pair(padding), pair(dilation_rate)

    def call(self, inputs: Tensor) -> Tensor:
        """The map `(batch, rows, columns, channels * pixels of the window)`."""
        rows, columns = (self._outputs(ops.shape(inputs)[axis], axis) for axis in (1, 2))
        around = [(pad, pad) for pad in self.padding]
        x = ops.pad(inputs, ((0, 0), *around, (0, 0))) if any(self.padding) else inputs
        (down, right), (row_rate, column_rate) = self.strides, self.dilation_rate
        parts = []
        for row in range(self.kernel_size[0]):
            for column in range(self.kernel_size[1]):
                top, left = row * row_rate, column * column_rate
                bottom, end = top + (rows - 1) * down + 1, left + (columns - 1) * right + 1
                parts.append(x[:, top:bottom:down, left:end:right])
        x = ops.stack(parts, axis=-1)
        return ops.reshape(x, (-1, rows, columns, inputs.shape[3] * len(parts)))

    def _outputs(self, pixels: Any, axis: int) -> Any:
        arguments = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        size, stride, pad, rate = (argument[axis - 1] for argument in arguments)
        return (pixels + 2 * pad - rate * (size - 1) - 1) // stride + 1

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        sides = [pixels and self._outputs(pixels, axis) for axis, pixels in enumerate(inputs.shape[1:3], 1)]
        channels = inputs.shape[3] * self.kernel_size[0] * self.kernel_size[1]
        return keras.KerasTensor((inputs.shape[0], *sides, channels), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
        }
