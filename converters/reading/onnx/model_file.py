"""ONNX models, `.onnx`: the initializers and the nodes of the graph, read without the onnx package.

A tensor is a view of the file, wherever its bytes lie as they are used. Large models keep their data in a file beside
the model: then it is a view of that file. Numbers written one by one (`int32_data` and the like) are gathered when
asked for.

Reference: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and docs/ExternalData.md
"""

import dataclasses
import heapq
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.reading.files import naming
from converters.reading.onnx import attribute_kinds
from converters.reading.onnx.external_data import ExternalData
from converters.reading.onnx.fields import (
    AttributeField,
    EntryField,
    FunctionField,
    GraphField,
    ModelField,
    NodeField,
    OperatorSetField,
    TypeField,
    ValueInfoField,
)
from converters.reading.onnx.tensor_messages import named_tensor
from converters.reading.protobuf.wire import Value, fields, integers, is_fixed, signed, text
from converters.reading.tensors import AnyTensor, Tensor
from converters.types import Path

_SCOPES = "pkg.torch.onnx.name_scopes"  # where torch's newer exporter notes the modules around a node

_ONNX = ("", "ai.onnx")  # domains of ONNX's own operators.
_CONSTANTS = 16  # numbers of a Constant node that are a scale or a mean, not weights
_STATED_AXES = 8  # axes of an input whose sizes are read; images have four


@dataclasses.dataclass(frozen=True)
class OnnxSubgraph:
    """A graph inside a node: a branch of `If`, the body of a loop. It reads values of the graph around it, too.

    Attributes:
        nodes: operations, each after those whose results it reads.
        tensors: initializers by name.
        outputs: names of the results.
    """

    nodes: "list[OnnxNode]"
    tensors: dict[str, AnyTensor]
    outputs: list[str]


@dataclasses.dataclass(frozen=True)
class AttributeReference:
    """An attribute, inside a function, that is one of the function's own.

    Attributes:
        name: name of the function's attribute.
    """

    name: str


AttributeValue = float | int | str | tuple[int | float, ...] | AnyTensor | OnnxSubgraph | AttributeReference | None


@dataclasses.dataclass(frozen=True)
class OnnxNode:
    """An operation.

    Attributes:
        type: name of the operator, such as "Conv".
        name: name of the node, or "".
        inputs, outputs: names of the values; "" for an optional input that is left out.
        attributes: numbers, tuples of numbers, texts and tensors, by name.
        domain: name of the set that the operator belongs to, or "" for ONNX's own.
        scopes: what the exporter says of where the node comes from: modules around it, or "".
    """

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, AttributeValue]
    domain: str = ""
    scopes: str = ""


@dataclasses.dataclass(frozen=True)
class OnnxFunction:
    """An operator that a model defines itself.

    Attributes:
        nodes: operations, each after those whose results it reads.
        inputs, outputs: names of its values inside.
        defaults: attributes that a node need not give.
        opset: version of ONNX's own operators; 0 where it is not stated.
    """

    nodes: list[OnnxNode]
    inputs: list[str]
    outputs: list[str]
    defaults: dict[str, AttributeValue]
    opset: int


class OnnxGraph(NamedTuple):
    """What a model computes.

    Attributes:
        nodes: operations in the order of the file.
        tensors: initializers by name.
        outputs: names of the results.
        files: further files that hold the model's data.
        inputs: names of what the caller gives, initializers excluded, with their shapes. An axis of any size is None;
            so is a shape that the file does not state.
        opset: version of ONNX's own operators.
        functions: operators that the model defines itself, by domain and name.
        types: names of the inputs -> their element types, as ONNX numbers them; 1 is float32.
    """

    nodes: list[OnnxNode]
    tensors: dict[str, AnyTensor]
    outputs: list[str]
    files: tuple[Path, ...]
    inputs: dict[str, tuple[int | None, ...] | None]
    opset: int
    functions: Mapping[tuple[str, str], OnnxFunction] = {}
    types: Mapping[str, int] = {}


def recognizes(head: bytes) -> bool:
    """Whether a file begins as a model does: its format's version, then a short name or another of its fields."""
    return re.match(rb"\x08[\x01-\x7f]([\x12\x1a\x22][\0-\x7f]|[\x28\x32\x3a\x42])", head) is not None


