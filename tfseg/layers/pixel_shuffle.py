"""Channels that become pixels, and pixels that become channels."""

from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class PixelShuffle(keras.layers.Layer):
    """A map `factor` times as large, whose pixels come from channels, in torch's order.

    Args:
        factor: rows and columns that one pixel becomes.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html

    Example:
        >>> tuple(tfseg.layers.PixelShuffle(2)(np.zeros((1, 4, 5, 12))).shape)
        (1, 8, 10, 3)
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        """The map `(batch, factor x height, factor x width, channels / factor^2)`."""
        rows, columns = ops.shape(inputs)[1:3]
        factor, left = self.factor, inputs.shape[3] // self.factor**2
        x = ops.reshape(inputs, (-1, rows, columns, left, factor, factor))
        x = ops.transpose(x, (0, 1, 4, 2, 5, 3))
        return ops.reshape(x, (-1, rows * factor, columns * factor, left))

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        batch, rows, columns, channels = inputs.shape
        sizes = (side and side * self.factor for side in (rows, columns))
        return keras.KerasTensor((batch, *sizes, channels // self.factor**2), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"factor": self.factor}


@keras.saving.register_keras_serializable("tfseg")
class PixelUnshuffle(keras.layers.Layer):
    """A map one `factor`-th as large, whose channels are pixels, in torch's order.

    Args:
        factor: rows and columns that become one pixel. The map's sides must be multiples of it.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html

    Example:
        >>> tuple(tfseg.layers.PixelUnshuffle(2)(np.zeros((1, 8, 10, 3))).shape)
        (1, 4, 5, 12)
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        """The map `(batch, height / factor, width / factor, channels * factor^2)`."""
        rows, columns = (side // self.factor for side in ops.shape(inputs)[1:3])
        factor, channels = self.factor, inputs.shape[3]
        x = ops.reshape(inputs, (-1, rows, factor, columns, factor, channels))
        x = ops.transpose(x, (0, 1, 3, 5, 2, 4))
        return ops.reshape(x, (-1, rows, columns, channels * factor**2))

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        batch, rows, columns, channels = inputs.shape
        sizes = (side and side // self.factor for side in (rows, columns))
        return keras.KerasTensor((batch, *sizes, channels * self.factor**2), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"factor": self.factor}
