"""The wire format of protocol buffers, as far as weights need it: tags, lengths and views of the bytes.

Reference: https://protobuf.dev/programming-guides/encoding
"""

import numpy as np

from converters.errors import ConversionError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_NAMES = "the file is truncated or damaged; copy or download it again"


def fields(message: memoryview):
    """Every field of a message in order, as `(number, wire type, value)`.

    The value is an int (varint), a memoryview (length-delimited), or, for all fixed-width numbers of one field that
    follow each other, their bytes `(count, 4 or 8)`.

    Raises: ConversionError at the first byte that cannot be a field of a message of this length.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ConversionError(f"expected a field's number at byte {start} of a message. Received: 0; {_NAMES}.")
        if wire == VARINT:
            value, position = _varint(message, position)
        elif wire == LENGTH:
            length, position = _varint(message, position)
            value = message[position : position + length]
            if len(value) < length:
                raise ConversionError(
                    f"expected {length} bytes in field {number}. Received: {len(value)} to the end of its message; "
                    f"{_NAMES}."
                )
            position += length
        elif wire in _WIDTHS:
            value, position = _run(message, start, position, _WIDTHS[wire])
        else:
            raise ConversionError(f"expected a wire type 0, 1, 2 or 5 at byte {start}. Received: {wire}; {_NAMES}.")
        yield number, wire, value


def varints(packed: memoryview):
    """The numbers of a packed field, signed."""
    position = 0
    while position < len(packed):
        value, position = _varint(packed, position)
        yield value - (1 << 64) if value >> 63 else value


def text(value) -> str:
    """A string field; bytes that are no UTF-8 show as replacement characters."""
    return bytes(value).decode("utf-8", errors="replace") if isinstance(value, memoryview) else ""


def _varint(message, position):
    value = 0
    for index, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (1 << 64) - 1, position + index + 1
    raise ConversionError(f"expected a number at byte {position} of a message of {len(message)}; {_NAMES}.")


def _run(message, start, position, width):
    """All numbers from `start` on that bear the tag which stands there: files unpacked have one tag a number."""
    step = position - start + width
    entries = np.frombuffer(message, np.uint8, count=(len(message) - start) // step * step, offset=start)
    entries = entries.reshape(-1, step)
    if not len(entries):
        raise ConversionError(f"expected {width} bytes at byte {position} of a message of {len(message)}; {_NAMES}.")
    count, window = 1, 1
    while count < len(entries):  # in growing steps, so that many short runs cost no more than one long one
        same = (entries[count : count + window, :-width] == entries[0, :-width]).all(axis=1)
        count += len(same) if same.all() else int(same.argmin())
        if not same.all():
            break
        window *= 2
    return entries[:count, -width:], start + count * step