def load(path: Path, data: memoryview) -> OnnxGraph:
    """The graph of a model.

    Args:
        path: where the model lies; its data may lie beside it.
        data: bytes of the model.
    Raises: ConversionError for a damaged file, and a model without a graph. Also for data in a file that is missing,
        too short, or outside the model's directory.
    """
    graph, operators, opset = None, False, 0
    functions: dict[tuple[str, str], OnnxFunction] = {}
    external = ExternalData(path)
    for number, value in fields(data):
        if number == ModelField.GRAPH and isinstance(value, memoryview):
            graph = value
        operators |= number == ModelField.OPSET_IMPORT
        if number == ModelField.FUNCTIONS and isinstance(value, memoryview):
            key, function = _function(value, external)
            functions[key] = function
        if number == ModelField.OPSET_IMPORT and isinstance(value, memoryview):
            opset = max(opset, _opset(value))
    if graph is None or not operators:
        raise ConversionError(
            f"has no {'set of operators' if graph is not None else 'graph'}, which every ONNX model has; the file is "
            "cut short or damaged. Copy or download it again."
        )
    nodes: list[OnnxNode] = []
    tensors: dict[str, AnyTensor | None] = {}
    outputs: list[str] = []
    inputs: dict[str, tuple[int | None, ...] | None] = {}
    types: dict[str, int] = {}
    for number, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == GraphField.NODE:
            nodes.append(_node(value, external))
        elif number == GraphField.INITIALIZER:
            name, tensor = named_tensor(value, external)
            if name in tensors:
                raise ConversionError(f"has two tensors of the name {name!r}; it is ambiguous which of them counts.")
            tensors[name] = tensor
        elif number == GraphField.OUTPUT:
            outputs.append(_value_info(value)[0])
        elif number == GraphField.INPUT:
            name, inputs[name], types[name] = _value_info(value)
    inputs = {name: shape for name, shape in inputs.items() if name not in tensors}
    nodes = [node for node in nodes if any(node.outputs)]  # others compute nothing that is read
    known = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    _check_single_assignment(nodes, {*tensors, *inputs})
    for node in nodes:
        weight = node.attributes.get("value") if node.type == "Constant" else None
        if isinstance(weight, Tensor) and weight.dtype.kind not in "iub" and math.prod(weight.shape) > _CONSTANTS:
            known.setdefault(node.outputs[0], weight)
    return OnnxGraph(_in_order(nodes), known, outputs, external.files, inputs, opset, functions, types)


def _check_single_assignment(nodes: list[OnnxNode], given: set[str]) -> None:
    """Refuses a graph that makes a value twice: which one a reader gets would depend on the reader.

    Args:
        nodes: nodes of one graph.
        given: values that the graph has without a node.
    """
    made = set(given)
    for node in nodes:
        for value in node.outputs:
            if value and value in made:
                raise ConversionError(f"two nodes of the graph make the value {value!r}; the file is damaged.")
            made.add(value)


def _in_order(nodes: list[OnnxNode]) -> list[OnnxNode]:
    """The nodes, each after those whose results it reads: some tools append nodes that belong further ahead.

    Raises: ConversionError for nodes that wait for each other.
    """
    made = {output for node in nodes for output in node.outputs if output}
    missing = [{value for value in node.inputs if value in made} for node in nodes]
    readers: dict[str, list[int]] = {}
    for index, values in enumerate(missing):
        for value in values:
            readers.setdefault(value, []).append(index)
    ready = [index for index, values in enumerate(missing) if not values]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for value in nodes[index].outputs:
            for reader in readers.get(value, ()):
                if value in missing[reader]:
                    missing[reader].remove(value)
                    if not missing[reader]:
                        heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        index = next(iter(set(range(len(nodes))).difference(order)))
        raise ConversionError(
            f"the node {nodes[index].name or nodes[index].type!r} waits for its own result; the file is damaged."
        )
    return [nodes[index] for index in order]


def _opset(message: memoryview) -> int:
    """The version of ONNX's own operators; 0 for another set of operators."""
    domain, version = "", 0
    for number, value in fields(message):
        if number == OperatorSetField.DOMAIN and isinstance(value, memoryview):
            domain = text(value)
        elif number == OperatorSetField.VERSION and isinstance(value, int):
            version = signed(value)
    return version if domain in _ONNX else 0


def _value_info(message: memoryview) -> tuple[str, tuple[int | None, ...] | None, int]:
    """Name, shape and element type of an input or output."""
    name, shape, code = "", None, 0
    for number, value in fields(message):
        if number == ValueInfoField.NAME and isinstance(value, memoryview):
            name = text(value)
        elif number == ValueInfoField.TYPE and isinstance(value, memoryview):
            for tensor in _parts(value, TypeField.TENSOR_TYPE):
                code = next(
                    (part for field, part in fields(tensor) if field == TypeField.ELEMENT and isinstance(part, int)), 0
                )
                for sizes in _parts(tensor, TypeField.SHAPE):
                    shape = _sizes(sizes)
    return name, shape, code


def _sizes(message: memoryview) -> tuple[int | None, ...]:
    """The sizes of a TensorShapeProto."""
    sizes: list[int | None] = []
    for dimension in _parts(message, TypeField.DIM)[:_STATED_AXES]:
        stated = [value for number, value in fields(dimension) if number == TypeField.DIM_VALUE]
        size = signed(stated[0]) if stated and isinstance(stated[0], int) else 0
        sizes.append(size if size > 0 else None)
    return tuple(sizes)


