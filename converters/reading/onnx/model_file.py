"""ONNX models, `.onnx`: the initializers and the nodes of the graph, read without the onnx package.

A tensor is a view of the file, or of the file beside it that holds the data of large models, wherever its bytes lie as
they are used; numbers written one by one (`int32_data` and the like) are gathered when asked for.

Reference: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and docs/ExternalData.md
"""

import math
import pathlib
import re
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.reading import dtypes
from converters.reading.files import map_file, naming
from converters.reading.protobuf.wire import FIXED32, FIXED64, LENGTH, VARINT, fields, text, varints
from converters.reading.tensors import Block, Tensor, Unreadable

_TYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16"},
    **{11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"},
    **{17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 24: "float8_e8m0fnu"},
}
_STRING = 8
_FLOATS, _INT32, _INT64, _RAW, _DOUBLES, _UINT64 = 4, 5, 7, 9, 10, 11  # the fields that may hold a tensor's numbers
_EXTERNAL = 1


class Node(NamedTuple):
    """An operation; its attributes are numbers, tuples of them, texts and tensors, by name."""

    type: str
    name: str
    inputs: list
    outputs: list
    attributes: dict


class Graph(NamedTuple):
    """What a model computes: nodes in order, tensors by name, names of the results; and its further files."""

    nodes: list
    tensors: dict
    outputs: list
    files: tuple


def recognises(head: bytes) -> bool:
    """A model begins with the version of its format, and behind that with a short name or another of its fields."""
    return re.match(rb"\x08[\x01-\x7f]([\x12\x1a\x22][\0-\x7f]|[\x28\x32\x3a\x42])", head) is not None


def load(path, data: memoryview) -> Graph:
    """The graph of a model.

    Raises: ConversionError for a damaged file, a model without a graph, and data in a file that is not there, too
        short, or outside the model's directory.
    """
    graph, operators = None, False
    for number, wire, value in fields(data):
        if number == 7 and wire == LENGTH:
            graph = value
        operators |= number == 8
    if graph is None or not operators:
        raise ConversionError(
            f"has no {'set of operators' if graph is not None else 'graph'}, which every ONNX model has; the file is "
            "cut short or damaged. Copy or download it again."
        )
    external = _External(path)
    nodes, tensors, outputs = [], {}, []
    for number, wire, value in fields(graph):
        if wire != LENGTH:
            continue
        if number == 1:
            nodes.append(_node(value, external))
        elif number == 5:
            name, tensor = _tensor(value, external)
            if name in tensors:
                raise ConversionError(f"has two tensors of the name {name!r}; nobody can tell which of them counts.")
            tensors[name] = tensor
        elif number == 12:
            outputs.append(next((text(one) for field, _, one in fields(value) if field == 1), ""))
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return Graph(nodes, tensors, outputs, tuple(external.maps))


def _node(message, external):
    kind, name, inputs, outputs, attributes = "", "", [], [], {}
    for number, wire, value in fields(message):
        if wire != LENGTH:
            continue
        if number == 1:
            inputs.append(text(value))
        elif number == 2:
            outputs.append(text(value))
        elif number == 3:
            name = text(value)
        elif number == 4:
            kind = text(value)
        elif number == 5:
            key, attribute = _attribute(value, external)
            attributes[key] = attribute
    return Node(kind, name, inputs, outputs, attributes)


def _attribute(message, external):
    name, content, several = "", None, []
    for number, wire, value in fields(message):
        if number == 1 and wire == LENGTH:
            name = text(value)
        elif number == 2 and wire == FIXED32:
            content = float(value.view("<f4").ravel()[-1])
        elif number == 3 and wire == VARINT:
            content = _signed(value)
        elif number == 4 and wire == LENGTH:
            content = text(value)
        elif number == 5 and wire == LENGTH:
            _, content = _tensor(value, external)
        elif number == 8:
            several += _integers(wire, value)
    return name, tuple(several) if several else content


