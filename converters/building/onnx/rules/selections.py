"""Choices: the class of the largest score, comparisons, and numbers chosen by them."""

from typing import Any

from converters.building.onnx.call import Call
from converters.building.onnx.constants import collapsed
from converters.building.onnx.rules.arithmetic import broadcast, operand, two
from converters.building.onnx.rules.shapes import permuted
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known, Value


def argmax(call: Call) -> Value:
    """The place of the largest number along an axis."""
    x, axis = call.computed(), int(call.attribute("axis", 0))
    axis %= x.rank
    if call.attribute("select_last_index", 0):
        raise call.refusal("takes the last of equal numbers")
    if x.is_free(axis):
        raise call.refusal("looks along an axis whose size depends on the image or the batch")
    kept = bool(call.attribute("keepdims", 1))
    shapes = [(*shape[:axis], *((1,) if kept else ()), *shape[axis + 1 :]) for shape in x.shapes]
    return call.emit(call.node.type.lower(), shapes, "i", input=x, dim=axis, keepdim=kept)


def largest(call: Call) -> list[Value]:
    """The largest or smallest numbers of an axis, and their places."""
    x = call.computed()
    number = int(call.number(1, "k"))
    axis = int(call.attribute("axis", -1)) % x.rank
    shapes = [(*shape[:axis], number, *shape[axis + 1 :]) for shape in x.shapes]
    options: dict[str, Any] = {"k": number, "dim": axis, "largest": bool(call.attribute("largest", 1)), "sorted": True}
    both = call.emit("topk", [()] * len(x.shapes), x.kind, input=x, **options)
    return [call.emit("getitem", shapes, kind, input=both, index=index) for index, kind in enumerate((x.kind, "i"))]


def gathered(call: Call) -> Value:
    """Numbers at places that the network computes, along one axis."""
    x, places = call.computed(), call.computed(1)
    axis = int(call.attribute("axis", 0)) % x.rank
    return call.emit("gather", places.shapes, x.kind, input=x, dim=axis, index=places)


def comparison(op: str) -> Rule:
    """A comparison of two tensors, or of one with numbers.

    Args:
        op: the step.
    """

    def rule(call: Call) -> Value:
        first, second = call.inputs[0], call.inputs[1]
        assert first is not None
        assert second is not None
        result = two(call, op, first, second)
        assert isinstance(result, Computed)
        return Computed(result.name, result.shapes, "b")

    return rule


def one_hot(call: Call) -> Value:
    """An axis of all classes, with 1 at the one that the number says."""
    x, classes = call.computed(), int(call.number(1, "depth"))
    values = call.weight(2, "values").arrays[0].reshape(-1).tolist()
    if x.kind != "i" or values != [0, 1]:
        raise call.refusal("writes other numbers than 0 and 1, or reads places that are no integers")
    axis = int(call.attribute("axis", -1)) % (x.rank + 1)
    result = call.emit("one_hot", [(*shape, classes) for shape in x.shapes], "i", input=x, num_classes=classes)
    return permuted(call, result, [*range(axis), x.rank, *range(axis, x.rank)])


def where(call: Call) -> Value:
    """One of two numbers at each place."""
    values = [value for value in call.inputs if value is not None]
    condition, yes, no = values
    shapes = broadcast(call, values)
    if isinstance(condition, Known):
        array = collapsed(condition)
        if array.size and (array.all() or not array.any()):
            chosen = yes if array.all() else no
            if list(chosen.shapes) == shapes:
                return chosen
    parts = [operand(call, value, shapes, [condition]) for value in (yes, no)]
    return call.emit("where", shapes, condition=condition, input=parts[0], other=parts[1])


RULES: dict[str, Rule] = {
    "ArgMax": argmax,
    "ArgMin": argmax,
    "OneHot": one_hot,
    "TopK": largest,
    "GatherElements": gathered,
    "Equal": comparison("eq"),
    "Greater": comparison("gt"),
    "Less": comparison("lt"),
    "GreaterOrEqual": comparison("ge"),
    "LessOrEqual": comparison("le"),
    "And": comparison("logical_and"),
    "Or": comparison("logical_or"),
    "Xor": comparison("logical_xor"),
    "Where": where,
}
