"""safetensors files: the length of a header, the header in JSON, the bytes.

The format has no checksums: structure is checked in full, a flipped bit in the data goes unnoticed.
Reference: https://github.com/huggingface/safetensors#format
"""

import math
from typing import Any

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.tensors import MAX_AXES, AnyTensor, Block, Tensor, Unreadable, dtype_named

MAX_HEADER = 100_000_000
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


def recognizes(head: bytes) -> bool:
    """Whether a file begins with the length of a header and the brace that opens it."""
    return head[8:9] == b"{" and head[6:8] == b"\0\0"


def load(data: memoryview) -> dict[str, AnyTensor | dict[str, Any]]:
    """The tensors by key, and "__metadata__" beside them where the file has it.

    Args:
        data: bytes of the file.
    Raises: ConversionError for a truncated or damaged file.
    """
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin - 8 > MAX_HEADER:
        raise ConversionError(f"expected a header of at most {MAX_HEADER} bytes. Received: {begin - 8}.")
    if begin > len(data):
        raise ConversionError(
            f"the file is truncated: its header ends at byte {begin}. Received: {len(data)} bytes. Download it again."
        )
    header = _parse(data[8:begin].tobytes())
    spans = [(*_span(key, entry), key) for key, entry in header.items() if key != "__metadata__"]
    end = max((span[1] for span in spans), default=0)
    if begin + end > len(data):
        raise ConversionError(
            f"the file is truncated: its tensors end at byte {begin + end}. Received: {len(data)} bytes. "
            "Download it again."
        )
    _refuse_gaps(sorted(spans), len(data) - begin)
    content = data[begin:]
    return {key: _tensor(key, entry, content) if key != "__metadata__" else entry for key, entry in header.items()}


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = limits.parse_json(text, _unique)
    except ConversionError:
        raise
    except ValueError as error:
        raise ConversionError(f"its header is not valid JSON ({error}); the file is damaged.") from error
    if not isinstance(header, dict):
        raise ConversionError("its header is not a JSON object; the file is damaged.")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ConversionError("its header has a key twice; it is ambiguous which tensor is meant.")
    return entries


def _span(key: str, entry: object) -> tuple[int, int]:
    """Where the bytes of a tensor begin and end."""
    match entry:
        case {"dtype": str(), "shape": [*shape], "data_offsets": [begin, end]} if all(
            type(number) is int and 0 <= number < 2**63 for number in (*shape, begin, end)
        ):
            if begin <= end and len(shape) <= MAX_AXES:
                return begin, end
    raise ConversionError(
        f"tensor {key!r}: expected dtype, shape and data_offsets of whole numbers that are not negative. "
        f"Received: {ascii(entry)[:120]}. The file is damaged."
    )


def _refuse_gaps(spans: list[tuple[int, int, str]], size: int) -> None:
    position = 0
    for begin, end, key in spans:
        if begin != position:
            what = "overlaps the one before it" if begin < position else "leaves a hole before it"
            raise ConversionError(
                f"tensor {key!r} {what}. Expected it to begin at {position}. Received: {begin}. The file is damaged."
            )
        position = end
    if position != size:
        raise ConversionError(f"has {size - position} bytes that belong to no tensor; the file is damaged.")


def _tensor(key: str, entry: dict[str, Any], content: memoryview) -> AnyTensor:
    code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if code not in DTYPES:
        return Unreadable(f"has the element type {ascii(code)[:40]}. Expected one of {', '.join(DTYPES)}.")
    dtype = dtype_named(DTYPES[code])
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ConversionError(
            f"tensor {key!r}: expected as many bytes as shape {shape} of {dtype} takes. Received: {end - begin} bytes. "
            "The file is damaged."
        )
    return Tensor(Block.of(content[begin:end]), dtype, shape)