def _parts(message: memoryview, wanted: int) -> list[memoryview]:
    return [value for number, value in fields(message) if number == wanted and isinstance(value, memoryview)]


def _subgraph(message: memoryview, external: ExternalData) -> OnnxSubgraph:
    """A graph that is an attribute of a node."""
    nodes: list[OnnxNode] = []
    tensors: dict[str, AnyTensor] = {}
    outputs: list[str] = []
    for number, value in fields(message):
        if number == GraphField.NODE and isinstance(value, memoryview):
            nodes.append(_node(value, external))
        elif number == GraphField.INITIALIZER and isinstance(value, memoryview):
            name, tensor = named_tensor(value, external)
            if tensor is not None:
                tensors[name] = tensor
        elif number == GraphField.OUTPUT and isinstance(value, memoryview):
            outputs.append(_value_info(value)[0])
    _check_single_assignment(nodes, set(tensors))
    return OnnxSubgraph(_in_order(nodes), tensors, outputs)


def _function(message: memoryview, external: ExternalData) -> tuple[tuple[str, str], OnnxFunction]:
    """An operator that the model defines, by its domain and name."""
    name = domain = ""
    inputs: list[str] = []
    outputs: list[str] = []
    nodes: list[OnnxNode] = []
    defaults: dict[str, AttributeValue] = {}
    opset = 0
    for number, value in fields(message):
        if not isinstance(value, memoryview):
            continue
        match number:
            case FunctionField.NAME:
                name = text(value)
            case FunctionField.DOMAIN:
                domain = text(value)
            case FunctionField.INPUT:
                inputs.append(text(value))
            case FunctionField.OUTPUT:
                outputs.append(text(value))
            case FunctionField.NODE:
                nodes.append(_node(value, external))
            case FunctionField.DEFAULT:
                key, content = _attribute(value, external)
                defaults[key] = content
            case FunctionField.OPSET_IMPORT:
                opset = max(opset, _opset(value))
    _check_single_assignment(nodes, set(inputs))
    return (domain, name), OnnxFunction(_in_order(nodes), inputs, outputs, defaults, opset)


def _node(message: memoryview, external: ExternalData) -> OnnxNode:
    kind = node_name = domain = scopes = ""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, AttributeValue] = {}
    for number, value in fields(message):
        if not isinstance(value, memoryview):
            continue
        match number:
            case NodeField.INPUT:
                inputs.append(text(value))
            case NodeField.OUTPUT:
                outputs.append(text(value))
            case NodeField.NAME:
                node_name = text(value)
            case NodeField.OP_TYPE:
                kind = text(value)
            case NodeField.DOMAIN:
                domain = text(value)
            case NodeField.ATTRIBUTE:
                name, content = _attribute(value, external)
                attributes[name] = content
            case NodeField.METADATA:
                entry = {field: text(part) for field, part in fields(value)}
                if entry.get(EntryField.KEY) == _SCOPES:
                    scopes = entry.get(EntryField.VALUE, "")
    if domain in _ONNX:
        with naming(f"the node {node_name or kind!r} ({kind})"):
            attribute_kinds.check(attributes)
    return OnnxNode(kind, node_name, inputs, outputs, attributes, domain, scopes)


def _attribute(message: memoryview, external: ExternalData) -> tuple[str, AttributeValue]:
    """Name and value of an attribute."""
    name = ""
    content: AttributeValue = None
    several: list[int] = []
    floats: list[float] = []
    for number, value in fields(message):
        if number == AttributeField.NAME and isinstance(value, memoryview):
            name = text(value)
        elif number == AttributeField.FLOAT and isinstance(value, np.ndarray) and is_fixed(value, 4):
            content = float(value.view("<f4").ravel()[-1])
        elif number == AttributeField.INT and isinstance(value, int):
            content = signed(value)
        elif number == AttributeField.STRING and isinstance(value, memoryview):
            content = text(value)
        elif number == AttributeField.TENSOR and isinstance(value, memoryview):
            _, content = named_tensor(value, external)
        elif number == AttributeField.REFERENCE and isinstance(value, memoryview):
            content = AttributeReference(text(value))
        elif number == AttributeField.GRAPH and isinstance(value, memoryview):
            content = _subgraph(value, external)
        elif number == AttributeField.INTS:
            several += integers(value)
        elif number == AttributeField.FLOATS:
            floats += _floats(value)
    return name, tuple(several or floats) if several or floats else content


def _floats(value: Value) -> list[float]:
    """The numbers of a repeated field of floats, one or many of them."""
    if isinstance(value, np.ndarray) and is_fixed(value, 4):
        return [float(number) for number in value.view("<f4").ravel()]
    if isinstance(value, memoryview) and value.nbytes % 4 == 0:
        return [float(number) for number in np.frombuffer(value, "<f4")]
    raise ConversionError("has an attribute with a list that holds no numbers; the file is damaged.")
