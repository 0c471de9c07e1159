"""Caffe's binary networks: layers with weights, under the names that `converters.reading.caffe.caffemodel` reads."""

import math
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np

from converters.errors import ConversionError
from converters.reading.caffe.blobs import PARTS
from converters.reading.caffe.fields import BlobField, LayerField, NetField, ShapeField
from converters.reading.protobuf.wire import LENGTH
from converters.types import Arrays, Path
from converters.writing.files import atomic

# Kind of a row in a table of names -> type of the layer in Caffe.
_TYPES = {
    "conv": "Convolution",
    "upconv": "Deconvolution",
    "dense": "InnerProduct",
    "dense7x7": "InnerProduct",
    "batchnorm": "BatchNorm",
    "scale": "Scale",
    "channel_scale": "Scale",
}
_FACTOR = np.ones(1, "float32")  # divisor of BatchNorm's sums, which are written already divided


def write_caffemodel(
    path: Path, arrays: Arrays, kinds: Mapping[str, str], name: str, *, overwrite: bool = False
) -> None:
    """Writes a V2 network, with one tensor in memory at a time. Caffe finds the layers of its prototxt by their names.

    Args:
        path: where the file is written, whole or not at all.
        arrays: "layer.part" -> float32 array; each is read twice, first for its shape.
        kinds: "layer.part" -> kind of its row in the table of names.
        name: name of the network.
        overwrite: whether a file at `path` is replaced.
    Raises:
        ConversionError: another element type, or as `converters.writing.files.atomic`.
    """
    layers: dict[tuple[str, str], dict[str, str]] = {}
    for key in arrays:
        layer, _, part = key.rpartition(".")
        layers.setdefault((layer, _TYPES[kinds[key]]), {})[part] = key
    stored = {
        layer: (kind, tuple(part for part in PARTS[kind] if part in keys or part == "factor"))
        for (layer, kind), keys in layers.items()
    }
    write_layers(path, arrays, stored, name, overwrite=overwrite)


def write_layers(
    path: Path,
    arrays: Arrays,
    layers: Mapping[str, tuple[str, tuple[str, ...]]],
    name: str,
    *,
    transposed: str = "",
    overwrite: bool = False,
) -> None:
    """Writes layers with the blobs that they had in another file.

    Args:
        path: where the file is written, whole or not at all.
        arrays: "layer.part" -> float32 array.
        layers: name of a layer -> its type, and the parts that its blobs are, in order. A "factor" is written as 1.
        name: name of the network.
        transposed: what follows a part whose two axes are exchanged in the file; "": none.
        overwrite: whether a file at `path` is replaced.
    Raises:
        ConversionError: another element type, or as `converters.writing.files.atomic`.
    """

    def blob(layer: str, part: str) -> np.ndarray:
        if part == "factor":
            return _FACTOR
        if transposed and part.endswith(transposed):
            return arrays[f"{layer}.{part.removesuffix(transposed)}"].T
        return arrays[f"{layer}.{part}"]

    with atomic(path, overwrite) as partial, open(partial, "wb") as file:
        file.write(_text(NetField.NAME, name))
        for layer, (kind, parts) in layers.items():
            _write_layer(file, layer, kind, [blob(layer, part) for part in parts])


def _write_layer(file: BinaryIO, name: str, kind: str, blobs: Sequence[np.ndarray]) -> None:
    for blob in blobs:
        if blob.dtype != np.float32:
            raise ConversionError(f"A .caffemodel holds float32 numbers only. Received: {blob.dtype} in {name!r}.")
    heads = [_blob_head(blob) for blob in blobs]
    start = _text(LayerField.NAME, name) + _text(LayerField.TYPE, kind)
    sizes = [len(head) + blob.nbytes for head, blob in zip(heads, blobs, strict=True)]
    tags = [_head(LayerField.BLOBS, size) for size in sizes]
    file.write(_head(NetField.LAYERS, len(start) + sum(sizes) + sum(map(len, tags))) + start)
    for tag, head, blob in zip(tags, heads, blobs, strict=True):
        file.write(tag + head)
        file.write(np.ascontiguousarray(blob, "<f4").reshape(-1).view(np.uint8).data)


def _blob_head(blob: np.ndarray) -> bytes:
    """The bytes of a blob before its numbers, which come last: so the message is never in memory as a whole."""
    sizes = b"".join(map(_varint, blob.shape))
    shape = _head(ShapeField.DIM, len(sizes)) + sizes
    return _head(BlobField.SHAPE, len(shape)) + shape + _head(BlobField.DATA, 4 * math.prod(blob.shape))


def _text(number: int, value: str) -> bytes:
    encoded = value.encode()
    return _head(number, len(encoded)) + encoded


def _head(number: int, length: int) -> bytes:
    return _varint(number << 3 | LENGTH) + _varint(length)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
