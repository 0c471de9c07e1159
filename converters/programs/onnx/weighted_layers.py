"""Layers with weights: convolutions, fully connected ones and BatchNorms."""

from collections.abc import Sequence
from typing import Any

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import Map, Value, image_map
from converters.reading.onnx.model_file import OnnxNode


def convolution(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A convolution, or a transposed one."""
    x = image_map(inputs[0])
    layer, key = graph.layer(node, node.inputs[1])
    if len(layer.kernel) != 4:
        return None
    kernel = layer.kernel[2], layer.kernel[3]
    stride, dilation = attributes.pair(node, "strides"), attributes.pair(node, "dilations")
    groups = attributes.integer(node, "group", 1)
    up = node.type == "ConvTranspose"
    outputs = layer.kernel[1] * groups if up else layer.kernel[0]
    facts: dict[str, Any] = {"outputs": outputs, "groups": groups, "bias": layer.bias}
    window: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
    if up:
        if "output_shape" in node.attributes or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
            return None
        more = attributes.pair(node, "output_padding", 0)
        (above, below), (left, right) = attributes.pads(node)
        pad = (above, below - more[0]), (left, right - more[1])
        step = graph.factory.deconvolution(x.step, graph.name(node), key, pad=pad, **window, **facts)
    else:
        pad = attributes.padding(node, x.step.size, kernel=kernel, stride=stride, dilation=dilation)
        step = graph.factory.convolution(x.step, graph.name(node), key, pad=pad, **window, **facts)
    return graph.map(step, outputs)


def dense(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A fully connected layer."""
    x = inputs[0]
    if not isinstance(x, Map) or x.axes != "nc" or node.outputs[0] not in graph.layers:
        return None
    layer, key = graph.layer(node, node.inputs[1])
    facts = {"outputs": layer.kernel[0], "bias": layer.bias}
    step = graph.factory.step(
        "fully connected layer", [x.step], graph.name(node), key, size=(1, 1), nonnegative=False, **facts
    )
    return Map(step, (graph.batch, layer.kernel[0]), "nc")


def norm(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A BatchNorm."""
    x = image_map(inputs[0])
    _, key = graph.layer(node, node.inputs[1])
    facts: dict[str, Any] = {"epsilon": float(attributes.number(node, "epsilon", 1e-5)), "scale": True, "shift": True}
    if node.attributes.get("training_mode", 0) and not graph.training:
        facts["statistics"] = "of the batch"
    step = graph.factory.step("normalization", [x.step], graph.name(node), key, nonnegative=False, **facts)
    return Map(step, x.shape, x.axes)
