"""Caffe's binary networks, `.caffemodel`: the blobs of every layer, read without Caffe and without protobuf.

The type of a layer tells what the layer is. Its parameter messages are not looked at, since forks of Caffe have given
the same numbers to others. The one exception is the message that lays a weight out the other way round.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

import dataclasses
import functools
import math
import re

import numpy as np

from converters.errors import ConversionError
from converters.reading.caffe.blobs import name_blobs
from converters.reading.caffe.fields import (
    BlobField,
    InnerProductField,
    LayerField,
    NetField,
    Phase,
    ShapeField,
    StateRuleField,
    V1LayerField,
    V1LayerType,
)
from converters.reading.protobuf.wire import Value, fields, integers, is_fixed, text
from converters.reading.tensors import MAX_AXES, Block, Tensor
from converters.types import Shape

_V1_TYPES: dict[int, str] = {
    V1LayerType.CONVOLUTION: "Convolution",
    V1LayerType.INNER_PRODUCT: "InnerProduct",
    V1LayerType.DECONVOLUTION: "Deconvolution",
}
_IGNORED = re.compile(r"Split|Silence|Slice|.*Data|.*Loss|Accuracy")

_FLOATS = np.dtype("<f4")
_DOUBLES = np.dtype("<f8")
_DTYPES: dict[int, np.dtype] = {BlobField.DATA: _FLOATS, BlobField.DOUBLE_DATA: _DOUBLES}
_LEGACY_SIZES = (BlobField.NUM, BlobField.CHANNELS, BlobField.HEIGHT, BlobField.WIDTH)


@dataclasses.dataclass(frozen=True)
class CaffeLayer:
    """A layer with weights.

    Attributes:
        name, type: name and type of the layer.
        blobs: messages of its blobs.
        phases: phases in which the file includes it, by number; empty for all.
        transposed: whether the weight of a fully connected layer lies by input and output.
    """

    name: str = ""
    type: str = ""
    blobs: list[memoryview] = dataclasses.field(default_factory=list)
    phases: list[int] = dataclasses.field(default_factory=list)
    transposed: bool = False

    @functools.cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Its blobs, in the shapes that the file gives them.

        Raises: ConversionError for a blob whose shape and count differ.
        """
        return tuple(_tensor(blob, f"blob {index} of the layer {self.name!r}") for index, blob in enumerate(self.blobs))

    @property
    def trains_only(self) -> bool:
        """Whether the layer is there in training alone."""
        return set(self.phases) == {Phase.TRAIN}


def recognizes(head: bytes) -> bool:
    """Whether a file begins as a network does: with a layer, or with its name and another of its fields."""
    begin = 2 + head[1] if head[:1] == b"\x0a" and len(head) > 1 else 0
    return re.match(rb"\x12|\xa2\x06|[\x1a\x32\x42]|[\x20\x22\x28\x38]", head[begin:]) is not None


def load(data: memoryview) -> dict[str, Tensor | str]:
    """The tensors by "layer.part", and the network's name under "name" where it has one.

    Args:
        data: bytes of the file.
    Raises: ConversionError for a damaged file, a network of before 2014 (V0), and a layer of NVCaffe's BatchNorm. Also
        for a blob whose shape and count differ, and for two layers of one name.
    """
    name = next((text(value) for number, value in fields(data) if number == NetField.NAME), "")
    tensors: dict[str, Tensor] = {}
    for layer in weighted_layers(data).values():
        tensors |= name_blobs(layer.name, layer.type, layer.tensors, transposed=layer.transposed)
    if not tensors:
        raise ConversionError(
            "holds no layer with weights. Expected a Caffe network (.caffemodel). The file may be cut short, or of "
            "another kind."
        )
    return ({"name": name} if name else {}) | tensors


def weighted_layers(data: memoryview) -> dict[str, CaffeLayer]:
    """The layers with weights, by name.

    Args:
        data: bytes of the file.
    Raises: ConversionError for a damaged file, a network of before 2014 (V0), and two layers of one name.
    """
    layers: dict[str, CaffeLayer] = {}
    for number, value in fields(data):
        if isinstance(value, memoryview) and number in (NetField.LAYERS, NetField.V1_LAYERS):
            _keep(_layer(value) if number == NetField.LAYERS else _v1_layer(value), layers)
    return layers


def _layer(message: memoryview) -> CaffeLayer:
    """The layer in a message of today's form."""
    layer = CaffeLayer()
    for number, value in fields(message):
        if isinstance(value, int) and number == LayerField.PHASE:
            layer.phases.append(value)
        if not isinstance(value, memoryview):
            continue
        match number:
            case LayerField.NAME:
                layer = dataclasses.replace(layer, name=text(value))
            case LayerField.TYPE:
                layer = dataclasses.replace(layer, type=text(value))
            case LayerField.BLOBS:
                layer.blobs.append(value)
            case LayerField.INCLUDE:
                layer.phases.extend(_phases(value))
            case LayerField.INNER_PRODUCT_PARAM:
                transposed = any(part == (InnerProductField.TRANSPOSE, 1) for part in _numbers(value))
                layer = dataclasses.replace(layer, transposed=transposed)
    return layer


