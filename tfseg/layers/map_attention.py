"""Attention of the pixels of one map to those of another, in several heads."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class MapAttention(keras.layers.Layer):
    """Each pixel of the first map becomes a mean of the pixels of the third, weighed by how it fits the second's.

    Call on `[query, key, value]`, maps `(batch, height, width, channels)`. Key and value have the same size, which may
    be smaller than that of the query: SegFormer's attention reads a reduced map. The channels are split into heads, and
    each head has its own weights: the softmax of query times key, divided by the root of its channels.
    `[query, both]` has keys and values in one map, the keys' channels first.

    Args:
        heads: number of heads; divides the channels of all three maps.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: channels that the heads do not divide, when the layer is called on symbolic maps.
    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2; with reduced maps: Xie et al. 2021,
        https://arxiv.org/abs/2105.15203, section 3.1.

    Example:
        >>> query, key = np.zeros((1, 4, 5, 6)), np.zeros((1, 2, 2, 6))
        >>> tuple(tfseg.layers.MapAttention(3)([query, key, key]).shape)
        (1, 4, 5, 6)
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The map `(batch, query's height, query's width, value's channels)`."""
        query, *answers = inputs
        key, value = answers if len(answers) == 2 else ops.split(answers[0], 2, axis=3)
        rows, columns = ops.shape(query)[1:3]
        scale = (query.shape[3] // self.heads) ** -0.5
        query, key, values = (self._split(x) for x in (query, key, value))
        shares = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * scale
        shares = ops.cast(ops.softmax(ops.cast(shares, "float32"), axis=-1), self.compute_dtype)
        result = ops.transpose(ops.matmul(shares, values), (0, 2, 1, 3))
        return ops.reshape(result, (-1, rows, columns, value.shape[3]))

    def _split(self, x: Tensor) -> Tensor:
        """`(batch, heads, pixels, channels of a head)`."""
        rows, columns = ops.shape(x)[1:3]
        x = ops.reshape(x, (-1, rows * columns, self.heads, x.shape[3] // self.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the result."""
        query, *answers = inputs
        channels = [x.shape[3] for x in answers] if len(answers) == 2 else [answers[0].shape[3] / 2] * 2
        key, value = channels
        if query.shape[3] != key or any(number % self.heads for number in (key, value)):
            raise ValueError(
                f"MapAttention splits the channels into {self.heads} heads, and query and key have equally many. "
                f"Received: {query.shape[3]}, {key:g} and {value:g} channels of query, key and value"
            )
        return keras.KerasTensor((*query.shape[:3], int(value)), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"heads": self.heads}
