"""safetensors files, written one array at a time."""

import json
import math
from collections.abc import Mapping

import numpy as np

from converters.errors import ConversionError
from converters.reading.safetensors import DTYPES, MAX_HEADER
from converters.writing.files import atomic

_CODES = {name: code for code, name in DTYPES.items()}


def write_safetensors(path, arrays: Mapping, metadata: Mapping[str, str] | None = None, *, overwrite=False):
    """Write arrays to a safetensors file, one at a time.

    `arrays[key]` is asked twice, first for its shape and type, then for its elements, so that a mapping that computes
    or reads its arrays never has two of them in memory.

    Args:
        path: the file, written whole or not at all (see `atomic`).
        arrays: {key: array or what NumPy makes one of}. The file lists the keys in this order.
        metadata: texts to keep in the file's header.
        overwrite: whether a file at `path` is replaced.
    Raises: ConversionError for an element type that the format does not know, and as `atomic`.
    """
    header, order = _header(path, arrays, metadata)
    with atomic(path, overwrite) as partial, open(partial, "wb") as file:
        file.write(header)
        for key, dtype, shape in order:
            array = np.asarray(arrays[key])
            if (array.dtype.name, array.shape) != (dtype, shape):
                raise ConversionError(
                    f"{path}: {key!r} changed while it was written. Expected {dtype} {shape}. "
                    f"Received: {array.dtype.name} {array.shape}."
                )
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            file.write(little.reshape(-1).view(np.uint8).data)


def _header(path, arrays, metadata):
    entries = {}
    for key in arrays:
        array = np.asarray(arrays[key])
        if not isinstance(key, str) or key == "__metadata__":
            raise ConversionError(f"{path}: expected names of tensors as keys. Received: {key!r}.")
        if array.dtype.name not in _CODES:
            raise ConversionError(
                f"{path}: {key!r} has an element type that safetensors does not know. Expected one of "
                f"{', '.join(_CODES)}. Received: {array.dtype}."
            )
        entries[key] = (array.dtype.name, array.shape, array.dtype.itemsize)
    # Wide elements first keeps every tensor aligned to its element, for readers that map the file.
    order = sorted(entries, key=lambda key: -entries[key][2])
    ends, end = {}, 0
    for key in order:
        _, shape, itemsize = entries[key]
        ends[key] = end = end + math.prod(shape) * itemsize
    header = {} if metadata is None else {"__metadata__": _texts(path, metadata)}
    for key, (dtype, shape, itemsize) in entries.items():
        begin = ends[key] - math.prod(shape) * itemsize
        header[key] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [begin, ends[key]]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins aligned
    if len(text) > MAX_HEADER:
        raise ConversionError(f"{path}: expected a header of at most {MAX_HEADER} bytes. Received: {len(text)} bytes.")
    return len(text).to_bytes(8, "little") + text, [(key, *entries[key][:2]) for key in order]


def _texts(path, metadata):
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ConversionError(f"{path}: expected metadata of texts. Received: {key!r}: {value!r}.")
    return dict(metadata)
