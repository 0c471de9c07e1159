"""Checkpoints of TensorFlow's second form: a table of names and places, and the files with the tensors' bytes.

Reference: https://github.com/tensorflow/tensorflow: core/util/tensor_bundle/tensor_bundle.cc
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from converters.errors import ConversionError
from converters.reading.checksums import masked_crc32c
from converters.reading.files import naming
from converters.reading.tensorflow.messages import TensorEntry, read_entry, read_header
from converters.reading.tensorflow.parts import joined, part_shape
from converters.reading.tensorflow.slice_keys import slice_key
from converters.reading.tensorflow.table import Table, read_number
from converters.reading.tensors import Tensor, dtype_named
from converters.types import Shape

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""Name of the text in which TensorFlow 2 says what its objects were."""

_TEXT, _CHECKSUM = 7, 4
_PART = b"\x00"  # begins the key of a part; names of tensors do not


def object_record(index: memoryview, data: Sequence[memoryview]) -> bytes | None:
    """What a checkpoint of TensorFlow 2 says of its objects, a message; None for another checkpoint.

    Args:
        index: bytes of the table.
        data: bytes of each data file.
    Raises: ConversionError for a damaged record.
    """
    message = Table(index).get(OBJECTS.encode())
    if message is None:
        return None
    with naming(f"tensor {OBJECTS!r}"):
        entry = read_entry(message)
        if entry.shape != () or entry.code != _TEXT:
            raise ConversionError("is not a single text; the file is damaged.")
        # The length of the text, a checksum of the length, and the text. The checksum of all is compared below.
        text = _Stored(dataclasses.replace(entry, checksum=None), np.dtype("u1"), (entry.size,), data).data()
        length, place = read_number(text, 0)
        if len(text) != place + _CHECKSUM + length:
            raise ConversionError("has another length than it states; the file is damaged.")
        parts = length.to_bytes(8 if length >> 32 else 4, "little"), text[place:]
        if entry.checksum != masked_crc32c(memoryview(parts[0]), parts[1]):
            raise ConversionError("fails its checksum: its bytes changed since they were written. Download it again.")
        return bytes(text[place + _CHECKSUM :])


def bundle_tensors(index: memoryview, data: Sequence[memoryview]) -> dict[str, Tensor | None]:
    """The tensors by name; None for what holds no numbers.

    Args:
        index: bytes of the table.
        data: bytes of each data file.
    Raises: ConversionError for a damaged table, bytes in the order of another machine, and a tensor beyond its file.
    """
    entries = dict(Table(index).items())
    shards, big_endian = read_header(entries.pop(b"", memoryview(b"")))
    if big_endian:
        raise ConversionError(
            "was written on a machine whose numbers begin with the highest byte. Restore it there or with TensorFlow, "
            "and save it again on a usual machine."
        )
    if shards != len(data):
        raise ConversionError(
            f"lies in {shards} data files, as its index says. Received: {len(data)}. They are not of one checkpoint."
        )
    tensors = {}
    for key, message in entries.items():
        if not key.startswith(_PART):
            name = key.decode("utf-8", errors="replace")
            with naming(f"tensor {name!r}"):
                tensors[name] = _tensor(name, read_entry(message), entries, data)
    return tensors


def _tensor(
    name: str, entry: TensorEntry, entries: dict[bytes, memoryview], data: Sequence[memoryview]
) -> Tensor | None:
    if entry.dtype_name is None:
        return None
    dtype = dtype_named(entry.dtype_name)
    if not entry.slices:
        return Tensor(_Stored(entry, dtype, entry.shape, data), dtype, entry.shape)
    parts = []
    for extents in entry.slices:
        shape = part_shape(extents, entry.shape)
        message = entries.get(slice_key(name, extents))
        if message is None:
            raise ConversionError("lacks one of its parts; the file is damaged.")
        part = _Stored(read_entry(message), dtype, shape, data)
        parts.append((extents, part.data))
    return joined(dtype, entry.shape, parts)


class _Stored:
    """The bytes of a tensor, or of a part, in a data file; the first reading compares their checksum."""

    def __init__(self, entry: TensorEntry, dtype: np.dtype, shape: Shape, data: Sequence[memoryview]) -> None:
        self.nbytes = entry.size
        needed = math.prod(shape) * dtype.itemsize
        if entry.size != needed:
            raise ConversionError(f"of shape {list(shape)} and {dtype} has {entry.size} bytes; the file is damaged.")
        if not 0 <= entry.shard < len(data):
            raise ConversionError(f"lies in data file {entry.shard} of {len(data)}; the file is damaged.")
        end = entry.offset + entry.size
        if entry.offset < 0 or end > len(data[entry.shard]):
            raise ConversionError(
                f"ends at byte {end} of its data file. Received: {len(data[entry.shard])} bytes. The file is truncated "
                "or damaged; download it again."
            )
        self._content, self._checksum = data[entry.shard][entry.offset : end], entry.checksum
        self._verified = False

    def data(self) -> memoryview:
        """The bytes.

        Raises: ConversionError where they changed since they were written.
        """
        if not self._verified and self._checksum is not None and masked_crc32c(self._content) != self._checksum:
            raise ConversionError(
                "fails its checksum: its bytes changed since they were written; the file is damaged. Download it again."
            )
        self._verified = True
        return self._content
