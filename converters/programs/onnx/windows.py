"""Windows of maps, and pixels around them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import IMAGE_AXES, Map, Value, Weights, any_map, check_size
from converters.reading.onnx.model_file import OnnxNode


def window(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A window of a map."""
    x = any_map(inputs[0])
    starts, ends = attributes.integers(node, inputs, 1, "starts"), attributes.integers(node, inputs, 2, "ends")
    axes, steps = attributes.integers(node, inputs, 3, "axes"), attributes.integers(node, inputs, 4, "steps")
    if x.shape is None or starts is None or ends is None:
        return None
    shape, offset = list(x.shape), {"h": 0, "w": 0}
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = (axes[index] if axes else index) % len(shape)
        first, last, _ = slice(start, end).indices(shape[axis])
        whole = (first, last) == (0, shape[axis])
        if (steps and steps[index] != 1) or (not whole and x.axis(axis) not in "hw"):
            return None
        if not whole:
            offset[x.axis(axis)] += first
        shape[axis] = last - first
    if tuple(shape) == x.shape:
        return x
    if sorted(x.axes) != sorted(IMAGE_AXES):
        return None
    size = shape[x.axes.index("h")], shape[x.axes.index("w")]
    check_size(size)
    step = graph.factory.crop(x.step, size, graph.name(node), (offset["h"], offset["w"]))
    return Map(step, tuple(shape), x.axes)


def pad(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """Pixels around a map."""
    x = inputs[0]
    sides = attributes.integers(node, inputs, 1, "pads")
    if not isinstance(x, Map) or x.shape is None or sides is None or sorted(x.axes) != sorted(IMAGE_AXES):
        return None
    rank = len(x.shape)
    axes = attributes.integers(node, inputs, 3, "axes") if len(inputs) > 3 else None
    chosen = [axis % rank for axis in axes] if axes else list(range(rank))
    before, after = sides[: len(chosen)], sides[len(chosen) :]
    amounts = {x.axes[axis]: pair for axis, pair in zip(chosen, zip(before, after, strict=True), strict=True)}
    rows, columns = amounts.get("h", (0, 0)), amounts.get("w", (0, 0))
    if any(any(amounts.get(axis, (0, 0))) for axis in "nc"):
        return None
    mode = str(node.attributes.get("mode", "constant"))
    given = inputs[2] if len(inputs) > 2 else node.attributes.get("value")
    if isinstance(given, Map | Weights):
        return None
    value = 0.0 if given is None else float(np.ravel(np.asarray(given))[0])
    name, pad = graph.name(node), (rows, columns)
    if mode == "constant" and value == 0 and min(*rows, *columns) >= 0:
        step = graph.factory.zero_padding(x.step, name, pad)
    elif max(*rows, *columns) <= 0:
        reference = x.step.size[0] + sum(rows), x.step.size[1] + sum(columns)
        check_size(reference)
        step = graph.factory.crop(x.step, reference, name, (-rows[0], -columns[0]))
    else:
        size = x.step.size[0] + sum(rows), x.step.size[1] + sum(columns)
        facts: dict[str, Any] = {"pad": pad, "mode": mode, "value": value}
        step = graph.factory.step("padding", [x.step], name, size=size, nonnegative=False, **facts)
    check_size(step.size)
    sizes = dict(zip(x.axes, x.shape, strict=True)) | {"h": step.size[0], "w": step.size[1]}
    return Map(step, tuple(sizes[axis] for axis in x.axes), x.axes)
