"""Tensors of ONNX models: a tensor is a view of the file, wherever its bytes lie as they are used."""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from converters.errors import ConversionError
from converters.reading.files import naming
from converters.reading.onnx.external_data import ExternalData
from converters.reading.onnx.fields import EntryField, TensorField
from converters.reading.protobuf.wire import Value, count_varints, fields, integers, is_fixed, signed, text, varints
from converters.reading.tensors import MAX_AXES, AnyTensor, Block, Tensor, Unreadable, dtype_named

# Element types of TensorProto.
_TYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16"},
    **{11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"},
    **{17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 24: "float8_e8m0fnu"},
}
_STRING = 8
_EXTERNAL = 1  # data location of a tensor that lies in another file


def named_tensor(message: memoryview, external: ExternalData) -> tuple[str, AnyTensor | None]:
    """Name and tensor of a message; None in place of a tensor of texts.

    Args:
        message: bytes of a TensorProto.
        external: files beside the model.
    Raises: ConversionError for a damaged tensor.
    """
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
        if len(sizes) > MAX_AXES:
            raise ConversionError(f"has {len(sizes)} sizes, more than any array has axes; the file is damaged.")
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
    if dtype.itemsize > 8:
        raise ConversionError(f"of {dtype} has integers where its numbers should be; the file is damaged.")
    for value in chunks:
        if isinstance(value, np.ndarray):
            raise ConversionError("has data that are no numbers; the file is damaged.")
        count += 1 if isinstance(value, int) else count_varints(value)

    def data() -> memoryview:
        runs = itertools.groupby(chunks, key=lambda value: isinstance(value, int))
        numbers = [np.empty(0, np.int64)]
        for single, values in runs:
            if single:
                numbers.append(np.array([signed(value) for value in values if isinstance(value, int)], np.int64))
            else:
                numbers += [varints(value) for value in values if isinstance(value, memoryview)]
        # The lowest bits of a number, whatever its sign: they are float16 and unsigned integers as well.
        return memoryview(np.concatenate(numbers).astype(f"<u{dtype.itemsize}").tobytes())

    return Block(count * dtype.itemsize, data)
