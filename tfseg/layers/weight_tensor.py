"""A weight as a tensor."""

from collections.abc import Sequence
from typing import Any

import keras

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class WeightTensor(keras.layers.Layer):
    """A weight that other layers read as a tensor, such as a table that is resized to the image.

    Call on any tensor; what is in it does not count.

    Args:
        shape: shape of the weight and of the result, which has no batch.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.WeightTensor((1, 14, 14, 8))(np.zeros((2, 30, 40, 3))).shape)
        (1, 14, 14, 8)
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weight."""
        self.weight = self.add_weight(name="weight", shape=self.shape, initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """The weight."""
        return keras.ops.cast(self.weight, self.compute_dtype)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the weight."""
        return keras.KerasTensor(self.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"shape": self.shape}
