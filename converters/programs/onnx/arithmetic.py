"""Sums, products and concatenations: of maps, and of a map with constants."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import ImpossibleSize, Map, Value, any_map
from converters.programs.onnx.words import MERGES, OTHERS
from converters.reading.onnx.model_file import OnnxNode


def merge(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A sum or product of maps, or of a map and constants."""
    if len(inputs) == 2 and not (isinstance(inputs[0], Map) and isinstance(inputs[1], Map)):
        return with_constant(graph, node, inputs)
    maps = [any_map(value) for value in inputs]
    if len(maps) == 1:
        return maps[0]
    x, *others = maps
    if x.shape is None or any(other.shape is None or other.axes != x.axes for other in others):
        return None
    shape = x.shape
    for other in others:
        try:
            shape = np.broadcast_shapes(shape, other.shape or ())
        except ValueError:
            raise ImpossibleSize(f"{shape} and {other.shape} meet at {graph.name(node)}") from None
    steps = [value.step for value in maps]
    op = MERGES[node.type]
    nonnegative = None if op != "difference" else False
    return Map(graph.factory.step(op, steps, graph.name(node), nonnegative=nonnegative), shape, x.axes)


def with_constant(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map with a constant added, or multiplied by it."""
    first, second = inputs
    x, constant = (first, second) if isinstance(first, Map) else (second, first)
    if not isinstance(x, Map):
        return None
    source = next((graph.layers[name] for name in node.inputs if name in graph.layers), None)
    if source is not None and source.ends == node.outputs[0]:
        return x  # the bias of the layer before
    if not isinstance(constant, np.ndarray):
        return None
    numbers = np.unique(constant.astype("f8"))
    exchanged = x is second
    if len(numbers) != 1 or constant.ndim > len(x.axes):
        return _constants(graph, node, x, constant, exchanged)
    number = float(numbers[0])
    scale, shift = {
        "Add": (1.0, number),
        "Sub": (-1.0, number) if exchanged else (1.0, -number),
        "Mul": (number, 0.0),
        "Div": (math.nan, 0.0) if exchanged else (1 / number, 0.0),
    }[node.type]
    if math.isnan(scale):
        return _constants(graph, node, x, constant, exchanged)
    return dataclasses.replace(x, step=graph.factory.affine(x.step, graph.name(node), scale, shift))


def _constants(graph: GraphContext, node: OnnxNode, x: Map, constant: np.ndarray, exchanged: bool) -> Map:
    """A map with numbers for each channel or pixel."""
    facts: dict[str, Any] = {"by": tuple(float(number) for number in np.ravel(constant)[:4])}
    facts |= {"number": next(graph.counter), "exchanged": exchanged}
    step = graph.factory.step(OTHERS[node.type], [x.step], graph.name(node), nonnegative=False, **facts)
    return dataclasses.replace(x, step=step)


def division(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map divided by constants."""
    return with_constant(graph, node, inputs) if isinstance(inputs[1], np.ndarray) else None


def concatenation(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """Maps one after the other along their channels."""
    if not all(isinstance(value, Map) for value in inputs):
        return None
    maps = [any_map(value) for value in inputs]
    if len(maps) == 1:
        return maps[0]
    axes, axis = maps[0].axes, attributes.integer(node, "axis", 1)
    if any(value.axes != axes or value.shape is None for value in maps) or maps[0].axis(axis) != "c":
        return None
    shapes = [value.shape or () for value in maps]
    place = axes.index("c")
    if len({(*shape[:place], *shape[place + 1 :]) for shape in shapes}) != 1:
        raise ImpossibleSize(f"{shapes} meet at {graph.name(node)}")
    total = sum(shape[place] for shape in shapes)
    step = graph.factory.step("concatenation", [value.step for value in maps], graph.name(node))
    return Map(step, (*shapes[0][:place], total, *shapes[0][place + 1 :]), axes)
