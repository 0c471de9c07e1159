"""Kinds of numbers: truth values, integers, and floating-point numbers of one precision."""

from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder
from converters.building.laid import Laid

_EXACT = ("float32", "float64")


def is_floating(x: Any) -> bool:
    """Whether a tensor holds floating-point numbers."""
    return "float" in str(x.dtype)


def as_numbers(x: Laid) -> Laid:
    """Truth values and integers as floating-point numbers; others as they are."""
    if is_floating(x.tensor):
        return x
    return Laid(ops.cast(x.tensor, keras.config.floatx()), x.axes, x.shapes, x.mixed, x.border)


def check_kind(b: Builder, dtype: Any) -> None:
    """Refuses a step that computes in another precision than the model: half the digits, or integers.

    Args:
        b: the model under construction.
        dtype: torch's type, or None.
    Raises:
        RefusedStep: a type other than float32 and float64.
    """
    name = str(dtype).removeprefix("torch.")
    if dtype is not None and name not in _EXACT:
        raise b.refusal(f"computes in {name}, and the model in {keras.config.floatx()}")


def alike(x: Any, y: Any) -> tuple[Any, Any]:
    """Two tensors of one kind: where one holds floating-point numbers, so does the other."""
    if is_floating(x) != is_floating(y):
        x, y = (part if is_floating(part) else ops.cast(part, keras.config.floatx()) for part in (x, y))
    elif "bool" in (x.dtype, y.dtype) and x.dtype != y.dtype:
        x, y = (ops.cast(part, "int32") for part in (x, y))
    return x, y
