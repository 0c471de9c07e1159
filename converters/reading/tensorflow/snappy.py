"""Snappy's block format, in which tables of LevelDB may be compressed.

Reference: https://github.com/google/snappy/blob/main/format_description.txt
"""

from converters.errors import ConversionError
from converters.reading import limits


def decompress(data: memoryview) -> memoryview:
    """The bytes that were compressed.

    Args:
        data: compressed bytes.
    Raises: ConversionError for damaged bytes, and for more of them than the file may unfold into.
    """
    size, place = _length(data)
    limits.current(len(data)).charge(size)
    out = bytearray()
    while place < len(data):
        tag = data[place]
        place += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:  # a literal; of a long one, the length stands in the next bytes
            if (further := length - 60) > 0:
                length = int.from_bytes(data[place : place + further], "little") + 1
                place += further
            piece = data[place : place + length]
            place += length
            if len(piece) < length or len(out) + length > size:
                raise _damaged()
            out += piece
            continue
        if kind == 1:
            length, width = (length - 1 & 7) + 4, 1
        else:
            width = 2 if kind == 2 else 4
        offset = int.from_bytes(data[place : place + width], "little") + (tag >> 5 << 8 if kind == 1 else 0)
        place += width
        if not 0 < offset <= len(out) or place > len(data) or len(out) + length > size:
            raise _damaged()
        _copy(out, offset, length)
    if len(out) != size:
        raise _damaged()
    return memoryview(out).toreadonly()


def _length(data: memoryview) -> tuple[int, int]:
    size = 0
    for place, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return size, place + 1
    raise _damaged()


def _copy(out: bytearray, offset: int, length: int) -> None:
    """Repeats bytes from `offset` before the end; the copy may reach into itself."""
    start = len(out) - offset
    pattern = out[start : start + length]
    out += (pattern * (length // len(pattern) + 1))[:length]


def _damaged() -> ConversionError:
    return ConversionError("has a compressed block that cannot be decompressed; the file is damaged.")
