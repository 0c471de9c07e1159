"""Numbers that are known only when an image comes: expressions of the sizes of a layer's inputs.

They are computed as Python computes them: integers exactly, all else in double precision.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from keras import ops

from tfseg.layers.measures import measure
from tfseg.types import Tensor

Formula: TypeAlias = int | float | list[Any]
"""A number, a measure (see `tfseg.layers.measures`), or an operation with its arguments: `["/", 1, [0, 2]]`."""

_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "power": math.pow,
    "log": math.log,
    "min": min,
    "max": max,
}
_OF_TENSORS: dict[str, Callable[..., Tensor]] = {
    "+": ops.add,
    "-": ops.subtract,
    "*": ops.multiply,
    "/": ops.divide,
    "power": ops.power,
    "log": ops.log,
    "min": ops.minimum,
    "max": ops.maximum,
}
_WHOLE = frozenset(("+", "-", "*", "min", "max"))  # of integers, these are integers


def plain_formula(formula: Any) -> Formula:
    """A formula as lists, names and numbers, as a configuration keeps it.

    Args:
        formula: the formula, perhaps with tuples for lists.
    """
    return [plain_formula(part) for part in formula] if isinstance(formula, list | tuple) else formula


def evaluated(formula: Formula, inputs: Sequence[Tensor]) -> Any:
    """The number: Python's where the shapes tell it, else a tensor without axes.

    Args:
        formula: the formula.
        inputs: inputs of the layer.
    """
    if not isinstance(formula, list):
        return formula
    if not isinstance(formula[0], str):
        return measure(formula, inputs)
    name, parts = formula[0], [evaluated(part, inputs) for part in formula[1:]]
    if all(isinstance(part, int | float) for part in parts):
        return _OF_NUMBERS[name](*parts)
    if name not in _WHOLE or not all(map(_is_whole, parts)):
        parts = [ops.cast(part, "float64") for part in parts]
    return _OF_TENSORS[name](*parts)


def number(formula: Formula, inputs: Sequence[Tensor], kind: str) -> Tensor:
    """The number as a tensor without axes, rounded once.

    Args:
        formula: the formula.
        inputs: inputs of the layer.
        kind: type of the result, such as "float32" or "int32".
    """
    value = evaluated(formula, inputs)
    return ops.convert_to_tensor(value, kind) if isinstance(value, int | float) else ops.cast(value, kind)


def _is_whole(part: Any) -> bool:
    return isinstance(part, int) or "int" in str(getattr(part, "dtype", ""))
