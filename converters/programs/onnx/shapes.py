"""Maps in another shape, or with their axes in another order: their numbers stay."""

import math
from collections.abc import Sequence

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import IMAGE_AXES, Map, Value, any_map
from converters.reading.onnx.model_file import OnnxNode


def flatten(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map made flat."""
    x, axis = any_map(inputs[0]), attributes.integer(node, "axis", 1)
    shape = x.shape or ()
    axis = axis % len(shape) if axis < 0 else axis
    return _reshaped(graph, node, x, (math.prod(shape[:axis]), math.prod(shape[axis:])))


def reshape(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map in another shape."""
    x, sizes = any_map(inputs[0]), attributes.integers(node, inputs, 1, "shape")
    if x.shape is None or sizes is None:
        return None
    zero = not attributes.integer(node, "allowzero", 0)
    sizes = [x.shape[index] if size == 0 and zero else size for index, size in enumerate(sizes)]
    rest = math.prod(size for size in sizes if size != -1)
    sizes = [math.prod(x.shape) // rest if size == -1 else size for size in sizes]
    return _reshaped(graph, node, x, tuple(sizes))


def squeeze(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map without its axes of size 1."""
    x, axes = any_map(inputs[0]), attributes.integers(node, inputs, 1, "axes")
    if x.shape is None:
        return None
    gone = {axis % len(x.shape) for axis in axes} if axes else {i for i, size in enumerate(x.shape) if size == 1}
    return _reshaped(graph, node, x, tuple(size for index, size in enumerate(x.shape) if index not in gone))


def unsqueeze(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map with further axes of size 1."""
    x, axes = any_map(inputs[0]), attributes.integers(node, inputs, 1, "axes")
    if x.shape is None or not axes:
        return None
    rank = len(x.shape) + len(axes)
    new, sizes = {axis % rank for axis in axes}, iter(x.shape)
    return _reshaped(graph, node, x, tuple(1 if index in new else next(sizes) for index in range(rank)))


def _reshaped(graph: GraphContext, node: OnnxNode, x: Map, shape: tuple[int, ...]) -> Map | None:
    """A map in another shape that keeps the order of its numbers; None where that is no flat map of an image."""
    if x.shape is None or math.prod(shape) != math.prod(x.shape):
        return None
    if shape == x.shape:
        return x
    flat = graph.batch, math.prod(x.shape) // graph.batch
    one_pixel = x.step.size == (1, 1)
    if shape == flat and (x.axes == IMAGE_AXES or (one_pixel and sorted(x.axes) == sorted(IMAGE_AXES))):
        return Map(x.step, shape, "nc")
    if x.axes == "nc" and one_pixel and shape == (*flat, 1, 1):
        return Map(x.step, shape, IMAGE_AXES)
    return None


def transpose(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map with its axes in another order, which changes no number."""
    x, places = any_map(inputs[0]), attributes.integers(node, (), 0, "perm")
    if x.shape is None or places is None or sorted(places) != list(range(len(x.shape))):
        return None
    return Map(x.step, tuple(x.shape[place] for place in places), "".join(x.axes[place] for place in places))
