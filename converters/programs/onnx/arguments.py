"""The inputs and attributes of a node whose inputs are known."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.reading.onnx.model_file import OnnxNode


class Unfoldable(Exception):
    """A node without a rule here, or one whose inputs are not as its operator wants them."""


class Arguments:
    """The inputs and attributes of a node; what one version of an operator has as input, another has as attribute.

    Attributes:
        node: operation.
        opset: version of ONNX's operators.
        inputs: arrays; None for an input that is left out.
    """

    def __init__(self, node: OnnxNode, inputs: Sequence[np.ndarray | None], opset: int) -> None:
        self.node, self.inputs, self.opset = node, inputs, opset

    def __getitem__(self, index: int) -> np.ndarray:
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise Unfoldable(self.node.type)
        return value

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default where it is not given."""
        value = self.node.attributes.get(name)
        return default if value is None else value

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def integers(self, index: int, name: str) -> list[int] | None:
        """A list of integers that is an input or an attribute; None if it is neither."""
        given = self[index] if self.has(index) else self.attribute(name)
        return None if given is None else [int(number) for number in np.ravel(given)]


def read_tensor(tensor: Any) -> np.ndarray:
    """The numbers of a tensor, floats in single or double precision.

    Raises:
        ConversionError: a tensor that cannot be read.
    """
    array = tensor.check().read()
    if array.dtype.name in ("bfloat16", "float16"):
        return array.astype("float32")
    return array
