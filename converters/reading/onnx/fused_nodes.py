"""The graphs that onnxruntime's optimizer writes, in ONNX's own operators.

The optimizer fuses a convolution with the sum and the activation after it. Its last level also blocks the channels for
one processor, which cannot be undone from the file.

Reference: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from converters.errors import ConversionError
from converters.reading.onnx.model_file import AttributeValue, OnnxGraph, OnnxNode

_FUSED = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
_BLOCKED = ("com.microsoft.nchwc", "com.ms.internal.nhwc")  # domains of operators for one processor


def split_fused(graph: OnnxGraph) -> OnnxGraph:
    """The graph with a convolution, a sum and an activation in place of each fused node.

    Args:
        graph: graph of a file.
    Raises: ConversionError for a graph whose channels were blocked for one processor.
    """
    blocked = next((node for node in graph.nodes if node.domain in _BLOCKED), None)
    if blocked is not None:
        raise ConversionError(
            f"was saved by onnxruntime for one processor: its node {blocked.name or blocked.type!r} is of "
            f"{blocked.domain}, whose weights lie in blocks of channels. Convert the file that onnxruntime read, or "
            "let it save with graph_optimization_level=ORT_ENABLE_EXTENDED."
        )
    if not any(node.type in _FUSED for node in graph.nodes):
        return graph
    return graph._replace(nodes=[part for node in graph.nodes for part in _parts(node)])


def _parts(node: OnnxNode) -> list[OnnxNode]:
    if node.type not in _FUSED or not node.outputs:
        return [node]
    convolution = node.type == "FusedConv"
    added = node.inputs[3] if convolution and len(node.inputs) > 3 else ""
    activation = node.attributes.get("activation")
    kept = {name: value for name, value in node.attributes.items() if not name.startswith("activation")}
    result = node.outputs[0]
    steps = ["", *(["sum"] if added else []), *(["activation"] if activation else [])]
    # No value of the file has a name of this form.
    values = [*(f"{result}\n{step}" for step in steps[:-1]), result]
    parts = [OnnxNode(_FUSED[node.type], node.name, node.inputs[:3], values[:1], kept)]
    if added:
        parts.append(OnnxNode("Add", node.name, [values[0], added], [values[1]], {}))
    if activation:
        parts.append(OnnxNode(str(activation), node.name, [parts[-1].outputs[0]], [result], _parameters(node)))
    return parts


def _parameters(node: OnnxNode) -> dict[str, AttributeValue]:
    """The activation's attributes, which stand in one list for a convolution, and each by its name for a product."""
    given = node.attributes.get("activation_params")
    numbers = [float(number) for number in given] if isinstance(given, tuple) else []
    names = {"LeakyRelu": ("alpha",), "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta")}
    listed = dict(zip(names.get(str(node.attributes["activation"]), ()), numbers, strict=False))
    named = {
        name.removeprefix("activation_"): value
        for name, value in node.attributes.items()
        if name.startswith("activation_") and name != "activation_params"
    }
    return listed | named
