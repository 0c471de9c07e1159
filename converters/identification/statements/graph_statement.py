"""What a graph of TensorFlow's DeepLab says of its form: the output stride, and the rates of its pyramid.

It is the file itself, if that is a frozen graph, or the `.meta` beside a checkpoint: the graph of the training.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping

from converters.errors import ConversionError
from converters.identification.statements.statement import Statement
from converters.reading import Checkpoint
from converters.reading.tensorflow.frozen_graph import GraphNode, source_of
from converters.reading.tensorflow.graph_file import META_GRAPH, graph_kind
from converters.reading.tensorflow.meta_graph import read_meta_graph

_FIRST_BRANCH = "aspp0/weights"  # it reads the last features
_BRANCHES = ("aspp{}_depthwise/depthwise_weights", "aspp{}/weights")
_RATES = (6, 12, 18)  # of output stride 16
_CONVOLVING = frozenset(("Conv2D", "DepthwiseConv2dNative"))
_STRIDING = frozenset(("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"))
_TO_BLOCKS = "SpaceToBatchND"


def read_graph(checkpoint: Checkpoint) -> Iterator[Statement]:
    """The statement of a graph with the names of DeepLab's variables; nothing for others.

    Args:
        checkpoint: the opened file.
    """
    if _FIRST_BRANCH not in checkpoint:
        return
    origin, nodes = ("the graph", checkpoint.nodes) if checkpoint.nodes else _graph_beside(checkpoint)
    branch = reader_of(_FIRST_BRANCH, nodes)
    if branch is None:
        return
    stride = stride_before(branch, nodes)
    rates = tuple(_rates(nodes))
    options: dict[str, object] = {"output_stride": stride}
    says = f"output stride {stride}"
    if rates:
        says += f" and rates {'/'.join(map(str, rates))}"
    if rates and rates != tuple(rate * 16 // stride for rate in _RATES):
        options["rates"] = rates
    yield Statement(origin, says, binding=bool(checkpoint.nodes), options=options)


def _graph_beside(checkpoint: Checkpoint) -> tuple[str, Mapping[str, GraphNode]]:
    """The name and the nodes of the graph of the training, which lies beside a checkpoint; none where it does not."""
    for file in checkpoint.files:
        path = f"{os.fspath(file).removesuffix('.index')}.meta"
        if graph_kind(path) == META_GRAPH:
            with contextlib.suppress(ConversionError):  # a damaged one says nothing; the weights are whole
                return os.path.basename(path), read_meta_graph(path)
    return "", {}


def reader_of(constant: str, nodes: Mapping[str, GraphNode]) -> GraphNode | None:
    """The one convolution that has a constant or a variable as its kernel; None where it is not one.

    A graph of a training also reads its variables where it saves, draws and differentiates.

    Args:
        constant: name of the constant.
        nodes: name -> node of the graph.
    """
    readers = [
        node
        for node in nodes.values()
        if node.op in _CONVOLVING
        and len(node.inputs) > 1
        and any(source_of(name, nodes) == constant for name in node.inputs[1:])
    ]
    return readers[0] if len(readers) == 1 else None


def stride_before(node: GraphNode, nodes: Mapping[str, GraphNode]) -> int:
    """How many pixels of the image lie between two of the map that a node reads.

    Args:
        node: the node.
        nodes: name -> node of the graph.
    """
    strides: dict[str, int] = {}
    waiting = [node.inputs[0]]
    entered: set[str] = set()
    while waiting:
        name = waiting[-1]
        inputs = nodes[name].inputs if name in nodes else ()
        unknown = [other for other in inputs if other not in strides and other not in entered]
        entered.add(name)
        if unknown:
            waiting += unknown
            continue
        waiting.pop()
        stride = nodes[name].numbers("strides") if name in nodes and nodes[name].op in _STRIDING else ()
        strides[name] = max((strides.get(other, 1) for other in inputs), default=1) * max(stride, default=1)
    return strides[node.inputs[0]]


def _rates(nodes: Mapping[str, GraphNode]) -> Iterator[int]:
    """The dilation rates of the branches, in their order."""
    number = 1
    while True:
        readers = [reader_of(name.format(number), nodes) for name in _BRANCHES if name.format(number) in nodes]
        if not readers or readers[0] is None:
            return
        yield _rate(readers[0], nodes)
        number += 1


def _rate(node: GraphNode, nodes: Mapping[str, GraphNode]) -> int:
    """The rate of a convolution: its own, or that of the blocks that it is computed in."""
    before = nodes.get(node.inputs[0])
    if before is not None and before.op == _TO_BLOCKS:
        block = nodes.get(source_of(before.inputs[1], nodes))
        sides = block.constant() if block is not None else None
        if sides is not None:
            return int(sides.read().max())
    return max(node.numbers("dilations"), default=1)
