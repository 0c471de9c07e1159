"""Local response normalization over channels."""

import functools
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class ResponseNormalization(keras.layers.Layer):
    """Each number, divided by `(k + alpha * squares) ** beta`: the squares of its neighbors in other channels.

    Call on a map `(batch, height, width, channels)`.

    Args:
        size: number of neighboring channels, which is odd; the channel itself is in the middle.
        alpha: factor of the sum of the squares. Caffe and torch state it times the size.
        beta: exponent.
        k: number that is added.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: Krizhevsky et al. 2012, section 3.3.

    Example:
        >>> layer = tfseg.layers.ResponseNormalization(3, alpha=1.0, beta=1.0, k=1.0)
        >>> [round(float(value), 3) for value in np.ravel(layer(np.array([1.0, 2, 3]).reshape(1, 1, 1, 3)))]
        [0.167, 0.133, 0.214]
    """

    pixelwise = True  # for `tfseg.dilate`

    def __init__(self, size: int, alpha: float, beta: float, k: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, float(alpha), float(beta), float(k)

    def call(self, inputs: Tensor) -> Tensor:
        """The map, normalized."""
        half, channels = self.size // 2, inputs.shape[-1]
        squares = ops.pad(ops.square(inputs), ((0, 0), (0, 0), (0, 0), (half, half)))
        parts = [squares[..., index : index + channels] for index in range(self.size)]
        return inputs * ops.power(self.k + self.alpha * functools.reduce(ops.add, parts), -self.beta)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
