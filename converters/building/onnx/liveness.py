"""Which nodes of a graph the results need, and which of them no Keras model can be."""

import re
from collections.abc import Iterable

from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode, OnnxSubgraph

_QUANTIZED = re.compile(r"QLinear.*|.*Integer|.*QuantizeLinear|DequantizeLinear|QGemm|MatMulNBits|QAttention|QEmbed.*")
_LOOPS = {"Loop": "repeats its steps", "Scan": "repeats its steps", "SequenceMap": "repeats its steps"}
_NEVER = {
    **dict.fromkeys(("NonMaxSuppression", "RoiAlign", "MaxRoiPool"), "chooses boxes of a detector"),
    **dict.fromkeys(("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"), "draws random numbers"),
    **dict.fromkeys(("Bernoulli", "Multinomial"), "draws random numbers"),
    **dict.fromkeys(("DFT", "STFT", "MelWeightMatrix"), "computes with complex numbers"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "is a recurrent network"),
    **dict.fromkeys(("SequenceConstruct", "SequenceAt", "SplitToSequence", "ConcatFromSequence"), "makes a sequence"),
}
_OWN_DOMAINS = ("", "ai.onnx")
_FUSED = {("com.microsoft", "Gelu")}


def live_nodes(graph: OnnxGraph) -> list[OnnxNode]:
    """The nodes that the results need, in order.

    Args:
        graph: graph of a file.
    Raises:
        ConversionError: two nodes that make the same value, or a node that no Keras model can be, by its name.
    """
    _check_names(graph)
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(_read(node))
    kept.reverse()
    for node in kept:
        check_node(node)
    return kept


def _check_names(graph: OnnxGraph) -> None:
    made = set(graph.inputs)
    for node in graph.nodes:
        for output in node.outputs:
            large = node.type == "Constant" and output in graph.tensors  # a constant that the reader lists as a tensor
            if output and (output in made or (output in graph.tensors and not large)):
                raise ConversionError(f"two nodes of the graph make the value {output!r}; the file is damaged.")
            made.add(output)


def _read(node: OnnxNode) -> Iterable[str]:
    """The values that a node reads, and those that its branches take from around it."""
    yield from node.inputs
    for value in node.attributes.values():
        if isinstance(value, OnnxSubgraph):
            yield from value.outputs
            for inner in value.nodes:
                yield from _read(inner)


def check_node(node: OnnxNode) -> None:
    """Refuses a node that no Keras model can be, by its name.

    Args:
        node: operation.
    Raises:
        ConversionError: naming it.
    """
    where = f"the node {node.name or (node.outputs or [''])[0]!r}"
    if _QUANTIZED.fullmatch(node.type):
        raise ConversionError(
            f"is a quantized network: {where} is {node.type}. A Keras model computes with floats. Export the network "
            "in float32, before it is quantized."
        )
    if node.type in _LOOPS and node.domain in _OWN_DOMAINS:
        raise ConversionError(
            f"{where}, {node.type}, {_LOOPS[node.type]} as often as the data say, so that the network has no fixed "
            "program. Export the part before the loop, or write it without one."
        )
    if node.type in _NEVER and node.domain in _OWN_DOMAINS:
        raise ConversionError(
            f"{where}, {node.type}, {_NEVER[node.type]}, which no layer of Keras does. Export the network up to the "
            "step before it."
        )
    if node.domain not in _OWN_DOMAINS and (node.domain, node.type) not in _FUSED:
        raise ConversionError(
            f"{where} is {node.type} of the operator set {node.domain!r}, which is not ONNX's. "
            "Export the network with ONNX's operators alone, or pass the live torch module."
        )
