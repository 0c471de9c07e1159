"""Constants that the size of the image decides, as steps that compute them when an image comes.

A graph computes them from its `Shape` nodes. Integers are numbers of the program, whose expression the builder finds.
Every other node becomes the steps that it would be if it read the image, so that they round as the graph rounds.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from converters.building.graph import SizedFloat
from converters.building.onnx.call import Call
from converters.building.onnx.constants import integer
from converters.building.onnx.values import Computed, Known, Value
from converters.errors import ConversionError

_MOST = 16  # entries of a list of sizes
# Nodes whose further inputs say axes, places or shapes, and stay known.
_OF_ONE = frozenset(
    "Reshape Expand Unsqueeze Squeeze Slice Gather Tile Pad Resize Split ReduceSum ReduceMean ReduceMax ReduceMin "
    "ReduceProd ReduceL2 CumSum".split()
)


def may_be_computed(call: Call) -> list[int]:
    """The inputs of a node that are numbers which the size of the image decides, and no axes, places or shapes.

    Args:
        call: node.
    """
    indices = range(1) if call.node.type in _OF_ONE else range(len(call.inputs))
    values = [(index, call.inputs[index]) for index in indices if index < len(call.inputs)]
    return [index for index, value in values if isinstance(value, Known) and not value.is_fixed]


def with_computed(call: Call, rules: Any) -> Call:
    """The node with steps for the inputs that the size of the image decides.

    Args:
        call: node.
        rules: rule of each operator.
    Raises:
        ConversionError: a constant that no step computes.
    """
    inputs: list[Value | None] = list(call.inputs)
    for index in may_be_computed(call):
        value = inputs[index]
        assert isinstance(value, Known)
        inputs[index] = _computed(call.tracer, value, rules)
    return Call(call.tracer, call.node, inputs)


def _computed(tracer: Any, known: Known, rules: Any) -> Computed:
    if known.name in tracer.computed:
        done: Computed = tracer.computed[known.name]
        return done
    maker: Call | None = tracer.makers.get(known.name)
    kind = known.arrays[0].dtype.kind
    shapes = set(known.shapes)
    if len(shapes) == 1 and known.arrays[0].size <= _MOST and kind in "iu":
        made = maker or Call(tracer, tracer.nodes[0], [])
        values = [_number(list(entries)) for entries in zip(*(array.ravel() for array in known.arrays), strict=True)]
        like = next(_measured(tracer, known), None)
        result = made.emit("numbers", known.shapes, "i", values=values, shape=list(shapes.pop()), like=like)
    elif maker is None:
        raise ConversionError(f"the constant {known.name!r} depends on the size of the image in an unknown way.")
    else:
        result = _made(maker, known, rules)
    if tuple(result.shapes) != known.shapes:
        raise maker.refusal("makes a constant of another shape") if maker else ConversionError(known.name)
    tracer.computed[known.name] = result
    return result


def _measured(tracer: Any, known: Known) -> Iterator[Computed]:
    """The tensors whose sizes a constant is computed from."""
    maker: Call | None = tracer.makers.get(known.name)
    for value in maker.inputs if maker else ():
        if isinstance(value, Computed):
            yield value
        elif isinstance(value, Known) and not value.is_fixed:
            yield from _measured(tracer, value)


def _made(maker: Call, known: Known, rules: Any) -> Computed:
    """The steps of the node that makes a constant."""
    kind = "i" if known.arrays[0].dtype.kind in "iu" else known.arrays[0].dtype.kind
    if maker.node.type == "Range":
        start, end, step = (_number([array.item() for array in value.arrays]) for value in _known(maker))
        return maker.emit("arange", known.shapes, kind, start=start, end=end, step=step)
    if maker.node.type == "ConstantOfShape":
        value = known.arrays[0].ravel()[0].item()
        return maker.emit("full", known.shapes, kind, size=[], fill_value=value)
    rule = rules.get(maker.node.type)
    if rule is None:
        raise maker.refusal("computes a constant from the size of the image, and has no counterpart")
    result = rule(with_computed(maker, rules))
    if not isinstance(result, Computed):
        raise maker.refusal("computes a constant from the size of the image, and has no counterpart")
    return result


def _known(maker: Call) -> list[Known]:
    return [value for value in maker.inputs if isinstance(value, Known)]


def _number(values: Sequence[Any]) -> Any:
    """A number, or what it is at each traced size."""
    if all(isinstance(value, int | np.integer) for value in values):
        return integer([int(value) for value in values])
    numbers = tuple(float(value) for value in values)
    return numbers[0] if len(set(numbers)) == 1 else SizedFloat(numbers)
