"""Checkpoints of TensorFlow's first form: tables that hold the tensors themselves, each in one or several parts.

Reference: https://github.com/tensorflow/tensorflow: core/util/tensor_slice_reader.cc
"""

from collections.abc import Callable, Sequence

import numpy as np

from converters.errors import ConversionError
from converters.reading.files import naming
from converters.reading.tensorflow.messages import TensorEntry, read_saved_slices, saved_bytes
from converters.reading.tensorflow.parts import joined, part_shape
from converters.reading.tensorflow.slice_keys import Extent, slice_key
from converters.reading.tensorflow.table import Table
from converters.reading.tensors import Block, Tensor, dtype_named
from converters.types import Shape

_Part = tuple[tuple[Extent, ...], Table]


def table_tensors(files: Sequence[memoryview]) -> dict[str, Tensor | None]:
    """The tensors by name; None for what holds no numbers.

    Args:
        files: bytes of each table.
    Raises: ConversionError for a damaged table, and for tables that disagree.
    """
    entries: dict[str, TensorEntry] = {}
    parts: dict[str, list[_Part]] = {}
    for data in files:
        table = Table(data)
        for entry in read_saved_slices(table.get(b"") or memoryview(b"")):
            known = entries.setdefault(entry.name, entry)
            if (known.code, known.shape) != (entry.code, entry.shape):
                raise ConversionError(f"has the tensor {entry.name!r} in two shapes or types; the file is damaged.")
            parts.setdefault(entry.name, []).extend((extents, table) for extents in entry.slices)
    tensors = {}
    for name, entry in entries.items():
        with naming(f"tensor {name!r}"):
            tensors[name] = _tensor(entry, parts[name])
    return tensors


def _tensor(entry: TensorEntry, parts: Sequence[_Part]) -> Tensor | None:
    if entry.dtype_name is None:
        return None
    dtype = dtype_named(entry.dtype_name)
    readers = [
        (extents, _reader(table, slice_key(entry.name, extents), dtype, part_shape(extents, entry.shape)))
        for extents, table in parts
    ]
    whole = joined(dtype, entry.shape, readers)
    if len(readers) > 1:
        return whole
    return Tensor(Block(whole.block.nbytes, readers[0][1]), dtype, entry.shape)


def _reader(table: Table, key: bytes, dtype: np.dtype, shape: Shape) -> Callable[[], memoryview]:
    def read() -> memoryview:
        value = table.get(key)
        if value is None:
            raise ConversionError("lacks one of its parts; the file is damaged.")
        return saved_bytes(value, dtype, shape)

    return read