def _v1_layer(message: memoryview) -> CaffeLayer:
    """The layer in a message of the form before; none of these lays a weight out the other way round."""
    layer = CaffeLayer()
    for number, value in fields(message):
        if isinstance(value, int) and number == V1LayerField.TYPE:
            layer = dataclasses.replace(layer, type=_V1_TYPES.get(value, f"type {value}"))
        if not isinstance(value, memoryview):
            continue
        match number:
            case V1LayerField.V0_LAYER:
                raise ConversionError(
                    "is a network of Caffe's first form (V0, 2013). Bring it up to date with Caffe's own "
                    "upgrade_net_proto_binary, then give the result."
                )
            case V1LayerField.NAME:
                layer = dataclasses.replace(layer, name=text(value))
            case V1LayerField.TYPE:
                layer = dataclasses.replace(layer, type=text(value))
            case V1LayerField.BLOBS:
                layer.blobs.append(value)
            case V1LayerField.INCLUDE:
                layer.phases.extend(_phases(value))
    return layer


def _phases(rule: memoryview) -> list[int]:
    return [value for number, value in _numbers(rule) if number == StateRuleField.PHASE]


def _numbers(message: memoryview) -> list[tuple[int, int]]:
    """Field numbers and values of all varints of a message."""
    return [(number, value) for number, value in fields(message) if isinstance(value, int)]


def _keep(layer: CaffeLayer, layers: dict[str, CaffeLayer]) -> None:
    """Adds a layer to those of the network. If it appears in both phases, the test-phase one is used."""
    if _IGNORED.fullmatch(layer.type) or not layer.blobs:
        return
    known = layers.get(layer.name)
    if known and not (known.trains_only or layer.trains_only):
        raise ConversionError(
            f"has two layers with weights of the name {layer.name!r}; it is ambiguous which of them counts."
        )
    if not known or known.trains_only:
        layers[layer.name] = layer


def _tensor(blob: memoryview, subject: str) -> Tensor:
    """A blob in the shape that the file gives it: old ones have four numbers, ones in front."""
    shape: Shape | None = None
    legacy: dict[int, int] = {}
    chunks: dict[np.dtype, list[memoryview | np.ndarray]] = {_FLOATS: [], _DOUBLES: []}
    for number, value in fields(blob):
        if number in _DTYPES:
            dtype = _DTYPES[number]
            chunks[dtype].append(_numbers_of(value, dtype, subject))
        elif number in _LEGACY_SIZES and isinstance(value, int):
            legacy[number] = value
        elif number == BlobField.RAW_DATA:
            raise ConversionError(
                f"{subject} has its numbers in raw_data, as NVIDIA's Caffe writes them, mostly in half precision. "
                "Save the network with BVLC's Caffe, as float32: net.save(path) in pycaffe."
            )
        elif number == BlobField.SHAPE and isinstance(value, memoryview):
            sizes = (integers(size) for field, size in fields(value) if field == ShapeField.DIM)
            shape = tuple(size for run in sizes for size in run)
    if shape is not None and len(shape) > MAX_AXES:
        raise ConversionError(f"{subject} has {len(shape)} sizes, more than any array has axes; the file is damaged.")
    if shape is None:
        shape = tuple(legacy.get(axis, 0) for axis in _LEGACY_SIZES) if legacy else ()
    dtype = _DOUBLES if chunks[_DOUBLES] else _FLOATS
    block = _block(chunks[dtype])
    if any(size < 0 for size in shape) or math.prod(shape) != block.nbytes // dtype.itemsize:
        raise ConversionError(
            f"{subject} has shape {list(shape)} and {block.nbytes // dtype.itemsize} numbers, which disagree; the file "
            "is damaged."
        )
    return Tensor(block, dtype, shape)


def _numbers_of(value: Value, dtype: np.dtype, subject: str) -> memoryview | np.ndarray:
    """The bytes of numbers, packed or each with its tag."""
    if isinstance(value, memoryview) and len(value) % dtype.itemsize == 0:
        return value
    if isinstance(value, np.ndarray) and is_fixed(value, dtype.itemsize):
        return value
    raise ConversionError(f"{subject} holds no whole numbers of {dtype}; the file is damaged.")


def _block(chunks: list[memoryview | np.ndarray]) -> Block:
    """The bytes of a blob: mostly one view of the file; where they lie in pieces, joined when asked for."""
    if len(chunks) == 1 and isinstance(chunks[0], memoryview):
        return Block.of(chunks[0])
    size = sum(chunk.nbytes for chunk in chunks)
    return Block(size, lambda: memoryview(b"".join(map(bytes, chunks))))
