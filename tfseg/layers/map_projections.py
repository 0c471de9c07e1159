"""Queries, keys and values of attention between maps, which one layer makes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class MapProjections(keras.layers.Layer):
    """Queries of the first map, and keys and values of the second, for `MapAttention`: torch's `in_proj_weight`.

    Call on `[x, source]`, maps `(batch, height, width, channels)` with equally many channels. The result is
    `[queries, both]`: `both` has the keys' channels, then the values'. The kernel `(channels, 3 * channels)` makes
    queries by its first third.

    Args:
        kernel_initializer: name of a Keras initializer, or the initializer.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: maps of other numbers of channels, when the layer is called on symbolic maps.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html

    Example:
        >>> x, source = np.zeros((1, 4, 5, 6)), np.zeros((1, 2, 2, 6))
        >>> [tuple(part.shape) for part in tfseg.layers.MapProjections()([x, source])]
        [(1, 4, 5, 6), (1, 2, 2, 12)]
    """

    def __init__(self, kernel_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Makes kernel and bias.

        Args:
            input_shape: shapes of both maps.
        """
        channels = input_shape[0][-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(channels, 3 * (channels or 0)), initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(name="bias", shape=(3 * (channels or 0),), initializer="zeros")

    def call(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The queries `(batch, height, width, channels)`, and keys and values in one map."""
        x, source = inputs
        channels = x.shape[3]
        kernel, bias = (ops.cast(weight, self.compute_dtype) for weight in (self.kernel, self.bias))
        queries = ops.matmul(x, kernel[:, :channels]) + bias[:channels]
        return [queries, ops.matmul(source, kernel[:, channels:]) + bias[channels:]]

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
        """Shapes and types of both results."""
        x, source = inputs
        if x.shape[3] != source.shape[3]:
            raise ValueError(
                "MapProjections projects two maps with equally many channels. "
                f"Received: {x.shape[3]} and {source.shape[3]} channels"
            )
        both = (*source.shape[:3], 2 * source.shape[3])
        return [keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in (x.shape, both)]

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {"kernel_initializer": initializer}
