"""Sums and products of tensors, and arithmetic with parameters and numbers."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.graph import Ref
from converters.building.laid import Laid, with_leading_axes
from converters.building.operations.kinds import alike, as_numbers, is_floating
from converters.building.operations.sized_numbers import image_of
from tfseg.layers.with_weight import WithWeight

# What a number does to a map, as Keras's Rescaling has it.
_RESCALED: dict[str, Callable[[float], dict[str, Any]]] = {
    "add": lambda number: {"scale": 1.0, "offset": number},
    "subtract": lambda number: {"scale": 1.0, "offset": -number},
    "multiply": lambda number: {"scale": number, "offset": 0.0},
}


def _binary(layer: Any, function: Any, name: str) -> Handler:
    def handler(b: Builder, input: Any, other: Any, alpha: Any = 1, rounding_mode: Any = None) -> Laid:
        if rounding_mode is not None:
            return _rounded(b, function, input, other, rounding_mode)
        if alpha != 1:
            if isinstance(alpha, Laid):
                other = HANDLERS["mul"](b, other, alpha)
            else:
                other = other * alpha if not isinstance(other, Laid) else _scaled(b, other, alpha)
        if isinstance(input, Laid) and isinstance(other, Laid):
            return _two(b, layer, function, input, other)
        x, y, reverse = (input, other, False) if isinstance(input, Laid) else (other, input, True)
        reverse = reverse and name in ("subtract", "divide")
        if isinstance(y, np.ndarray) and y.ndim == 0:
            y = y.item()
        if name not in ("maximum", "minimum") and not (is_floating(x.tensor) or _keeps_integers(name, y)):
            x = as_numbers(x)
        if isinstance(y, int | float):
            if (name == "add" and y == 0) or (name in ("multiply", "divide") and y == 1 and not reverse):
                return x
            if name in _RESCALED and not reverse and is_floating(x.tensor) and math.isfinite(y):
                tensor = b.layer(keras.layers.Rescaling, x.tensor, **_RESCALED[name](float(y)))
            else:
                number = float(y) if is_floating(x.tensor) else y
                tensor = function(number, x.tensor) if reverse else function(x.tensor, number)
            return b.laid(tensor, x.axes, x.mixed)
        return _with_weight(b, x, y, name, reverse)

    return handler


def _keeps_integers(name: str, other: Any) -> bool:
    """Whether a sum or product with integers has integers."""
    return name != "divide" and isinstance(other, int) and not isinstance(other, bool)


def _scaled(b: Builder, x: Laid, factor: float) -> Laid:
    tensor = b.layer(keras.layers.Rescaling, as_numbers(x).tensor, suffix="factor", scale=float(factor))
    return Laid(tensor, x.axes, x.shapes, x.mixed)


def _rounded(b: Builder, function: Any, input: Any, other: Any, mode: str) -> Laid:
    """A quotient, rounded down or toward zero."""
    if function is not ops.divide or not isinstance(input, Laid) or not isinstance(other, int | float):
        raise b.refusal("has a rounding of its own")
    if is_floating(input.tensor):
        if mode == "floor" and math.frexp(other)[0] not in (0.5, -0.5):
            # torch computes it from the remainder: 1.0 // 0.1 is 9, and the quotient 10.
            raise b.refusal("rounds quotients down whose divisor is no power of two")
        quotient = input.tensor / float(other)
        return b.laid(ops.floor(quotient) if mode == "floor" else ops.trunc(quotient), input.axes, input.mixed)
    if mode != "floor":
        raise b.refusal("rounds quotients of integers toward zero")
    return b.laid(ops.floor_divide(input.tensor, other), input.axes, input.mixed)


def _two(b: Builder, layer: Any, function: Any, x: Laid, y: Laid) -> Laid:
    if x.mixed and x.mixed == y.mixed:
        return b.laid(b.layer(layer, [x.tensor, y.tensor]) if layer else function(x.tensor, y.tensor), x.axes, x.mixed)
    if x.rank != y.rank:
        rank = max(x.rank, y.rank)
        return _two(b, layer, function, with_leading_axes(x, rank), with_leading_axes(y, rank))
    if str(x.tensor.dtype) == "bool" == str(y.tensor.dtype):
        raise b.refusal("computes with truth values")
    x, y = x.plain(), y.plain()
    axes = x.axes if math.prod(x.shapes[0]) >= math.prod(y.shapes[0]) else y.axes
    first, second = alike(x.arranged(axes).tensor, y.arranged(axes).tensor)
    if function is ops.divide and not is_floating(first):
        first, second = (ops.cast(part, keras.config.floatx()) for part in (first, second))
    if function is ops.add:
        if _grows(x, y, axes) and _grows(y, x, axes):
            return b.laid(first - ops.negative(second), axes)  # the same number to the last bit
        if _grows(y, x, axes):
            first, second = second, first
    batches = {part.shape[0] for part in (first, second) if axes} - {None}
    if layer and len(batches) <= 1 and axes:  # Keras's layers want one batch
        return b.laid(b.layer(layer, [first, second]), axes)
    return b.laid(function(first, second), axes)


def _grows(x: Laid, other: Laid, axes: tuple[int, ...]) -> bool:
    """Whether a sum repeats a tensor along an axis, and Keras may take it for a bias of another axis.

    With TensorFlow, `keras.ops.add` looks at the second tensor. If all of its numbers lie along one axis, and there are
    as many channels, they become the channels' bias. So rows are added to channels where a map has as many of both.
    """
    grows = any(max(x.sizes(axis)) == 1 < max(other.sizes(axis)) for axis in axes)
    return grows and not (len(set(x.sizes(axes[-1]))) == 1 < x.sizes(axes[-1])[0])


def _with_weight(b: Builder, x: Laid, value: np.ndarray, name: str, reverse: bool) -> Laid:
    """Arithmetic with a tensor of the file: a layer that owns it."""
    x = x.plain()
    if value.ndim > x.rank or (value.ndim == x.rank and value.shape[0] != 1):
        return _with_larger(b, x, value, name, reverse)
    letters = [f"a{axis}" for axis in range(value.ndim)]
    letters = ["1" if size == 1 else letter for letter, size in zip(letters, value.shape, strict=True)]
    places = [axis - (x.rank - value.ndim) for axis in x.axes[1:]]
    target = ["1" if place < 0 else letters[place] for place in places]
    sizes = [1 if place < 0 else value.shape[place] for place in places]
    argument = next(key for key, part in b.step.arguments.items() if isinstance(part, Ref) and b.value(part) is value)
    weights = {"weight": Weight(argument, f"{' '.join(letters)} -> {' '.join(target)}")}
    config = {"operation": f"{name}_reversed" if reverse and name in ("subtract", "divide") else name}
    return b.laid(b.layer(WithWeight, x.tensor, weights, shape=sizes, **config), x.axes)


def _with_larger(b: Builder, x: Laid, value: np.ndarray, name: str, reverse: bool) -> Laid:
    """Arithmetic of numbers that no image has, such as places, with a tensor of the file that has more axes."""
    if x.rank and x.sizes(0) == image_of(b).sizes(0):
        raise b.refusal("computes with a tensor that has more axes than the map")
    table = b.lifted(value) if value.dtype.kind == "f" else constant(b, value)
    names = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div"}
    handler = HANDLERS[names.get(name, name)]
    return handler(b, table, x) if reverse else handler(b, x, table)


def constant(b: Builder, value: np.ndarray) -> Laid:
    """Integers or truth values of the file as a tensor of the model.

    Args:
        b: the model under construction.
        value: the numbers.
    """
    kind = "bool" if value.dtype.kind == "b" else "int32"
    tensor = ops.convert_to_tensor(value.astype(kind))
    return Laid(tensor, tuple(range(value.ndim)), (value.shape,) * len(image_of(b).shapes))


def addcmul(b: Builder, input: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    """A sum with a product."""
    return HANDLERS["add"](b, input, HANDLERS["mul"](b, tensor1, tensor2), value)


def addcdiv(b: Builder, input: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    """A sum with a quotient."""
    return HANDLERS["add"](b, input, HANDLERS["div"](b, tensor1, tensor2), value)


def lerp(b: Builder, input: Any, end: Any, weight: Any) -> Any:
    """A place between two tensors."""
    if not isinstance(weight, int | float) or not isinstance(input, Laid) or not isinstance(end, Laid):
        raise b.refusal("mixes by shares that the network computes")
    # torch begins at the nearer end.
    if abs(weight) < 0.5:
        return HANDLERS["add"](b, input, HANDLERS["sub"](b, end, input), weight)
    return HANDLERS["sub"](b, end, HANDLERS["sub"](b, end, input), 1 - weight)


def remainder(b: Builder, input: Any, other: Any) -> Laid:
    """What a division leaves, with the sign of the divisor."""
    if not isinstance(input, Laid) or not isinstance(other, int | float):
        raise b.refusal("divides by what the network computes")
    return b.laid(ops.mod(input.tensor, float(other) if is_floating(input.tensor) else other), input.axes, input.mixed)


def power(b: Builder, input: Any, exponent: Any) -> Laid:
    """A power of each number; or of one number, with many exponents."""
    if isinstance(exponent, Laid) and isinstance(input, Laid | int | float):
        return _powers(b, input, exponent)
    if not isinstance(exponent, int | float) or not isinstance(input, Laid):
        raise b.refusal("has an exponent that the network computes")
    if exponent == 2:  # a general power loses the sign of infinity, and a digit
        return b.laid(ops.square(as_numbers(input).tensor), input.axes, input.mixed)
    if exponent == 0.5:
        return b.laid(ops.sqrt(as_numbers(input).tensor), input.axes, input.mixed)
    return b.laid(ops.power(as_numbers(input).tensor, float(exponent)), input.axes, input.mixed)


def _powers(b: Builder, base: Laid | float, exponents: Laid) -> Laid:
    if not isinstance(base, Laid):
        tensor = ops.power(ops.cast(float(base), keras.config.floatx()), as_numbers(exponents).tensor)
        return b.laid(tensor, exponents.axes, exponents.mixed)
    return _two(b, None, ops.power, as_numbers(base), as_numbers(exponents))


HANDLERS: dict[str, Handler] = {
    "add": _binary(keras.layers.Add, ops.add, "add"),
    "sub": _binary(keras.layers.Subtract, ops.subtract, "subtract"),
    "mul": _binary(keras.layers.Multiply, ops.multiply, "multiply"),
    "div": _binary(None, ops.divide, "divide"),
    "maximum": _binary(keras.layers.Maximum, ops.maximum, "maximum"),
    "minimum": _binary(keras.layers.Minimum, ops.minimum, "minimum"),
    "pow": power,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "lerp": lerp,
    "remainder": remainder,
    "floor_divide": lambda b, input, other: HANDLERS["div"](b, input, other, rounding_mode="floor"),
    "rsub": lambda b, input, other, alpha=1: HANDLERS["sub"](b, other, input, alpha),
}
