"""Arithmetic with a weight."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor

_OPERATIONS = {
    "add": lambda x, weight: x + weight,
    "subtract": lambda x, weight: x - weight,
    "subtract_reversed": lambda x, weight: weight - x,
    "multiply": lambda x, weight: x * weight,
    "divide": lambda x, weight: x / weight,
    "divide_reversed": lambda x, weight: weight / x,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
}


@keras.saving.register_keras_serializable("tfseg")
class WithWeight(keras.layers.Layer):
    """One operation of each number with a weight that broadcasts: the scales of ConvNeXt, position tables.

    Args:
        operation: "add", "subtract", "multiply", "divide", "maximum" or "minimum"; "subtract_reversed" and
            "divide_reversed" have the weight first.
        shape: shape of the weight, without the batch.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another operation.

    Example:
        >>> layer = tfseg.layers.WithWeight("multiply", (1, 1, 3))
        >>> tuple(layer(np.ones((1, 4, 5, 3))).shape)
        (1, 4, 5, 3)
    """

    def __init__(self, operation: str, shape: Sequence[int], **kwargs: Any) -> None:
        if operation not in _OPERATIONS:
            raise ValueError(f"operation must be one of {', '.join(map(repr, _OPERATIONS))}. Received: {operation!r}")
        super().__init__(**kwargs)
        self.operation = operation
        self.shape = tuple(shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weight: ones for products, else zeros."""
        initial = "ones" if "multiply" in self.operation or "divide" in self.operation else "zeros"
        self.weight = self.add_weight(name="weight", shape=self.shape, initializer=initial)

    def call(self, inputs: Tensor) -> Tensor:
        """The result, in the shape of the input."""
        return _OPERATIONS[self.operation](inputs, ops.cast(self.weight, self.compute_dtype))

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the input; axes of size 1 grow to those of the weight."""
        axes = zip(inputs.shape[1:], self.shape, strict=True)
        shape = (inputs.shape[0], *(wide if size == 1 else size for size, wide in axes))
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"operation": self.operation, "shape": self.shape}
