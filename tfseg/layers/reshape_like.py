"""Axes split and merged where several sizes are known only when an image comes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class ReshapeLike(keras.layers.Layer):
    """The first input in a shape whose sizes are numbers, or those of other inputs.

    Call on `[x, reference, ...]`. The batch stays.

    Args:
        dims: for each axis after the batch its size, or `[input, axis]`: the size of that axis of that input.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tokens, map = np.zeros((1, 30, 8)), np.zeros((1, 5, 6, 3))
        >>> tuple(tfseg.layers.ReshapeLike([[1, 1], [1, 2], 8])([tokens, map]).shape)
        (1, 5, 6, 8)
    """

    def __init__(self, dims: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = [list(dim) if isinstance(dim, list | tuple) else dim for dim in dims]

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The reshaped tensor."""
        shapes = [ops.shape(part) for part in inputs]
        sizes = [dim if isinstance(dim, int) else shapes[dim[0]][dim[1]] for dim in self.dims]
        return ops.reshape(inputs[0], (shapes[0][0], *sizes))

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the result; unknown sizes stay unknown."""
        sizes = [dim if isinstance(dim, int) else inputs[dim[0]].shape[dim[1]] for dim in self.dims]
        return keras.KerasTensor((inputs[0].shape[0], *sizes), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"dims": self.dims}
