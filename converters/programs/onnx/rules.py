"""The rule of each operator of ONNX.

A rule gets the graph around the node, the node, and what it reads: something of it depends on the image. It returns the
map that the node makes, or None (or raises, see `converters.programs.from_onnx`) where it does not say what that is.

Reference: https://onnx.ai/onnx/operators
"""

from collections.abc import Callable, Sequence

from converters.programs.onnx import activations, arithmetic, poolings, resizes, shapes, weighted_layers, windows
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import Map, Value, any_map
from converters.programs.onnx.words import FUNCTIONS
from converters.reading.onnx.model_file import OnnxNode

Rule = Callable[[GraphContext, OnnxNode, Sequence[Value | None]], Map | None]
"""`rule(graph, node, inputs)`."""

_FLOATS = {1, 10, 11, 16}  # element types of ONNX that differ by rounding
_NOTHING = ("Identity", "Dropout")  # what changes nothing once the network is trained


def _same(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map:
    return any_map(inputs[0])


def _cast(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    return any_map(inputs[0]) if node.attributes.get("to") in _FLOATS else None


RULES: dict[str, Rule] = {
    "Conv": weighted_layers.convolution,
    "ConvTranspose": weighted_layers.convolution,
    "Gemm": weighted_layers.dense,
    "MatMul": weighted_layers.dense,
    "BatchNormalization": weighted_layers.norm,
    "MaxPool": poolings.pooling,
    "AveragePool": poolings.pooling,
    "GlobalAveragePool": poolings.whole_map,
    "GlobalMaxPool": poolings.whole_map,
    "ReduceMean": poolings.reduction,
    "ReduceMax": poolings.reduction,
    "Relu": activations.relu,
    "LeakyRelu": activations.leaky_relu,
    "Clip": activations.clip,
    "Softmax": activations.softmax,
    **dict.fromkeys(FUNCTIONS, activations.function),
    "Add": arithmetic.merge,
    "Sum": arithmetic.merge,
    "Max": arithmetic.merge,
    "Mul": arithmetic.merge,
    "Sub": arithmetic.merge,
    "Div": arithmetic.division,
    "Concat": arithmetic.concatenation,
    "Resize": resizes.resize,
    "Upsample": resizes.resize,
    "Expand": resizes.expand,
    "Flatten": shapes.flatten,
    "Reshape": shapes.reshape,
    "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.unsqueeze,
    "Transpose": shapes.transpose,
    "Slice": windows.window,
    "Pad": windows.pad,
    "Cast": _cast,
    **dict.fromkeys(_NOTHING, _same),
}
"""Operator -> rule."""
