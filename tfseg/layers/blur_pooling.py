"""A blur before a map loses pixels."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.arguments import pair
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class BlurPooling(keras.layers.Layer):
    """Weighted means of 3x3 pixels, of which every `strides`-th is kept: weights 1 2 1 in each direction.

    It computes what timm's `BlurPool2d(filt_size=3)` computes. Where a pixel has no neighbor on one side, the neighbor
    on the other side counts twice (reflection). A map of `size` pixels becomes one of `ceil(size / strides)`.

    Args:
        strides: input pixels per output pixel: one number, or one for rows and one for columns.
        dilation_rate: distance in pixels to the neighbors; the map must be longer than that.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Reference: Zhang 2019, https://arxiv.org/abs/1904.11486.

    Example:
        >>> x = np.array([0.0, 0, 4, 0, 8]).reshape(1, 1, 5, 1).repeat(2, axis=1)
        >>> np.array(tfseg.layers.BlurPooling(2)(x))[0, 0, :, 0].tolist()
        [0.0, 2.0, 4.0]
    """

    def __init__(self, strides: int | Sequence[int] = 2, dilation_rate: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strides = pair(strides)
        self.dilation_rate = dilation_rate

    def call(self, inputs: Tensor) -> Tensor:
        """The blurred map `(batch, ceil(height / rows), ceil(width / columns), channels)`."""
        return self._along(self._along(inputs, 1), 2)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        size, rate, stride = ops.shape(x)[axis], self.dilation_rate, self.strides[axis - 1]
        places = ops.arange(0, size, stride, dtype="int32")
        before, after = places - rate, places + rate
        # At the borders, each neighbor that does not exist is the one on the other side.
        before, after = ops.where(before < 0, after, before), ops.where(after >= size, before, after)
        before, after = (ops.take(x, ops.clip(neighbors, 0, size - 1), axis) for neighbors in (before, after))
        return 0.25 * before + 0.5 * ops.take(x, places, axis) + 0.25 * after

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the blurred map; an unknown size stays unknown."""
        sizes = [size and -(-size // stride) for size, stride in zip(inputs.shape[1:3], self.strides, strict=True)]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"strides": self.strides, "dilation_rate": self.dilation_rate}
