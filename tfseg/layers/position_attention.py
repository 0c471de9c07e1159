"""Attention of all pixels to each other, with one softmax over all pairs."""

from collections.abc import Sequence

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class PositionAttention(keras.layers.Layer):
    """MA-Net's attention of pixels to each other, as segmentation_models.pytorch computes it.

    Call on `[query, key, value]`, maps of one size; query and key have equally many channels. The products of all pairs
    of pixels go through one softmax over all pairs. The weighted values, pixel after pixel, are then read channel after
    channel, as that code reads them; its weights were trained so.

    Args:
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://github.com/qubvel-org/segmentation_models.pytorch, decoders/manet, `PABBlock`

    Example:
        >>> query, value = np.zeros((1, 4, 5, 2)), np.zeros((1, 4, 5, 6))
        >>> tuple(tfseg.layers.PositionAttention()([query, query, value]).shape)
        (1, 4, 5, 6)
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The map `(batch, height, width, channels of the value)`."""
        query, key, value = inputs
        rows, columns = ops.shape(value)[1:3]
        query, key, pixels = (ops.reshape(x, (-1, rows * columns, x.shape[3])) for x in (query, key, value))
        pairs = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
        # Exact in half precision, too: there may be more pairs than its largest number.
        shares = ops.softmax(ops.cast(ops.reshape(pairs, (-1, (rows * columns) ** 2)), "float32"), axis=-1)
        shares = ops.cast(ops.reshape(shares, (-1, rows * columns, rows * columns)), self.compute_dtype)
        result = ops.reshape(ops.matmul(shares, pixels), (-1, value.shape[3], rows, columns))
        return ops.transpose(result, (0, 2, 3, 1))

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the result: those of the value."""
        return keras.KerasTensor(inputs[2].shape, dtype=self.compute_dtype)
