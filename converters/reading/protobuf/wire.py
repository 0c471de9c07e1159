"""The wire format of protocol buffers, as much of it as weights need: tags, lengths and views of the bytes.

Reference: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator

import numpy as np

from converters.errors import ConversionError
from converters.reading import limits

_LONGEST = 10  # bytes of a number
_PIECE = 1 << 16  # bytes whose numbers are read at once
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
_WIDTHS = {FIXED64: 8, FIXED32: 4}
# Bytes that a field may become: a view of the file, and its share of the object that its message is.
_FIELD = 240
_RUN = 600  # the same, beyond a field's, for numbers of fixed width
_NUMBER = 40  # the same for an integer of several
_ADVICE = "the file is truncated or damaged; copy or download it again"

Value = int | memoryview | np.ndarray
"""A field's value: a varint; length-delimited bytes; or fixed-width numbers, as bytes of shape `(count, 4 or 8)`."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Every field of a message in order, as `(field number, value)`.

    All fixed-width numbers of one field that follow each other come as one value.

    Args:
        message: bytes of the message, without a tag and a length before them.
    Raises: ConversionError at the first byte that cannot be a field of a message of this length.
    """
    position = 0
    budget = limits.current(len(message))
    while position < len(message):
        start = position
        budget.charge(_FIELD)
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        value: Value
        if number == 0:
            raise ConversionError(f"expected a field's number at byte {start} of a message. Received: 0; {_ADVICE}.")
        if wire == VARINT:
            value, position = _varint(message, position)
        elif wire == LENGTH:
            length, position = _varint(message, position)
            value = message[position : position + length]
            if len(value) < length:
                raise ConversionError(
                    f"expected {length} bytes in field {number}. Received: {len(value)} to the end of its message; "
                    f"{_ADVICE}."
                )
            position += length
        elif wire in _WIDTHS:
            budget.charge(_RUN)
            value, position = _run(message, start, position, _WIDTHS[wire])
        else:
            raise ConversionError(f"expected a wire type 0, 1, 2 or 5 at byte {start}. Received: {wire}; {_ADVICE}.")
        yield number, value


def is_fixed(value: Value, width: int) -> bool:
    """Whether a value consists of numbers of `width` bytes, 4 or 8."""
    return isinstance(value, np.ndarray) and value.shape[-1] == width


def integers(value: Value) -> list[int]:
    """The signed integers of a field that is repeated or packed; none for a field of another wire type."""
    if isinstance(value, int):
        return [signed(value)]
    if not isinstance(value, memoryview):
        return []
    limits.current(len(value)).charge(_NUMBER * count_varints(value))
    return varints(value).tolist()


def count_varints(value: memoryview) -> int:
    """How many integers there are in packed bytes: the last byte of each is below 128."""
    return int((np.frombuffer(value, np.uint8) < 0x80).sum())


def varints(value: memoryview) -> np.ndarray:
    """The signed integers of packed bytes, as int64.

    Raises: ConversionError for bytes that end inside a number, and for a number of more than ten bytes.
    """
    pieces, position = [], 0
    while position < len(value):
        piece = np.frombuffer(value[position : position + _PIECE], np.uint8)
        ends = np.flatnonzero(piece < 0x80)
        if not len(ends):
            raise ConversionError(f"expected a number at byte {position} of a message of {len(value)}; {_ADVICE}.")
        lengths = np.diff(ends, prepend=-1)
        if lengths.max() > _LONGEST:
            raise ConversionError(f"expected numbers of at most {_LONGEST} bytes. Received: a longer one; {_ADVICE}.")
        used = int(ends[-1]) + 1
        starts = ends - lengths + 1
        shifts = (np.arange(used) - np.repeat(starts, lengths)).astype(np.uint64) * np.uint64(7)
        parts = (piece[:used] & np.uint8(0x7F)).astype(np.uint64) << shifts
        pieces.append(np.bitwise_or.reduceat(parts, starts).view(np.int64))
        position += used
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def signed(value: int) -> int:
    """The integer whose two's complement of 64 bits a varint holds."""
    return value - (1 << 64) if value >> 63 else value


def text(value: Value) -> str:
    """A string field; bytes that are not UTF-8 show as replacement characters."""
    return bytes(value).decode("utf-8", errors="replace") if isinstance(value, memoryview) else ""


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = 0
    for index, byte in enumerate(message[position : position + _LONGEST]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (1 << 64) - 1, position + index + 1
    raise ConversionError(f"expected a number at byte {position} of a message of {len(message)}; {_ADVICE}.")


def _run(message: memoryview, start: int, position: int, width: int) -> tuple[np.ndarray, int]:
    """The numbers from `start` on that have the tag there, and the position after them.

    A repeated field that is not packed has one tag for each number.
    """
    step = position - start + width
    tag = message[start:position]
    if message[start + step : start + step + len(tag)] != tag:  # a single number, without the cost of an array's search
        if start + step > len(message):
            raise ConversionError(
                f"expected {width} bytes at byte {position} of a message of {len(message)}; {_ADVICE}."
            )
        return np.frombuffer(message, np.uint8, width, position).reshape(1, width), start + step
    entries = np.frombuffer(message, np.uint8, count=(len(message) - start) // step * step, offset=start)
    entries = entries.reshape(-1, step)
    if not len(entries):
        raise ConversionError(f"expected {width} bytes at byte {position} of a message of {len(message)}; {_ADVICE}.")
    count, window = 1, 1
    while count < len(entries):  # in growing steps, so that many short runs cost no more than one long one
        same = (entries[count : count + window, :-width] == entries[0, :-width]).all(axis=1)
        count += len(same) if same.all() else int(same.argmin())
        if not same.all():
            break
        window *= 2
    return entries[:count, -width:], start + count * step
