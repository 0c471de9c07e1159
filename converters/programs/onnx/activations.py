"""Functions of each number."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import Map, Value, Weights, any_map
from converters.programs.onnx.words import FUNCTIONS
from converters.reading.onnx.model_file import OnnxNode


def relu(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """A rectified map."""
    x = any_map(inputs[0])
    return dataclasses.replace(x, step=graph.factory.relu(x.step, graph.name(node)))


def leaky_relu(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """A leaky ReLU."""
    x = any_map(inputs[0])
    slope = float(attributes.number(node, "alpha", 0.01))
    step = graph.factory.step("leaky relu", [x.step], graph.name(node), nonnegative=False, slope=slope)
    return dataclasses.replace(x, step=step)


def clip(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """Numbers between two bounds: ReLU6, or ReLU where there is no upper bound."""
    x = any_map(inputs[0])
    bounds = []
    for index, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), 1):
        given = inputs[index] if len(inputs) > index else None
        if isinstance(given, Map | Weights):
            raise TypeError("the bounds are computed")
        bounds.append(float(attributes.number(node, name, default)) if given is None else float(np.ravel(given)[0]))
    low, high = bounds
    if high >= np.finfo("f4").max and low == 0:
        return relu(graph, node, inputs)
    if (low, high) == (0, 6):
        return dataclasses.replace(x, step=graph.factory.step("relu6", [x.step], graph.name(node), nonnegative=True))
    step = graph.factory.step("clip", [x.step], graph.name(node), nonnegative=low >= 0, low=low, high=high)
    return dataclasses.replace(x, step=step)


def function(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """A function of each number."""
    x, op = any_map(inputs[0]), FUNCTIONS[node.type]
    given = {f"its {name}": value for name, value in node.attributes.items()}
    facts: dict[str, Any] = {name: value for name, value in given.items() if isinstance(value, float | int | str)}
    step = graph.factory.step(op, [x.step], graph.name(node), nonnegative=op == "sigmoid", **facts)
    return dataclasses.replace(x, step=step)


def softmax(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    """A softmax. Before version 13, it was one of all axes from the stated one on."""
    x, old = any_map(inputs[0]), graph.opset < 13
    axis = attributes.integer(node, "axis", 1 if old else -1)
    over = x.axis(axis) if not old else x.axes[axis % len(x.axes) :]
    facts: dict[str, Any] = {} if over == "c" else {"over": over}
    step = graph.factory.step("softmax", [x.step], graph.name(node), nonnegative=True, **facts)
    return dataclasses.replace(x, step=step)
