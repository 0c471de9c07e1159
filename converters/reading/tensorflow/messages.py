"""Messages of TensorFlow's checkpoints: what each tensor is and where its numbers lie.

Reference: https://github.com/tensorflow/tensorflow: tensor_bundle.proto and tensor.proto in core,
core/util/saved_tensor_slice.proto
"""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from converters.errors import ConversionError
from converters.reading.protobuf.wire import count_varints, fields, is_fixed, signed, text, varints
from converters.reading.tensorflow.slice_keys import Extent
from converters.reading.tensors import MAX_AXES, Block, Tensor, dtype_named
from converters.types import Shape

_DTYPES = {
    **{1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64", 9: "int64"},
    **{10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64"},
    **{24: "float8_e5m2", 25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 28: "float8_e5m2fnuz"},
}
# Texts, quantized numbers, resources and variants: they are no weights.
_OTHERS = {7, 11, 12, 13, 15, 16, 20, 21}
# Fields of TensorProto with numbers of fixed width, and those with numbers of variable length.
_CONTENT, _FIXED, _VARIABLE = 4, {5: "<f4", 6: "<f8", 9: "<f4", 12: "<f8"}, (7, 10, 11, 13, 16, 17)


@dataclasses.dataclass(frozen=True)
class TensorEntry:
    """What a checkpoint says of a tensor, or of a part of one.

    Attributes:
        name: name of the tensor; "" where its key says it.
        code: number of its element type.
        shape: sizes of its axes.
        slices: extents of its parts, if it lies in parts.
        shard: number of the file with its bytes.
        offset, size: where in that file its bytes lie, and how many there are.
        checksum: masked CRC-32C of its bytes.
    """

    name: str = ""
    code: int = 0
    shape: Shape = ()
    slices: tuple[tuple[Extent, ...], ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int | None = None

    @property
    def dtype_name(self) -> str | None:
        """Name of the element type; None for what is no number.

        Raises: ConversionError for a type that TensorFlow does not have, or that cannot be read.
        """
        if self.code not in _DTYPES and self.code not in _OTHERS:
            raise ConversionError(
                f"has TensorFlow's element type {self.code}. Expected one of {', '.join(map(str, _DTYPES))}. The "
                "file is damaged, or its weights are packed: save them as float32."
            )
        return _DTYPES.get(self.code)


def read_header(message: memoryview) -> tuple[int, bool]:
    """How many files hold the tensors, and whether their bytes lie with the highest first."""
    values = {number: value for number, value in fields(message) if isinstance(value, int)}
    return values.get(1, 1), values.get(2, 0) != 0


def read_entry(message: memoryview) -> TensorEntry:
    """The entry of a tensor in the second form."""
    stated: dict[str, object] = {}
    slices: list[tuple[Extent, ...]] = []
    for number, value in fields(message):
        if isinstance(value, int) and number in (1, 3, 4, 5):
            stated[{1: "code", 3: "shard", 4: "offset", 5: "size"}[number]] = signed(value)
        elif number == 2 and isinstance(value, memoryview):
            stated["shape"] = _shape(value)
        elif number == 6 and is_fixed(value, 4) and isinstance(value, np.ndarray):
            stated["checksum"] = int(value.view("<u4").ravel()[-1])
        elif number == 7 and isinstance(value, memoryview):
            slices.append(_slice(value))
    return TensorEntry(slices=tuple(slices), **stated)  # type: ignore[arg-type]


def read_saved_slices(message: memoryview) -> list[TensorEntry]:
    """The entries of the tensors in a table of the first form, by its first value."""
    entries = []
    for number, value in fields(message):
        if number == 1 and isinstance(value, memoryview):
            entries += [_saved(part) for field, part in fields(value) if field == 1 and isinstance(part, memoryview)]
    return entries


def _saved(message: memoryview) -> TensorEntry:
    name, code = "", 0
    shape: Shape = ()
    slices: list[tuple[Extent, ...]] = []
    for number, value in fields(message):
        if number == 1 and isinstance(value, memoryview):
            name = text(value)
        elif number == 2 and isinstance(value, memoryview):
            shape = _shape(value)
        elif number == 3 and isinstance(value, int):
            code = value
        elif number == 4 and isinstance(value, memoryview):
            slices.append(_slice(value))
    return TensorEntry(name, code, shape, tuple(slices))


def _shape(message: memoryview) -> Shape:
    """The sizes of a TensorShapeProto, checked before anything is computed of them."""
    sizes: list[int] = []
    for number, value in fields(message):
        if number == 3 and value:
            raise ConversionError("has a tensor of unknown shape; the file is damaged.")
        if number == 2 and isinstance(value, memoryview):
            stated = [part for field, part in fields(value) if field == 1 and isinstance(part, int)]
            sizes.append(signed(stated[-1]) if stated else 0)
    if len(sizes) > MAX_AXES or min(sizes, default=0) < 0:
        raise ConversionError(
            f"has a tensor of {len(sizes)} sizes, of which the smallest is {min(sizes)}; the file is damaged."
        )
    return tuple(sizes)


def _slice(message: memoryview) -> tuple[Extent, ...]:
    """The extents of a TensorSliceProto."""
    extents = []
    for number, value in fields(message):
        if number == 1 and isinstance(value, memoryview):
            stated = {field: signed(part) for field, part in fields(value) if isinstance(part, int)}
            extents.append((stated.get(1, 0), stated.get(2, -1)))
    return tuple(extents)


def saved_bytes(message: memoryview, dtype: np.dtype, shape: Shape) -> memoryview:
    """The bytes of a part of a tensor in the first form: a value of the table.

    Args:
        message: the value.
        dtype: type of the elements.
        shape: sizes of the part.
    Raises: ConversionError for another number of elements.
    """
    content = _content(_tensor_fields(message), dtype)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ConversionError(
            f"has {len(content)} bytes for shape {list(shape)} of {dtype}, which disagree; the file is damaged."
        )
    return content


def read_tensor(message: memoryview) -> Tensor | None:
    """The numbers of a TensorProto, which are looked at when asked for; None for texts and other things.

    Args:
        message: the TensorProto.
    Raises: ConversionError for another number of elements than its shape has.
    """
    parts = list(fields(message))
    stated = {number: value for number, value in parts if isinstance(value, int)}
    entry = TensorEntry(code=stated.get(1, 0))
    shape = next((_shape(value) for number, value in parts if number == 2 and isinstance(value, memoryview)), ())
    if entry.dtype_name is None:
        return None
    dtype = dtype_named(entry.dtype_name)
    content = _content(parts, dtype)
    size = math.prod(shape)
    if len(content) == size * dtype.itemsize:
        return Tensor(Block.of(content), dtype, shape)
    if len(content) == dtype.itemsize and size:  # a single number, which all elements have
        return Tensor(Block.of(content), dtype, shape, (0,) * len(shape))
    raise ConversionError(
        f"has {len(content)} bytes for shape {list(shape)} of {dtype}, which disagree; the file is damaged."
    )


def _content(parts: Iterable[tuple[int, object]], dtype: np.dtype) -> memoryview:
    """The bytes of the elements in the fields of a TensorProto."""
    chunks: list[memoryview] = []
    for number, value in parts:
        if number == _CONTENT and isinstance(value, memoryview):
            chunks.append(value)
        elif number in _FIXED and isinstance(value, memoryview | np.ndarray):
            chunks.append(_as_bytes(value))
        elif number in _VARIABLE and isinstance(value, memoryview):
            if count_varints(value):
                chunks.append(_narrowed(varints(value), dtype))
        elif number in _VARIABLE and isinstance(value, int):
            chunks.append(_narrowed(np.array([signed(value)]), dtype))
    return chunks[0] if len(chunks) == 1 else memoryview(b"".join(chunks))


def _tensor_fields(message: memoryview) -> list[tuple[int, object]]:
    """The fields of the TensorProto in a value of the table."""
    for path in (2, 3):
        message = next(
            (value for number, value in fields(message) if number == path and isinstance(value, memoryview)),
            memoryview(b""),
        )
    return list(fields(message))


def _as_bytes(value: memoryview | np.ndarray) -> memoryview:
    return value if isinstance(value, memoryview) else memoryview(value.tobytes())


def _narrowed(numbers: np.ndarray, dtype: np.dtype) -> memoryview:
    """The lowest bytes of whole numbers, which for float16 are its bits."""
    if dtype.itemsize > 8:
        raise ConversionError(f"has whole numbers where {dtype} belongs; the file is damaged.")
    return memoryview(numbers.astype(f"<u{dtype.itemsize}").tobytes())
