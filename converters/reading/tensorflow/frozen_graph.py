"""A frozen graph as a checkpoint: the constants that were a network's variables, and the nodes that read them.

Nothing of the graph runs, and TensorFlow is not needed.

Reference: https://github.com/tensorflow/tensorflow: graph.proto, node_def.proto, attr_value.proto and tensor.proto in
core/framework.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.files import naming
from converters.reading.protobuf.wire import Value, fields, integers, text
from converters.reading.tensorflow.messages import read_tensor
from converters.reading.tensors import Tensor

FORMAT = "TensorFlow frozen graph"
CONSTANT, PASSING = "Const", frozenset(("Identity", "ReadVariableOp"))

_NODE, _LIST, _TENSOR = 1, 1, 8  # fields of GraphDef, and of AttrValue
_COST = 1200  # bytes of a node as Python has it, from above
_FLOATS = "fV"  # kinds of NumPy's types: bfloat16 is one of its own
# Operations with weights, and the places of these among their inputs.
_WEIGHTED = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BiasAdd"), (1,)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), (1, 2, 3, 4)),
}


@dataclasses.dataclass(frozen=True)
class GraphNode:
    """A node of a graph.

    Attributes:
        name: its name.
        op: its operation, as "Conv2D".
        inputs: names of the nodes that it reads, without what merely has to run before.
        attributes: name -> value, a message.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, memoryview]

    def numbers(self, attribute: str) -> tuple[int, ...]:
        """The whole numbers of an attribute that is a list of them; none where the node lacks it.

        Args:
            attribute: name of the attribute, as "strides".
        """
        numbers: list[int] = []
        for number, value in fields(self.attributes.get(attribute, memoryview(b""))):
            if number == _LIST and isinstance(value, memoryview):
                for field, part in fields(value):
                    numbers += integers(part) if field == 3 else []
        return tuple(numbers)

    def constant(self) -> Tensor | None:
        """The numbers of a constant; None for every other node, and for a constant without numbers."""
        for number, value in fields(self.attributes.get("value", memoryview(b""))):
            if self.op == CONSTANT and number == _TENSOR and isinstance(value, memoryview):
                return read_tensor(value)
        return None


def read_nodes(data: memoryview) -> dict[str, GraphNode]:
    """The nodes of a graph by their names, in the file's order.

    Args:
        data: bytes of the GraphDef.
    Raises: ConversionError for bytes that are no GraphDef, and for two nodes of one name.
    """
    nodes: dict[str, GraphNode] = {}
    for number, value in fields(data):
        if number != _NODE or not isinstance(value, memoryview):
            continue
        limits.current(len(data)).charge(_COST)
        node = _node(value)
        if node.name in nodes:
            raise ConversionError(f"two nodes of the graph are called {node.name!r}; the file is damaged.")
        nodes[node.name] = node
    return nodes


def load(nodes: Mapping[str, GraphNode]) -> dict[str, Tensor]:
    """The weights among the constants of a graph, by the names that the variables had.

    A constant is one if it is read as a variable is, through an Identity, or as a weight of an operation.

    Args:
        nodes: name -> node of the graph.
    """
    weights: dict[str, Tensor] = {}
    for name in dict.fromkeys(_read_as_weights(nodes)):
        with naming(f"node {name!r}"):
            tensor = nodes[name].constant()
        if tensor is not None and tensor.shape and tensor.dtype.kind in _FLOATS:
            weights[name] = tensor
    return weights


def source_of(name: str, nodes: Mapping[str, GraphNode], passing: frozenset[str] = PASSING) -> str:
    """The node whose result another one hands on unchanged; the node itself where it does not.

    Args:
        name: name of a node.
        nodes: name -> node of the graph.
        passing: operations that hand their first input on.
    """
    for _ in range(len(nodes)):  # a damaged graph may have loops
        node = nodes.get(name)
        if node is None or node.op not in passing or not node.inputs:
            break
        name = node.inputs[0]
    return name


def _read_as_weights(nodes: Mapping[str, GraphNode]) -> Iterator[str]:
    for node in nodes.values():
        places = (0,) if node.op in PASSING else _WEIGHTED.get(node.op, ())
        for place in places:
            if place < len(node.inputs):
                name = source_of(node.inputs[place], nodes)
                if name in nodes and nodes[name].op == CONSTANT:
                    yield name


def _node(message: memoryview) -> GraphNode:
    name, op = "", ""
    inputs: list[str] = []
    attributes: dict[str, memoryview] = {}
    for number, value in fields(message):
        if number == 1:
            name = text(value)
        elif number == 2:
            op = text(value)
        elif number == 3 and not (read := text(value)).startswith("^"):
            inputs.append(read.removesuffix(":0"))
        elif number == 5 and isinstance(value, memoryview):
            key, entry = _attribute(value)
            attributes[key] = entry
    return GraphNode(name, op, tuple(inputs), attributes)


def _attribute(message: memoryview) -> tuple[str, memoryview]:
    parts: dict[int, Value] = dict(fields(message))
    value = parts.get(2)
    return text(parts.get(1, memoryview(b""))), value if isinstance(value, memoryview) else memoryview(b"")
