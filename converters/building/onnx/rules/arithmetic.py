"""Arithmetic of tensors, with each other, with parameters and with numbers."""

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.constants import collapsed
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known, Value
from converters.types import Shape


def broadcast(call: Call, values: list[Value]) -> list[Shape]:
    """The shape of a result that several values broadcast to, at each traced size.

    Args:
        call: node.
        values: its inputs.
    Raises:
        ValueError: shapes that do not fit.
    """
    results = []
    for shapes in zip(*[value.shapes for value in values], strict=True):
        results.append(tuple(np.broadcast_shapes(*shapes)))
    return results


def operand(call: Call, value: Value, result: list[Shape], others: list[Value]) -> Value | float:
    """An input as a step takes it: a tensor, a constant without the axes that it repeats, or a number.

    Args:
        call: node.
        value: input.
        result: shape of the result.
        others: the other inputs.
    Raises:
        ConversionError: a constant that depends on the size of the image; axes that a repeated constant would add.
    """
    if isinstance(value, Computed):
        return value
    array = collapsed(value)
    if array.size and (array == array.reshape(-1)[0]).all() and array.size > 1 and _widens(result, array.shape, others):
        raise call.refusal("repeats a tensor along an axis")
    is_parameter = value.parents == (value.name,) and "." in value.name and array.ndim > 0 and array.dtype.kind == "f"
    if array.size == 1 and not is_parameter:
        if max(map(len, [other.shapes[0] for other in others])) < array.ndim:
            raise call.refusal("adds axes to a tensor")
        call.tracer.arguments.update(value.parents)
        number = array.reshape(-1)[0]
        return bool(number) if array.dtype.kind == "b" else float(f"{float(number):.9g}")
    if array.shape != value.shapes[0]:
        return Known(f"{value.name}.once", (array,) * len(value.arrays), value.parents)
    return value


def _widens(result: list[Shape], shape: Shape, others: list[Value]) -> bool:
    """Whether a constant has axes that no other input has."""
    wide = [tuple(np.broadcast_shapes(*parts)) for parts in zip(*[other.shapes for other in others], strict=True)]
    return wide != result


def binary(op: str) -> Rule:
    """An operation of two tensors.

    Args:
        op: the step.
    """

    def rule(call: Call) -> Value:
        values = [value for value in call.inputs if value is not None]
        result = values[0]
        for other in values[1:]:
            result = two(call, op, result, other)
        return result

    return rule


def two(call: Call, op: str, first: Value, second: Value) -> Value:
    """An operation of two values, one of which the network computes.

    Args:
        call: node.
        op: the step.
        first, second: the operands.
    """
    if isinstance(first, Known) and isinstance(second, Known):
        raise call.refusal("combines several constants")
    _check_numbers(call, [first, second])
    shapes = broadcast(call, [first, second])
    x, y = operand(call, first, shapes, [second]), operand(call, second, shapes, [first])
    kinds = {value.kind for value in (x, y) if isinstance(value, Computed)}
    if kinds == {"i"} and op == "div":
        raise call.refusal("divides integers")
    return call.emit(op, shapes, kinds.pop() if len(kinds) == 1 else "f", input=x, other=y)


def _check_numbers(call: Call, values: list[Value]) -> None:
    """In a file of one size, a number may be that of the pixels.

    Raises:
        OtherSize: in a trace at other sizes.
    """
    literals = call.tracer.literals
    for value in values:
        if literals and isinstance(value, Known) and value.arrays[0].size == 1 and value.arrays[0].dtype.kind in "fiu":
            number = abs(float(value.arrays[0].reshape(-1)[0]))
            if number and any(
                abs(part - round(part)) < 1e-4 * part and round(part) in literals for part in (number, 1 / number)
            ):
                call.literal(f"computes with {number:g}, as the size may say")


def power(call: Call) -> Value:
    """A power of each number."""
    x = call.computed()
    exponent = call.number(1, "exponent")
    if exponent == 2:
        return call.step("square", x)
    if exponent == 0.5:
        return call.step("sqrt", x)
    return call.step("pow", x, exponent=float(exponent))


def mean_of(call: Call) -> Value:
    """The average of several tensors."""
    total = binary("add")(call)
    assert isinstance(total, Computed)
    return call.step("mul", total, other=1 / len(call.inputs))


RULES: dict[str, Rule] = {
    "Add": binary("add"),
    "Sum": binary("add"),
    "Sub": binary("sub"),
    "Mul": binary("mul"),
    "Div": binary("div"),
    "Max": binary("maximum"),
    "Min": binary("minimum"),
    "Mean": mean_of,
    "Pow": power,
}
