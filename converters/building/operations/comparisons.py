"""Comparisons, logic, and choices between numbers."""

from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import Laid, with_leading_axes
from converters.building.operations.kinds import alike


def operand(b: Builder, value: Any, axes: tuple[int, ...]) -> Any:
    """A tensor with this order of axes, or a number."""
    if isinstance(value, Laid):
        return with_leading_axes(value, len(axes)).arranged(axes).tensor
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return value.item()
        if value.ndim > len(axes) or (value.ndim == len(axes) and value.shape[0] != 1):
            raise b.refusal("combines a map with a constant of another form")
        value = value.reshape((1,) * (len(axes) - value.ndim) + value.shape).transpose(axes)
        return ops.convert_to_tensor(value.astype("float32" if value.dtype.kind == "f" else value.dtype.name))
    if isinstance(value, bool | int | float):
        return value
    raise b.refusal("combines a map with something else than numbers")


def order_of(b: Builder, *values: Any) -> tuple[int, ...]:
    """The order of axes in which tensors are combined: that of the largest one of those that have most axes."""
    laids = [value.plain() for value in values if isinstance(value, Laid)]
    return max(laids, key=lambda laid: (laid.rank, np.prod(laid.shapes[0]))).axes


def _comparison(function: Any) -> Handler:
    def handler(b: Builder, input: Any, other: Any) -> Laid:
        axes = order_of(b, input, other)
        x, y = (operand(b, part, axes) for part in (input, other))
        if all(hasattr(part, "dtype") for part in (x, y)):
            x, y = alike(x, y)
        return b.laid(function(x, y), axes)

    return handler


def _logic(function: Any) -> Handler:
    """Logic of truth values; of bits only where they are truth values."""

    def handler(b: Builder, input: Any, other: Any) -> Laid:
        axes = order_of(b, input, other)
        x, y = (operand(b, part, axes) for part in (input, other))
        if any(hasattr(part, "dtype") and str(part.dtype) != "bool" for part in (x, y)):
            raise b.refusal("combines the bits of numbers")
        return b.laid(function(x, y), axes)

    return handler


def negation(b: Builder, input: Laid) -> Laid:
    """The opposite of truth."""
    if input.tensor.dtype != "bool":
        raise b.refusal("turns the bits of numbers")
    return b.laid(ops.logical_not(input.tensor), input.axes, input.mixed)


def where(b: Builder, condition: Any, input: Any = None, other: Any = None) -> Laid:
    """One of two numbers at each place."""
    if input is None or other is None:
        raise b.refusal("gives places whose number depends on the data")
    axes = order_of(b, condition, input, other)
    truth, x, y = (operand(b, part, axes) for part in (condition, input, other))
    if all(hasattr(part, "dtype") for part in (x, y)):
        x, y = alike(x, y)
    return b.laid(ops.where(truth, x, y), axes)


def masked_fill(b: Builder, input: Any, mask: Any, value: Any) -> Laid:
    """A number wherever a mask says so."""
    axes = order_of(b, input, mask)
    x, truth, number = operand(b, input, axes), operand(b, mask, axes), operand(b, value, axes)
    if not hasattr(x, "dtype"):
        raise b.refusal("fills a constant")
    if not hasattr(number, "dtype"):
        number = ops.cast(number, x.dtype)
    return b.laid(ops.where(truth, number, x), axes)


def atan2(b: Builder, input: Any, other: Any) -> Laid:
    """The angle of the place `(other, input)`."""
    axes = order_of(b, input, other)
    x, y = (operand(b, part, axes) for part in (input, other))
    return b.laid(ops.arctan2(*(ops.cast(part, keras.config.floatx()) for part in (x, y))), axes)


def one_hot(b: Builder, input: Laid, num_classes: int = -1) -> Laid:
    """An axis of all classes, with 1 at the one that the number says."""
    if not isinstance(num_classes, int) or num_classes < 1:
        raise b.refusal("makes as many classes as the data have; say how many: num_classes=")
    laid = input.plain()
    return b.laid(ops.one_hot(laid.tensor, num_classes, dtype="int32"), (*laid.axes, laid.rank))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("atan2", "arctan2"), atan2),
    "one_hot": one_hot,
    "eq": _comparison(ops.equal),
    "ne": _comparison(ops.not_equal),
    "gt": _comparison(ops.greater),
    "ge": _comparison(ops.greater_equal),
    "lt": _comparison(ops.less),
    "le": _comparison(ops.less_equal),
    **dict.fromkeys(("logical_and", "bitwise_and", "__and__"), _logic(ops.logical_and)),
    **dict.fromkeys(("logical_or", "bitwise_or", "__or__"), _logic(ops.logical_or)),
    **dict.fromkeys(("logical_xor", "bitwise_xor", "__xor__"), _logic(ops.logical_xor)),
    **dict.fromkeys(("logical_not", "bitwise_not"), negation),
    "where": where,
    "masked_fill": masked_fill,
}
