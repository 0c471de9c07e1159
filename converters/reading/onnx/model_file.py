"""ONNX models, `.onnx`: the initializers and the nodes of the graph, read without the onnx package.

A tensor is a view of the file, wherever its bytes lie as they are used. Large models keep their data in a file beside
the model: then it is a view of that file. Numbers written one by one (`int32_data` and the like) are gathered when
asked for.

Reference: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and docs/ExternalData.md
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.reading.files import naming
from converters.reading.onnx.external_data import ExternalData
from converters.reading.onnx.fields import (
    AttributeField,
    EntryField,
    GraphField,
    ModelField,
    NodeField,
    TensorField,
    ValueInfoField,
)
from converters.reading.protobuf.wire import Value, fields, integers, is_fixed, signed, text
from converters.reading.tensors import AnyTensor, Block, Tensor, Unreadable, dtype_named
from converters.types import Path

# Element types of TensorProto.
_TYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16"},
    **{11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"},
    **{17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 24: "float8_e8m0fnu"},
}
_STRING = 8
_EXTERNAL = 1  # data location of a tensor that lies in another file

AttributeValue = float | int | str | tuple[int, ...] | AnyTensor | None


@dataclasses.dataclass(frozen=True)
class OnnxNode:
    """An operation.

    Attributes:
        type: name of the operator, such as "Conv".
        name: name of the node, or "".
        inputs, outputs: names of the values; "" for an optional input that is left out.
        attributes: numbers, tuples of integers, texts and tensors, by name.
    """

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, AttributeValue]


class OnnxGraph(NamedTuple):
    """What a model computes.

    Attributes:
        nodes: operations in the order of the file.
        tensors: initializers by name.
        outputs: names of the results.
        files: further files that hold the model's data.
    """

    nodes: list[OnnxNode]
    tensors: dict[str, AnyTensor]
    outputs: list[str]
    files: tuple[Path, ...]


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
    graph, operators = None, False
    for number, value in fields(data):
        if number == ModelField.GRAPH and isinstance(value, memoryview):
            graph = value
        operators |= number == ModelField.OPSET_IMPORT
    if graph is None or not operators:
        raise ConversionError(
            f"has no {'set of operators' if graph is not None else 'graph'}, which every ONNX model has; the file is "
            "cut short or damaged. Copy or download it again."
        )
    external = ExternalData(path)
    nodes: list[OnnxNode] = []
    tensors: dict[str, AnyTensor | None] = {}
    outputs: list[str] = []
    for number, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == GraphField.NODE:
            nodes.append(_node(value, external))
        elif number == GraphField.INITIALIZER:
            name, tensor = _tensor(value, external)
            if name in tensors:
                raise ConversionError(f"has two tensors of the name {name!r}; it is ambiguous which of them counts.")
            tensors[name] = tensor
        elif number == GraphField.OUTPUT:
            outputs.append(next((text(part) for field, part in fields(value) if field == ValueInfoField.NAME), ""))
    known = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return OnnxGraph(nodes, known, outputs, external.files)


def _node(message: memoryview, external: ExternalData) -> OnnxNode:
    kind = node_name = ""
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
            case NodeField.ATTRIBUTE:
                name, content = _attribute(value, external)
                attributes[name] = content
    return OnnxNode(kind, node_name, inputs, outputs, attributes)


def _attribute(message: memoryview, external: ExternalData) -> tuple[str, AttributeValue]:
    """Name and value of an attribute."""
    name = ""
    content: AttributeValue = None
    several: list[int] = []
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
            _, content = _tensor(value, external)
        elif number == AttributeField.INTS:
            several += integers(value)
    return name, tuple(several) if several else content


def _tensor(message: memoryview, external: ExternalData) -> tuple[str, AnyTensor | None]:
    """Name and tensor of a message; None in place of a tensor of texts."""
    name, code, location = "", 0, 0
    sizes: list[int] = []
    place: dict[str, str] = {}
    chunks: dict[int, list[Value]] = {}
    for number, value in fields(message):
        if number == TensorField.DIMS:
            sizes += integers(value)
        elif number == TensorField.DATA_TYPE and isinstance(value, int):
            code = value
        elif number == TensorField.NAME and isinstance(value, memoryview):
            name = text(value)
        elif number == TensorField.EXTERNAL_DATA and isinstance(value, memoryview):
            entry = {field: text(part) for field, part in fields(value) if isinstance(part, memoryview)}
            place[entry.get(EntryField.KEY, "")] = entry.get(EntryField.VALUE, "")
        elif number == TensorField.DATA_LOCATION and isinstance(value, int):
            location = value
        else:
            chunks.setdefault(number, []).append(value)
    if code == _STRING:
        return name, None
    with naming(f"tensor {name!r}"):
        if code not in _TYPES:
            return name, Unreadable(
                f"has ONNX's element type {code}. Expected a type of at least one byte a number: export the network "
                "in float32, before it is quantized."
            )
        dtype = dtype_named(_TYPES[code])
        if any(size < 0 for size in sizes):
            raise ConversionError(f"has the shape {sizes}; the file is damaged.")
        nbytes = math.prod(sizes) * dtype.itemsize
        block = external.block(place, nbytes) if location == _EXTERNAL else _block(chunks, dtype)
        if block.nbytes != nbytes:
            raise ConversionError(f"of shape {sizes} and {dtype} has {block.nbytes} bytes; the file is damaged.")
        return name, Tensor(block, dtype, tuple(sizes))


def _block(chunks: Mapping[int, list[Value]], dtype: np.dtype) -> Block:
    """The numbers of a tensor, in whichever field they lie."""
    for field, width in ((TensorField.RAW_DATA, None), (TensorField.FLOAT_DATA, 4), (TensorField.DOUBLE_DATA, 8)):
        if field in chunks:
            return _join(chunks[field], width)
    integer_fields = (TensorField.INT32_DATA, TensorField.INT64_DATA, TensorField.UINT64_DATA)
    return _gather([value for field in integer_fields for value in chunks.get(field, ())], dtype)


def _join(chunks: list[Value], width: int | None) -> Block:
    """The bytes of a field, packed or, with `width`, as numbers of so many bytes."""
    pieces: list[memoryview | np.ndarray] = []
    for value in chunks:
        if isinstance(value, memoryview):
            pieces.append(value.cast("B"))
        elif width and isinstance(value, np.ndarray) and is_fixed(value, width):
            pieces.append(value)
        else:
            raise ConversionError("has data that are no bytes; the file is damaged.")
    if len(pieces) == 1 and isinstance(pieces[0], memoryview):
        return Block.of(pieces[0])
    return Block(sum(piece.nbytes for piece in pieces), lambda: memoryview(b"".join(map(bytes, pieces))))


def _gather(chunks: list[Value], dtype: np.dtype) -> Block:
    """Numbers of variable length, one or many a field; for float16 and bfloat16 their bits, as integers."""
    count = 0
    for value in chunks:
        if isinstance(value, np.ndarray):
            raise ConversionError("has data that are no numbers; the file is damaged.")
        # The last byte of every varint is below 128.
        count += 1 if isinstance(value, int) else int((np.frombuffer(value, np.uint8) < 0x80).sum())
    mask = (1 << 8 * dtype.itemsize) - 1

    def data() -> memoryview:
        numbers = [number & mask for value in chunks for number in integers(value)]
        return memoryview(np.array(numbers, f"<u{dtype.itemsize}").tobytes())

    return Block(count * dtype.itemsize, data)
