"""Nodes of a GraphDef in plain words: one list, in order, with every function call written out.

Names of values are those of TensorFlow 1: `node` is the first result of a node, `node:1` its second.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxNode

CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
BRANCHES = frozenset(("If", "StatelessIf"))
_PASSING = frozenset(("Identity", "PlaceholderWithDefault", "StopGradient", "EnsureShape"))
_DEEPEST = 64  # functions that call each other
# TensorFlow's word for the type of an attribute -> the field that holds it.
_ATTRIBUTE_KINDS = {
    **{"string": "s", "int": "i", "float": "f", "bool": "b"},
    **{name: name for name in ("type", "shape", "tensor", "func")},
}


@dataclasses.dataclass(frozen=True)
class Definition:
    """A GraphDef, opened.

    Attributes:
        nodes: name -> its NodeDef.
        functions: name -> its FunctionDef.
    """

    nodes: Mapping[str, Any]
    functions: Mapping[str, Any]


def opened(graph: Any) -> Definition:
    """The nodes and the functions of a GraphDef by their names.

    Raises:
        ConversionError: two nodes of one name.
    """
    nodes = {node.name: node for node in graph.node}
    if len(nodes) < len(graph.node):
        raise ConversionError("two nodes of the graph have the same name; the file is damaged.")
    return Definition(nodes, {function.signature.name: function for function in graph.library.function})


def plain_name(reference: str) -> str:
    """The name of a value as it is written here: `node:0` is `node`."""
    return reference.removesuffix(":0")


def node_of(value: str) -> str:
    """The name of the node that gives a value."""
    return value.partition(":")[0]


def flat_nodes(definition: Definition, outputs: Iterable[str]) -> tuple[list[OnnxNode], list[str]]:
    """The nodes that some values need, each after those that it reads; functions are written out.

    Args:
        definition: the graph.
        outputs: names of the values.
    Returns: the nodes; and the names of the values, which may be inside of a function.
    Raises:
        ConversionError: nodes that are missing, that call themselves, or that form a loop.
    """
    return _Flattening(definition).run(outputs)


class _Flattening:
    """Values are followed from the results to the image; a call leads into its function."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.nodes: dict[str, OnnxNode] = {}
        self.aliases: dict[str, str] = {}
        for node in definition.nodes.values():
            self._add(node, node.name, [plain_name(name) for name in node.input if not name.startswith("^")], 0)

    def run(self, outputs: Iterable[str]) -> tuple[list[OnnxNode], list[str]]:
        names = [self._resolved(plain_name(name)) for name in outputs]
        done: dict[str, OnnxNode] = {}
        waiting = [(node_of(name), False) for name in reversed(names)]
        open_nodes: set[str] = set()
        while waiting:
            name, ready = waiting.pop()
            if name in done:
                continue
            node = self._node(name)
            if ready:
                open_nodes.discard(name)
                done[name] = node
                continue
            if name in open_nodes:
                raise ConversionError(f"the node {name!r}, {node.type}, needs its own result: the graph has a loop.")
            open_nodes.add(name)
            waiting.append((name, True))
            waiting += [(node_of(value), False) for value in reversed(node.inputs) if node_of(value) not in done]
        return list(done.values()), names

    def _node(self, name: str) -> OnnxNode:
        node = self.nodes.get(name)
        if node is None:
            raise ConversionError(f"the graph reads {name!r}, which none of its nodes makes; the file is damaged.")
        return dataclasses.replace(node, inputs=[self._resolved(value) for value in node.inputs])

    def _resolved(self, value: str) -> str:
        """The value that a name stands for: that of a call is one inside of its function."""
        while True:
            if value in self.aliases:
                value = self.aliases[value]
            elif not self._write_out(node_of(value)):
                return value

    # ---- functions

    def _add(self, node: Any, name: str, inputs: list[str], depth: int) -> None:
        attributes = _attributes(node, name)
        self.nodes[name] = OnnxNode(node.op, name, inputs, [name], attributes, str(depth) if depth else "")

    def _write_out(self, name: str) -> bool:
        """Writes a call out; whether the node is one."""
        node = self.nodes.get(name)
        if node is None:
            return False
        attributes: Any = node.attributes
        inputs = node.inputs
        if node.type in CALLS:
            function = attributes["f"].func.name
        elif node.type in self.definition.functions:
            function = node.type
        elif node.type in BRANCHES and (condition := self._truth(inputs[0])) is not None:
            function = attributes["then_branch" if condition else "else_branch"].func.name
            inputs = inputs[1:]
        else:
            return False
        depth = int(node.domain or 0) + 1
        if depth > _DEEPEST:
            raise ConversionError(f"the function {function!r} calls itself, so that the network has no fixed program.")
        body = self.definition.functions.get(function)
        if body is None:
            raise ConversionError(f"the node {name!r} calls the function {function!r}, which the file lacks.")
        self._body(name, body, inputs, depth)
        return True

    def _body(self, name: str, body: Any, inputs: Sequence[str], depth: int) -> None:
        arguments = {argument.name: value for argument, value in zip(body.signature.input_arg, inputs, strict=True)}
        types = {node.name: node for node in body.node_def}

        def value(reference: str) -> str:
            if reference in arguments:
                return arguments[reference]
            inner, _, rest = reference.partition(":")
            index = self._index(types[inner], rest) if inner in types else 0
            return f"{name}/{inner}:{index}" if index else f"{name}/{inner}"

        for node in body.node_def:
            given = [value(reference) for reference in node.input if not reference.startswith("^")]
            self._add(node, f"{name}/{node.name}", given, depth)
        for index, result in enumerate(body.signature.output_arg):
            self.aliases[f"{name}:{index}" if index else name] = value(body.ret[result.name])

    def _index(self, node: Any, rest: str) -> int:
        """The number of a result that a function names by word and place: `getitem:output:1`."""
        word, _, place = rest.partition(":")
        index = int(place or 0)
        function = self.definition.functions.get(node.op)
        results = function.signature.output_arg if function is not None else definition_of(node.op).output_arg
        for result in results:
            if result.name == word:
                return index
            index += count(node.attr, result)
        raise ConversionError(f"the node {node.name!r}, {node.op}, has no result {word!r}; the file is damaged.")

    def _truth(self, value: str) -> bool | None:
        """The condition of a branch, if it is a constant."""
        for _ in range(_DEEPEST):
            value = self._resolved(value)
            node = self.nodes.get(node_of(value))
            if node is None:
                return None
            if node.type == "Const":
                attributes: Any = node.attributes
                return bool(np.all(tensor_of(attributes["value"].tensor)))
            if node.type not in _PASSING:
                return None
            value = node.inputs[0]
        return None


