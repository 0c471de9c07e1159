"""Axes split and merged where several sizes are known only when an image comes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import as_inputs, known_measure, measure, plain_measures
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class ReshapeLike(keras.layers.Layer):
    """The first input in a shape whose sizes are numbers, or those of other inputs.

    Call on the tensor, or on a list `[x, reference, ...]` of it and the tensors whose sizes are used. The batch stays.

    Args:
        dims: for each axis after the batch its size: a number, -1 for what is left, or `[input, axis]`, the size of
            that axis of that input (see `tfseg.layers.measures` for more).
        batch: size of the first axis, in the same words; None: it stays.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tokens, map = np.zeros((1, 30, 8)), np.zeros((1, 5, 6, 3))
        >>> tuple(tfseg.layers.ReshapeLike([[1, 1], [1, 2], 8])([tokens, map]).shape)
        (1, 5, 6, 8)
    """

    def __init__(self, dims: Sequence[Any], batch: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = plain_measures(dims)
        self.batch = None if batch is None else plain_measures([batch])[0]

    def call(self, inputs: Any) -> Tensor:
        """The reshaped tensor."""
        x, *_ = inputs = as_inputs(inputs)
        batch = ops.shape(x)[0] if self.batch is None else measure(self.batch, inputs)
        return ops.reshape(x, (batch, *(measure(dim, inputs) for dim in self.dims)))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the result; unknown sizes stay unknown."""
        x, *_ = inputs = as_inputs(inputs)
        sizes = [x.shape[0] if self.batch is None else known_measure(self.batch, inputs)]
        sizes += [known_measure(dim, inputs) for dim in self.dims]
        return keras.KerasTensor([None if size == -1 else size for size in sizes], dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"dims": self.dims, "batch": self.batch}
