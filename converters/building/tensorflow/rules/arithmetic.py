"""Arithmetic of tensors, with each other, with parameters and with numbers; comparisons and choices."""

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.building.onnx.constants import collapsed
from converters.building.onnx.rules import arithmetic
from converters.building.onnx.values import Computed, Known
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.rules.batch_norms import batch_norm_of
from converters.building.tensorflow.values import Meaning, Ordered, Random, inverse


def aligned(call: GraphCall, values: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Several values with one order of axes, as steps of several tensors want them.

    Args:
        call: node.
        values: what depends on the image, and constants.
    Returns: the values; and the order of all.
    Raises:
        ConversionError: constants with more axes than what the network computes.
    """
    computed = [value for value in values if isinstance(value, Ordered)]
    rank = max(value.rank for value in computed)
    if any(value.rank != rank for value in computed):
        if any(set(value.sizes(0)) == {1} for value in computed):
            pass
        return [_wide(call, value, rank) if isinstance(value, Ordered) else value for value in values], ()
    largest = max(computed, key=lambda value: int(np.prod(value.shapes[0])))
    order = largest.axes
    results: list[Any] = []
    for value in values:
        if isinstance(value, Ordered):
            results.append(call.ordered(value, order))
        elif isinstance(value, Known):
            results.append(_turned(call, value, order))
        else:
            results.append(value)
    return results, order


def _wide(call: GraphCall, x: Ordered, rank: int) -> Ordered:
    """The tensor in TensorFlow's order, with leading axes of size 1."""
    x = call.plain(x)
    more = rank - x.rank
    if not more:
        return x
    return call.make("reshape", [(*(1,) * more, *shape) for shape in x.shapes], x.kind, input=x)


def _turned(call: GraphCall, value: Known, order: tuple[int, ...]) -> Known:
    """A constant with the axes of the steps."""
    rank = len(order)
    if order == tuple(range(rank)) or all(array.size == 1 for array in value.arrays):
        return value
    arrays = []
    for array in value.arrays:
        if array.ndim > rank:
            raise call.refusal("computes with a constant that has more axes than the map")
        wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
        arrays.append(wide.transpose(inverse(order)) if array.ndim else array)
    made = call.made(arrays[0], f"turned{call.inputs.index(value)}", value.parents)
    return Known(made.name, tuple(arrays), value.parents)


def binary(op: str) -> Rule:
    """An operation of two tensors.

    Args:
        op: the step.
    """

    def rule(call: GraphCall) -> Meaning:
        if any(isinstance(value, Random) for value in call.inputs):
            return _of_random(call, op)
        return combined(call, op, list(call.inputs[:2]))

    return rule


def combined(call: GraphCall, op: str, values: list[Any], kind: str = "") -> Ordered:
    """An operation of two values, in one order of axes.

    Args:
        call: node.
        op: the step.
        values: the two.
        kind: kind of the result's numbers; "" for that of the values.
    """
    if any(isinstance(value, Ordered) and value.kind == "u" for value in values):
        raise call.refusal("computes with bytes, which wrap around at 255")
    (first, second), order = aligned(call, [_number(call, value, values) for value in values])
    if isinstance(first, Ordered) and _is_neutral(op, second):
        return first
    result = arithmetic.two(call, op, first, second)
    assert isinstance(result, Computed)
    kept = () if order == tuple(range(len(order))) else order
    return Ordered(result.name, result.shapes, kind or result.kind, None, kept)


def _number(call: GraphCall, value: Any, values: list[Any]) -> Any:
    """A constant of the graph's own making that is one number everywhere, as that number."""
    if not isinstance(value, Known) or value.parents or value.arrays[0].size < 2:
        return value
    first = value.arrays[0].reshape(-1)[0]
    if not all((array == first).all() for array in value.arrays):
        return value
    wide = [other.seen if isinstance(other, Ordered) else other.shapes for other in values if other is not value]
    for index, shape in enumerate(value.shapes):
        if tuple(np.broadcast_shapes(*(shapes[index] for shapes in wide))) != np.broadcast_shapes(
            shape, *(shapes[index] for shapes in wide)
        ):
            return value
    return call.made(np.asarray(first), "number")


def _is_neutral(op: str, value: Any) -> bool:
    """Whether an operation with a number of the graph's own making changes nothing."""
    if not isinstance(value, Known) or value.parents or value.arrays[0].size != 1:
        return False
    return float(value.arrays[0].reshape(())) == {"mul": 1.0, "div": 1.0, "add": 0.0, "sub": 0.0}.get(op)


_INTERVALS: dict[str, Callable[[float, float], float]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
}


def _of_random(call: GraphCall, op: str) -> Meaning:
    """What is known of random numbers after arithmetic with a number, or of a comparison with one."""
    first, second = call.inputs[:2]
    x, other = (first, second) if isinstance(first, Random) else (second, first)
    if not isinstance(other, Known) or other.arrays[0].size != 1 or not isinstance(x, Random):
        raise _at_random(call)
    number = float(other.arrays[0].reshape(()))
    if op in _INTERVALS:
        at_end: list[float] = []
        for end in (x.low, x.high):
            pair = (end, number) if x is first else (number, end)
            at_end.append(_INTERVALS[op](*pair))
        return Random(min(at_end), max(at_end), x.like)
    # Dropout keeps what is at least the rate: of numbers not below zero, all are at least zero.
    if op == "ge" and x is first and number <= x.low:
        return Known(call.node.name, tuple(np.broadcast_to(np.True_, shape) for shape in x.like))
    raise _at_random(call)


def _at_random(call: GraphCall) -> Exception:
    return call.refusal(
        "drops numbers at random: the graph was frozen in training form. Freeze the one that was built for inference "
        "(is_training=False, keep_prob=1)"
    )


def random_numbers(call: GraphCall) -> Random:
    """Numbers between 0 and 1, of which only that much is known."""
    shapes = call.numbers(0, "a shape")
    return Random(0.0, 1.0, tuple(tuple(shape) for shape in shapes))


def comparison(op: str) -> Rule:
    """A comparison of two tensors, or of one with numbers.

    Args:
        op: the step.
    """

    def rule(call: GraphCall) -> Meaning:
        if any(isinstance(value, Random) for value in call.inputs):
            return _of_random(call, op)
        return combined(call, op, list(call.inputs[:2]), "b")

    return rule


def squared_difference(call: GraphCall) -> Ordered:
    """The square of a difference."""
    return call.alike("square", combined(call, "sub", list(call.inputs)))


def quotient(call: GraphCall) -> Meaning:
    """A quotient of floats."""
    x = call.inputs[0]
    if isinstance(x, Ordered) and x.kind != "f":
        raise call.refusal("divides integers")
    return binary("div")(call)


def total_of_two(call: GraphCall) -> Meaning:
    """A sum: the last step of a BatchNorm, or a sum of its own."""
    return batch_norm_of(call) or binary("add")(call)


def total(call: GraphCall) -> Meaning:
    """The sum of several tensors."""
    result = call.inputs[0]
    for value in call.inputs[1:]:
        result = combined(call, "add", [result, value])
    return result


def power(call: GraphCall) -> Ordered:
    """A power of each number."""
    x, exponent = call.computed(), float(call.number(1, "exponent"))
    ops: dict[float, str] = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt"}
    return call.alike(ops[exponent], x) if exponent in ops else call.alike("pow", x, exponent=exponent)


def choice(call: GraphCall) -> Meaning:
    """One of two numbers at each place."""
    condition, yes, no = call.inputs
    if isinstance(condition, Known):
        array = collapsed(condition)
        if array.size and (array.all() or not array.any()):
            chosen = yes if array.all() else no
            wide = chosen.seen if isinstance(chosen, Ordered) else chosen.shapes
            if all(np.broadcast_shapes(a, b) == a for a, b in zip(wide, condition.shapes, strict=True)):
                return chosen
        raise call.refusal("chooses by a mask of the file")
    (condition, yes, no), order = aligned(call, [condition, yes, no])
    shapes = arithmetic.broadcast(call, [condition, yes, no])
    parts = [arithmetic.operand(call, value, shapes, [condition]) for value in (yes, no)]
    return call.make("where", shapes, order=order, condition=condition, input=parts[0], other=parts[1])


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Add", "AddV2"), total_of_two),
    "AddN": total,
    "Sub": binary("sub"),
    "Mul": binary("mul"),
    **dict.fromkeys(("Div", "RealDiv"), quotient),
    "Maximum": binary("maximum"),
    "Minimum": binary("minimum"),
    "SquaredDifference": squared_difference,
    "Pow": power,
    "Equal": comparison("eq"),
    "NotEqual": comparison("ne"),
    "Greater": comparison("gt"),
    "Less": comparison("lt"),
    "GreaterEqual": comparison("ge"),
    "LessEqual": comparison("le"),
    "LogicalAnd": comparison("logical_and"),
    "LogicalOr": comparison("logical_or"),
    "SelectV2": choice,
    **dict.fromkeys(("RandomUniform",), random_numbers),
}
