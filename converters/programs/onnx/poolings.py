"""Poolings: of windows, and of the whole map."""

from collections.abc import Sequence
from typing import Any

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import Map, Value, channels, image_map
from converters.programs.steps import NO_PADDING
from converters.reading.onnx.model_file import OnnxNode


def pooling(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """A pooling with fixed windows."""
    x = image_map(inputs[0])
    kernel, stride = attributes.pair(node, "kernel_shape"), attributes.pair(node, "strides")
    dilation = attributes.pair(node, "dilations")
    if "kernel_shape" not in node.attributes:
        raise ValueError("kernel_shape")
    pad = attributes.padding(node, x.step.size, kernel=kernel, stride=stride, dilation=dilation)
    ceil_mode = bool(attributes.integer(node, "ceil_mode", 0))
    facts: dict[str, Any] = {}
    if dilation != (1, 1):
        facts["dilation"] = dilation
    pool = "MAX" if node.type == "MaxPool" else "AVE"
    if pool == "AVE":
        counted = bool(attributes.integer(node, "count_include_pad", 0))
        if pad != NO_PADDING and not counted:
            facts["divided by"] = "the pixels on the map"
        if ceil_mode and counted and pad == NO_PADDING:
            facts["divided by"] = "the pixels of the window"
    if pool == "MAX" and dilation != (1, 1):
        rates = tuple(rate * (side - 1) + 1 for rate, side in zip(dilation, kernel, strict=True))
        size = tuple(
            (side + sum(more) - window) // step + 1
            for side, more, window, step in zip(x.step.size, pad, rates, stride, strict=True)
        )
        step = graph.factory.step(
            "pooling",
            [x.step],
            graph.name(node),
            size=(size[0], size[1]),
            pool=pool,
            kernel=kernel,
            stride=stride,
            pad=pad,
            ceil_mode=ceil_mode,
            **facts,
        )
        return graph.map(step, channels(x))
    step = graph.factory.pooling(
        x.step, graph.name(node), pool=pool, kernel=kernel, stride=stride, pad=pad, ceil_mode=ceil_mode, **facts
    )
    return graph.map(step, channels(x))


def whole_map(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """A pooling of the whole map."""
    x = image_map(inputs[0])
    pool = "MAX" if node.type == "GlobalMaxPool" else "AVE"
    return graph.map(graph.factory.global_pooling(x.step, graph.name(node), pool), channels(x))


def reduction(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A mean or maximum over rows and columns."""
    x = inputs[0]
    axes = attributes.integers(node, inputs, 1, "axes")
    if not isinstance(x, Map) or x.shape is None or not axes or sorted(x.axis(axis) for axis in axes) != ["h", "w"]:
        return None
    pool = "MAX" if node.type == "ReduceMax" else "AVE"
    step = graph.factory.global_pooling(x.step, graph.name(node), pool)
    sizes = {"n": graph.batch, "c": channels(x), "h": 1, "w": 1}
    kept = x.axes if attributes.integer(node, "keepdims", 1) else x.axes.replace("h", "").replace("w", "")
    return Map(step, tuple(sizes[axis] for axis in kept), kept)
