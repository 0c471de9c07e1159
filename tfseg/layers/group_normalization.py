"""GroupNorm whose means lose no digits on large maps."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class GroupNormalization(keras.layers.Layer):
    """GroupNorm of a map `(batch, height, width, channels)`, as exact as torch's.

    Keras's own layer takes one mean over all pixels, which loses digits with the area of the map. Here the means are
    taken axis by axis.

    Args:
        groups: number of groups of channels.
        epsilon: epsilon under the square root.
        scale: whether there is a factor for each channel.
        center: whether there is a shift for each channel.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: Wu and He 2018, https://arxiv.org/abs/1803.08494

    Example:
        >>> tuple(tfseg.layers.GroupNormalization(2)(np.ones((1, 4, 5, 6))).shape)
        (1, 4, 5, 6)
    """

    def __init__(
        self, groups: int, epsilon: float = 1e-5, scale: bool = True, center: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.groups, self.epsilon, self.scale, self.center = groups, epsilon, scale, center

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the factors and the shifts."""
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones") if self.scale else None
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros") if self.center else None

    def call(self, inputs: Tensor) -> Tensor:
        """The normalized map."""
        rows, columns = ops.shape(inputs)[1:3]
        channels = inputs.shape[3]
        x = ops.reshape(inputs, (-1, rows, columns, self.groups, channels // self.groups))
        x = x - self._mean(x)
        x = x * ops.rsqrt(self._mean(ops.square(x)) + self.epsilon)
        x = ops.reshape(x, (-1, rows, columns, channels))
        if self.gamma is not None:
            x = x * ops.cast(self.gamma, x.dtype)
        return x if self.beta is None else x + ops.cast(self.beta, x.dtype)

    def _mean(self, x: Tensor) -> Tensor:
        for axis in (4, 2, 1):
            x = ops.mean(x, axis=axis, keepdims=True)
        return x

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the input."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        options = {"groups": self.groups, "epsilon": self.epsilon, "scale": self.scale, "center": self.center}
        return super().get_config() | options
