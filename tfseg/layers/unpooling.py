"""Maxima put back where they were."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.arguments import pair
from tfseg.layers.measures import known_measure, measure, plain_measures
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class MaximumPlaces(keras.layers.Layer):
    """Where the maximum of each window of a map lies: its number among the map's pixels, row by row.

    The windows do not overlap and are not padded. Of equal numbers, the first one counts.

    Args:
        pool_size: pixels of the window and distance between windows: one number, or rows and columns.
        ceil_mode: whether a last window that ends after the map counts.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html, return_indices

    Example:
        >>> x = np.array([[1.0, 2, 9, 4], [5, 6, 7, 8]]).reshape(1, 2, 4, 1)
        >>> np.array(tfseg.layers.MaximumPlaces(2)(x)).ravel().tolist()
        [5, 2]
    """

    def __init__(self, pool_size: int | Sequence[int], ceil_mode: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pair(pool_size)
        self.ceil_mode = ceil_mode

    def call(self, inputs: Tensor) -> Tensor:
        """The places `(batch, height // rows, width // columns, channels)`, integers; with `ceil_mode` rounded up."""
        height, width = self.pool_size
        pixels = ops.shape(inputs)[2]
        channels = inputs.shape[3]
        if self.ceil_mode:  # what is added after the map never is a maximum
            around = ((0, 0), (0, height - 1), (0, width - 1), (0, 0))
            inputs = ops.pad(inputs, around, constant_values=float("-inf"))
        rows, columns = (size // window for size, window in zip(ops.shape(inputs)[1:3], self.pool_size, strict=True))
        x = inputs[:, : rows * height, : columns * width]
        x = ops.reshape(x, (-1, rows, height, columns, width, channels))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4)), (-1, rows, columns, channels, height * width))
        best = ops.cast(ops.argmax(x, axis=-1), "int32")
        row = ops.arange(rows, dtype="int32")[:, None, None] * height + best // width
        column = ops.arange(columns, dtype="int32")[:, None] * width + best % width
        return row * pixels + column

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the places; an unknown size stays unknown."""
        more = [size - 1 if self.ceil_mode else 0 for size in self.pool_size]
        sides = [
            pixels and (pixels + added) // size
            for pixels, added, size in zip(inputs.shape[1:3], more, self.pool_size, strict=True)
        ]
        return keras.KerasTensor((inputs.shape[0], *sides, inputs.shape[3]), dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"pool_size": self.pool_size, "ceil_mode": self.ceil_mode}


@keras.saving.register_keras_serializable("tfseg")
class Unpooling(keras.layers.Layer):
    """A map of zeros, with numbers at the places that a `MaximumPlaces` found.

    Call on `[x, places, ...]`: numbers and places of one shape, and the tensors whose sizes are used.

    Args:
        sizes: rows and columns of the result: a number or a measure (see `tfseg.layers.measures`) each.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html

    Example:
        >>> numbers, places = np.array([3.0, 4]).reshape(1, 1, 2, 1), np.array([5, 2]).reshape(1, 1, 2, 1)
        >>> np.array(tfseg.layers.Unpooling((2, 4))([numbers, places])).reshape(2, 4).tolist()
        [[0.0, 0.0, 4.0, 0.0], [0.0, 3.0, 0.0, 0.0]]
    """

    def __init__(self, sizes: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = plain_measures(sizes)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The map `(batch, rows, columns, channels)`."""
        x, places, *_ = inputs
        rows, columns = (measure(size, inputs) for size in self.sizes)
        batch, height, width, channels = ops.shape(x)
        image = ops.reshape(ops.arange(batch, dtype="int32"), (-1, 1, 1, 1)) * (rows * columns)
        place = (image + ops.cast(places, "int32")) * channels + ops.arange(channels, dtype="int32")
        flat = ops.reshape(place, (batch * height * width * channels, 1))
        numbers = ops.scatter(flat, ops.reshape(x, (-1,)), (batch * rows * columns * channels,))
        return ops.reshape(numbers, (-1, rows, columns, channels))

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the map; an unknown size stays unknown."""
        sides = (known_measure(size, inputs) for size in self.sizes)
        return keras.KerasTensor((inputs[0].shape[0], *sides, inputs[0].shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"sizes": self.sizes}
