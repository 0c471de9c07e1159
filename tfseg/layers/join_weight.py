"""A weight beside a tensor."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class JoinWeight(keras.layers.Layer):
    """A weight joined to each sample along an axis, such as the class token of a transformer.

    Args:
        axis: axis along which they are joined.
        before: whether the weight comes first.
        shape: shape of the weight, without the batch.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.JoinWeight(1, True, (1, 8))(np.zeros((2, 30, 8))).shape)
        (2, 31, 8)
    """

    def __init__(self, axis: int, before: bool, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.before, self.shape = axis, before, tuple(shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weight."""
        self.weight = self.add_weight(name="weight", shape=self.shape, initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """Both together."""
        weight = ops.broadcast_to(ops.cast(self.weight, inputs.dtype)[None], (ops.shape(inputs)[0], *self.shape))
        return ops.concatenate([weight, inputs] if self.before else [inputs, weight], axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"axis": self.axis, "before": self.before, "shape": self.shape}
