"""Caffe's binary networks, `.caffemodel`: the blobs of every layer, read without Caffe and without protobuf.

Which parameter messages a layer carries is never looked at, but for the one that lays a weight out the other way round:
forks of Caffe have given the same numbers to others. What a layer is, its type tells.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

import math
import re
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.reading.caffe.blobs import named
from converters.reading.protobuf.wire import FIXED32, FIXED64, LENGTH, VARINT, fields, text, varints
from converters.reading.tensors import Block, Tensor

_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}  # V1 has no other layer with weights
_IGNORED = re.compile(r"Split|Silence|Slice|.*Data|.*Loss|Accuracy")

_FLOATS = np.dtype("<f4")
_DOUBLES = np.dtype("<f8")


class _Version(NamedTuple):
    """Where a layer's message has its fields."""

    name: int
    type: int
    blobs: int
    include: int
    phase: int | None = None
    inner_product: int | None = None  # V1 lays no weight out the other way round


_V1 = _Version(name=4, type=5, blobs=6, include=32)
_V2 = _Version(name=1, type=2, blobs=7, include=8, phase=10, inner_product=117)
_VERSIONS = {2: _V1, 100: _V2}  # field of the network: the form of its layers
_TRAIN = 0


class Layer(NamedTuple):
    name: str
    type: str
    blobs: list
    trains_only: bool
    transposed: bool  # a fully connected one whose weight lies by input and output


def recognises(head: bytes) -> bool:
    """A network begins with a layer, or with its name and another of its fields behind that."""
    begin = 2 + head[1] if head[:1] == b"\x0a" and len(head) > 1 else 0
    return re.match(rb"\x12|\xa2\x06|[\x1a\x32\x42]|[\x20\x22\x28\x38]", head[begin:]) is not None


def load(data: memoryview) -> dict:
    """{"layer.part": Tensor}, and the network's name under "name" where it has one.

    Raises: ConversionError for a damaged file, a network of before 2014 (V0), a layer of NVCaffe's BatchNorm, a blob
        whose shape and count differ, and two layers of one name.
    """
    name, layers = None, {}
    for number, wire, value in fields(data):
        if number == 1 and wire == LENGTH:
            name = text(value)
        elif number in _VERSIONS and wire == LENGTH:
            _keep(_layer(value, _VERSIONS[number]), layers)
    tensors = {}
    for layer in layers.values():
        blobs = [_tensor(blob, f"blob {index} of the layer {layer.name!r}") for index, blob in enumerate(layer.blobs)]
        tensors |= named(layer.name, layer.type, blobs, transposed=layer.transposed)
    if not tensors:
        raise ConversionError(
            "holds no layer with weights. Expected a Caffe network (.caffemodel). The file may be cut short, or of "
            "another kind."
        )
    return ({"name": name} if name else {}) | tensors


def _layer(message, version):
    name, kind, blobs, phases, transposed = "", "", [], [], False
    for number, wire, value in fields(message):
        if version is _V1 and number == 1 and wire == LENGTH:
            raise ConversionError(
                "is a network of Caffe's first form (V0, 2013). Bring it up to date with Caffe's own "
                "upgrade_net_proto_binary, then give the result."
            )
        if number == version.name and wire == LENGTH:
            name = text(value)
        elif number == version.type and wire == LENGTH:
            kind = text(value)
        elif number == version.type and wire == VARINT:
            kind = _V1_TYPES.get(value, f"type {value}")
        elif number == version.blobs and wire == LENGTH:
            blobs.append(value)
        elif number == version.include and wire == LENGTH:
            phases += [phase for field, kind_, phase in fields(value) if (field, kind_) == (1, VARINT)]
        elif number == version.phase and wire == VARINT:
            phases.append(value)
        elif number == version.inner_product and wire == LENGTH:
            transposed = any((field, kind_, flag) == (6, VARINT, 1) for field, kind_, flag in _numbers(value))
    return Layer(name, kind, blobs, bool(phases) and set(phases) == {_TRAIN}, transposed)


def _numbers(message):
    return [field for field in fields(message) if field[1] == VARINT]


def _keep(layer, layers):
    """Of a layer that trains otherwise than it runs, what runs counts."""
    if _IGNORED.fullmatch(layer.type) or not layer.blobs:
        return
    known = layers.get(layer.name)
    if known and not (known.trains_only or layer.trains_only):
        raise ConversionError(
            f"has two layers with weights of the name {layer.name!r}; nobody can tell which of them counts."
        )
    if not known or known.trains_only:
        layers[layer.name] = layer


def _tensor(blob, subject):
    """A blob in the shape that the file gives it: old ones have four numbers, ones in front."""
    shape, legacy, chunks = None, {}, {_FLOATS: [], _DOUBLES: []}
    for number, wire, value in fields(blob):
        if number in (1, 2, 3, 4) and wire == VARINT:
            legacy[number] = value
        elif number in (5, 8):
            dtype, width = (_FLOATS, FIXED32) if number == 5 else (_DOUBLES, FIXED64)
            if (wire == LENGTH and len(value) % dtype.itemsize == 0) or wire == width:
                chunks[dtype].append(value)
            else:
                raise ConversionError(f"{subject} holds no whole numbers of {dtype}; the file is damaged.")
        elif number == 7 and wire == LENGTH:
            shape = _shape(value)
    if shape is None:
        shape = tuple(legacy.get(axis, 0) for axis in (1, 2, 3, 4)) if legacy else ()
    dtype = _DOUBLES if chunks[_DOUBLES] else _FLOATS
    block = _block(chunks[dtype])
    if any(size < 0 for size in shape) or math.prod(shape) != block.nbytes // dtype.itemsize:
        raise ConversionError(
            f"{subject} has shape {list(shape)} and {block.nbytes // dtype.itemsize} numbers, which disagree; the file "
            "is damaged."
        )
    return Tensor(block, dtype, shape)


def _shape(message):
    sizes = []
    for number, wire, value in fields(message):
        if number == 1:
            sizes += [value] if wire == VARINT else varints(value) if wire == LENGTH else []
    return tuple(sizes)


def _block(chunks):
    """The bytes of a blob: one view of the file as a rule; joined when asked for where they lie in pieces."""
    if len(chunks) == 1 and isinstance(chunks[0], memoryview):
        return Block.of(chunks[0])
    size = sum(chunk.nbytes for chunk in chunks)
    return Block(size, lambda: memoryview(b"".join(bytes(chunk) for chunk in chunks)))
