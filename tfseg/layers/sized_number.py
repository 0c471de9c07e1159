"""A number that is computed from the size of the image."""

from typing import Any

import keras

from tfseg.layers.formulas import Formula, number, plain_formula
from tfseg.layers.measures import as_inputs
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class SizedNumber(keras.layers.Layer):
    """A number that is an expression of the sizes of the inputs, as a tensor without axes.

    Call on one tensor, or on a list of those whose sizes are used; what is in them does not count.

    Args:
        formula: expression of the sizes (see `tfseg.layers.formulas`).
        kind: type of the result, such as "float32" or "int32".
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> pixels = tfseg.layers.SizedNumber(["*", [0, 1], [0, 2]])
        >>> float(pixels(np.zeros((1, 4, 5, 3))))
        20.0
    """

    def __init__(self, formula: Formula, kind: str = "float32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.formula, self.kind = plain_formula(formula), kind

    def call(self, inputs: Any) -> Tensor:
        """The number."""
        return number(self.formula, as_inputs(inputs), self.kind)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the number."""
        return keras.KerasTensor((), dtype=self.kind)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"formula": self.formula, "kind": self.kind}