@functools.cache
def _known(op: str) -> Any:
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(op)


def _attributes(node: Any, name: str) -> dict[str, Any]:
    """The attributes of a node, of the kinds that TensorFlow describes; a damaged graph may have others, or lack some.

    Raises:
        ConversionError: naming the node and the attribute.
    """
    attributes = dict(node.attr.items())
    for known in getattr(_known(node.op), "attr", ()):
        value = attributes.get(known.name)
        if value is None and known.HasField("default_value"):
            continue
        expected = "list" if known.type.startswith("list(") else _ATTRIBUTE_KINDS[known.type]
        kind = value.WhichOneof("value") if value is not None else None
        if kind not in (expected, "placeholder"):  # a function's body may leave it to its call
            raise ConversionError(
                f"the node {name!r}, {node.op}, should have an attribute {known.name!r} of type {known.type}; the "
                "file is damaged."
            )
    return attributes


def definition_of(op: str) -> Any:
    """TensorFlow's own description of an operation: its inputs, results and attributes.

    Raises:
        ConversionError: TensorFlow does not know it.
    """
    definition = _known(op)
    if definition is None:
        raise ConversionError(
            f"has nodes of the operation {op}, which is not TensorFlow's: a library of its own defines it. Freeze a "
            "graph of TensorFlow's operations alone."
        )
    return definition


def count(attributes: Mapping[str, Any], argument: Any) -> int:
    """How many tensors one named input or result of a node is.

    Args:
        attributes: attributes of the node.
        argument: TensorFlow's description of the input or result.
    """
    if argument.number_attr:
        return int(attributes[argument.number_attr].i)
    if argument.type_list_attr:
        return len(attributes[argument.type_list_attr].list.type)
    return 1


def tensor_of(proto: Any) -> np.ndarray:
    """The numbers of a constant.

    Raises:
        ConversionError: numbers that do not fit the shape.
    """
    import tensorflow as tf

    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise ConversionError(
            f"has a constant that cannot be read: {str(error)[:200]}; the file is damaged."
        ) from error


def plain(value: Any) -> Any:
    """An attribute in plain words: a number, a text, a tuple of numbers; or a type or shape of TensorFlow."""
    kind = value.WhichOneof("value")
    if kind == "s":
        return value.s.decode("utf-8", "replace")
    if kind in ("i", "f", "b", "type"):
        return getattr(value, kind)
    if kind == "shape":
        return shape_of(value.shape)
    if kind == "list":
        return tuple(_listed(value.list))
    return value


def shape_of(proto: Any) -> tuple[int | None, ...] | None:
    """A shape with None for axes of any size; None where not even their number is known."""
    if proto.unknown_rank:
        return None
    return tuple(None if axis.size < 0 else int(axis.size) for axis in proto.dim)


def _listed(values: Any) -> Iterator[Any]:
    yield from (part.decode("utf-8", "replace") for part in values.s)
    for numbers in (values.i, values.f, values.b, values.type):
        yield from numbers
