"""Windows laid over each other, and added where they overlap."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import as_inputs, known_measure, measure, plain_measures
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class Overlaid(keras.layers.Layer):
    """A map that is the sum of windows: torch's `fold`, which puts together what `SideBySide` takes apart.

    Call on columns `(batch, windows, channels * pixels of a window)`, or on a list of them and the tensors whose sizes
    are used. The pixels of a window are next to each other, row by row.

    Args:
        kernel_size: rows and columns of a window.
        strides: rows and columns between windows.
        padding: rows and columns before the map that windows cover and the map lacks.
        dilation_rate: rows and columns between the pixels of a window.
        dims: number of windows down and across, rows and columns of the map: numbers or measures (see
            `tfseg.layers.measures`).
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> layer = tfseg.layers.Overlaid((3, 3), (1, 1), (1, 1), (1, 1), [4, 5, 4, 5])
        >>> result = layer(np.ones((1, 20, 9)))
        >>> tuple(result.shape), float(result[0, 0, 0, 0]), float(result[0, 1, 1, 0])
        ((1, 4, 5, 1), 4.0, 9.0)
    """

    def __init__(
        self,
        kernel_size: Sequence[int],
        strides: Sequence[int],
        padding: Sequence[int],
        dilation_rate: Sequence[int],
        dims: Sequence[Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.strides = tuple(kernel_size), tuple(strides)
        self.padding, self.dilation_rate = tuple(padding), tuple(dilation_rate)
        self.dims = plain_measures(dims)

    def call(self, inputs: Any) -> Tensor:
        """The map `(batch, rows, columns, channels)`."""
        inputs = as_inputs(inputs)
        down, across, height, width = (measure(dim, inputs) for dim in self.dims)
        pixels = self.kernel_size[0] * self.kernel_size[1]
        channels = inputs[0].shape[-1] // pixels
        x = ops.reshape(inputs[0], (-1, down, across, channels, pixels))
        reach = [(size - 1) * rate for size, rate in zip(self.kernel_size, self.dilation_rate, strict=True)]
        total: Any = None
        for pixel in range(pixels):
            row, column = (
                place * rate for place, rate in zip(divmod(pixel, self.kernel_size[1]), self.dilation_rate, strict=True)
            )
            spread = _spread(x[..., pixel], self.strides)
            around = ((0, 0), (row, reach[0] - row), (column, reach[1] - column), (0, 0))
            part = ops.pad(spread, around)
            total = part if total is None else total + part
        above, left = self.padding
        return total[:, above : above + height, left : left + width]

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the map; an unknown size stays unknown."""
        inputs = as_inputs(inputs)
        height, width = (known_measure(dim, inputs) for dim in self.dims[2:])
        channels = inputs[0].shape[-1] // (self.kernel_size[0] * self.kernel_size[1])
        return keras.KerasTensor((inputs[0].shape[0], height, width, channels), dtype=inputs[0].dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        options = {"kernel_size": self.kernel_size, "strides": self.strides, "padding": self.padding}
        return super().get_config() | options | {"dilation_rate": self.dilation_rate, "dims": self.dims}


def _spread(x: Tensor, strides: Sequence[int]) -> Tensor:
    """The map with zeros after each pixel, so that pixels are `strides` apart."""
    _, rows, columns, channels = ops.shape(x)
    down, across = strides
    if (down, across) == (1, 1):
        return x
    x = ops.reshape(x, (-1, rows, 1, columns, 1, channels))
    x = ops.pad(x, ((0, 0), (0, 0), (0, down - 1), (0, 0), (0, across - 1), (0, 0)))
    return ops.reshape(x, (-1, rows * down, columns * across, channels))
