"""safetensors files, written one array at a time.

Reference: https://github.com/huggingface/safetensors#format
"""

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tfseg.types import Array, Path
from tfseg.writing import WritingError, atomic

MAX_HEADER = 100_000_000  # bytes: longer headers are refused by readers
# Name of the element type in NumPy -> its code in the file.
_CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
}


class _Entry(NamedTuple):
    """What the header says of an array."""

    dtype: str
    shape: tuple[int, ...]
    itemsize: int

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.itemsize


def write_safetensors(
    path: Path,
    arrays: Mapping[str, Array],
    metadata: Mapping[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Writes arrays to a safetensors file, one at a time.

    Every `arrays[key]` is read twice, first for its shape and type, then for its elements. A mapping that computes or
    loads its arrays on access therefore never has two of them in memory.

    Args:
        path: where the file is written, whole or not at all (see `tfseg.writing.atomic`).
        arrays: key -> array, or what NumPy can turn into one. The file lists the keys in this order.
        metadata: key -> text, kept in the header of the file.
        overwrite: whether a file at `path` is replaced.
    Raises:
        WritingError: a key, an element type or metadata that the format does not know, or as `tfseg.writing.atomic`.
        OSError: the disk is full, or writing is not allowed.
    """
    entries = {key: _entry(path, key, arrays[key]) for key in arrays}
    # Wide elements come first. This keeps every tensor aligned to its element, for readers that map the file.
    order = sorted(entries, key=lambda key: -entries[key].itemsize)
    header = _header(path, entries, order, metadata)
    with atomic(path, overwrite) as partial, open(partial, "wb") as file:
        file.write(header)
        for key in order:
            array = np.asarray(arrays[key])
            expected = entries[key]
            if (array.dtype.name, array.shape) != (expected.dtype, expected.shape):
                raise WritingError(
                    f"{path}: {key!r} changed while it was written. Expected {expected.dtype} {expected.shape}. "
                    f"Received: {array.dtype.name} {array.shape}."
                )
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            file.write(little.reshape(-1).view(np.uint8).data)


def _entry(path: Path, key: str, values: Array) -> _Entry:
    array = np.asarray(values)
    if not isinstance(key, str) or key == "__metadata__":
        raise WritingError(f"{path}: expected names of tensors as keys. Received: {key!r}.")
    if array.dtype.name not in _CODES:
        raise WritingError(
            f"{path}: {key!r} has an element type that safetensors does not know. Expected one of "
            f"{', '.join(_CODES)}. Received: {array.dtype}."
        )
    return _Entry(array.dtype.name, array.shape, array.dtype.itemsize)


def _header(path: Path, entries: Mapping[str, _Entry], order: list[str], metadata: Mapping[str, str] | None) -> bytes:
    """The first bytes of the file: the length of the header, and the header."""
    ends, end = {}, 0
    for key in order:
        end += entries[key].size
        ends[key] = end
    header: dict[str, object] = {} if metadata is None else {"__metadata__": _texts(path, metadata)}
    for key, entry in entries.items():
        offsets = [ends[key] - entry.size, ends[key]]
        header[key] = {"dtype": _CODES[entry.dtype], "shape": list(entry.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins aligned
    if len(text) > MAX_HEADER:
        raise WritingError(f"{path}: expected a header of at most {MAX_HEADER} bytes. Received: {len(text)} bytes.")
    return len(text).to_bytes(8, "little") + text


def _texts(path: Path, metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise WritingError(f"{path}: expected metadata of texts. Received: {key!r}: {value!r}.")
    return dict(metadata)