def _tensor(message, external):
    """`(name, tensor)`; None for one of texts."""
    name, code, shape, chunks, place, location = "", 0, [], {}, {}, 0
    for number, wire, value in fields(message):
        if number == 1:
            shape += _integers(wire, value)
        elif number == 2 and wire == VARINT:
            code = value
        elif number == 8 and wire == LENGTH:
            name = text(value)
        elif number == 13 and wire == LENGTH:
            entry = {field: text(one) for field, kind, one in fields(value) if kind == LENGTH}
            place[entry.get(1, "")] = entry.get(2, "")
        elif number == 14 and wire == VARINT:
            location = value
        else:
            chunks.setdefault(number, []).append((wire, value))
    if code == _STRING:
        return name, None
    with naming(f"tensor {name!r}"):
        if code not in _TYPES:
            return name, Unreadable(
                f"has ONNX's element type {code}. Expected a type of at least one byte a number: export the network "
                "in float32, before it is quantized."
            )
        dtype, shape = dtypes.named(_TYPES[code]), tuple(shape)
        if any(size < 0 for size in shape):
            raise ConversionError(f"has the shape {list(shape)}; the file is damaged.")
        size = math.prod(shape) * dtype.itemsize
        block = external.block(place, size) if location == _EXTERNAL else _block(chunks, dtype)
        if block.nbytes != size:
            raise ConversionError(f"of shape {list(shape)} and {dtype} has {block.nbytes} bytes; the file is damaged.")
        return name, Tensor(block, dtype, shape)


def _block(chunks, dtype):
    """The numbers of a tensor in whichever field they lie."""
    if _RAW in chunks:
        wires = {LENGTH}
        field = _RAW
    elif _FLOATS in chunks or _DOUBLES in chunks:
        field, wires = (_FLOATS, {LENGTH, FIXED32}) if _FLOATS in chunks else (_DOUBLES, {LENGTH, FIXED64})
    else:
        gathered = [one for number in (_INT32, _INT64, _UINT64) for one in chunks.get(number, ())]
        return _gather(gathered, dtype)
    if any(wire not in wires for wire, _ in chunks[field]):
        raise ConversionError("has data that are no bytes; the file is damaged.")
    pieces = [memoryview(value).cast("B") if wire == LENGTH else value for wire, value in chunks[field]]
    if len(pieces) == 1 and isinstance(pieces[0], memoryview):
        return Block.of(pieces[0])
    return Block(sum(piece.nbytes for piece in pieces), lambda: memoryview(b"".join(bytes(one) for one in pieces)))


def _gather(chunks, dtype):
    """Numbers of variable length, one or many a field; of float16 and bfloat16 the bits, as integers."""
    if any(wire not in (VARINT, LENGTH) for wire, _ in chunks):
        raise ConversionError("has data that are no numbers; the file is damaged.")
    count = sum(1 if wire == VARINT else int((np.frombuffer(value, np.uint8) < 0x80).sum()) for wire, value in chunks)
    mask = (1 << 8 * dtype.itemsize) - 1

    def data():
        numbers = [number & mask for wire, value in chunks for number in _integers(wire, value)]
        return memoryview(np.array(numbers, f"<u{dtype.itemsize}").tobytes())

    return Block(count * dtype.itemsize, data)


def _integers(wire, value):
    if wire == VARINT:
        return [_signed(value)]
    return list(varints(value)) if wire == LENGTH else []


def _signed(value):
    return value - (1 << 64) if value >> 63 else value


class _External:
    """The files beside a model that hold its data, each mapped once; none but those in its own directory."""

    def __init__(self, path):
        self._directory = pathlib.Path(path).parent
        self.maps = {}

    def block(self, place, size):
        """The bytes that `{"location", "offset", "length"}` mean; without a length, as many as the tensor needs."""
        offset, length = (self._number(place, key, default) for key, default in (("offset", 0), ("length", size)))
        data = self._map(place.get("location", ""))
        if offset + length > len(data):
            raise ConversionError(
                f"lies at bytes {offset} to {offset + length} of {place['location']!r}. Received: a file of "
                f"{len(data)} bytes. It is truncated, or of another model; copy it again."
            )
        return Block.of(data[offset : offset + length])

    def _map(self, location):
        path = self._directory / location
        inside = location and not re.match(r"[/\\]|\w:", location) and ".." not in re.split(r"[/\\]", location)
        if not inside or not path.resolve().is_relative_to(self._directory.resolve()):
            raise ConversionError(
                f"has its data in {location!r}, outside the model's directory, from which nothing is read. Put that "
                "file beside the model and save the model anew (onnx.save_model with save_as_external_data=True)."
            )
        if not path.exists():
            raise ConversionError(f"has its data in {location!r}, which is not there: put that file beside the model.")
        if path not in self.maps:
            with naming(location):
                self.maps[path] = map_file(path)
        return self.maps[path]

    @staticmethod
    def _number(place, key, default):
        given = place.get(key, str(default))
        if not re.fullmatch(r"\d{1,19}", given, re.ASCII):
            raise ConversionError(f"has the {key} {given[:40]!r} in its file; the model is damaged.")
        return int(given)
