"""Tables of LevelDB's form, sorted by key: the index of a TensorFlow checkpoint, or all of one of the first form.

A table is blocks, an index of them, and a footer. Every block has a checksum. Only the blocks that are asked for are
looked at, each compared with its checksum, and uncompressed ones are views of the file.

Reference: https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

import bisect
import functools
from collections.abc import Iterator

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.checksums import masked_crc32c
from converters.reading.tensorflow import snappy

MAGIC = bytes.fromhex("57fb808b247547db")
"""The last bytes of every table."""

_FOOTER = 48
_TRAILER = 5  # after each block: how it is compressed, and its checksum
_PLAIN, _SNAPPY = 0, 1
_ENTRY = 600  # bytes that an entry may become, beside its key


class Table:
    """The entries of a table, read when asked for.

    Args:
        data: bytes of the file.
    Raises: ConversionError for a file that is no table, or a damaged one.
    """

    def __init__(self, data: memoryview) -> None:
        self._data, self._verified = data, set[int]()
        footer = data[-_FOOTER:]
        if len(footer) < _FOOTER or footer[-len(MAGIC) :] != MAGIC:
            raise ConversionError("does not end as a table of TensorFlow does; it is truncated. Download it again.")
        _, place = _handle(footer, 0)
        index, _ = _handle(footer, place)
        entries = list(self._entries(self._block(*index)))
        self._last_keys = [key for key, _ in entries]
        self._handles = [_handle(value, 0)[0] for _, value in entries]
        self._cached = functools.lru_cache(maxsize=2)(self._block)

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """Every key with its value, in order.

        Raises: ConversionError at the first damaged block.
        """
        for handle in self._handles:
            yield from self._entries(self._cached(*handle))

    def get(self, wanted: bytes) -> memoryview | None:
        """The value of a key, or None.

        Args:
            wanted: the key.
        Raises: ConversionError for a damaged block.
        """
        place = bisect.bisect_left(self._last_keys, wanted)
        if place == len(self._handles):
            return None
        return next((value for key, value in self._entries(self._cached(*self._handles[place])) if key == wanted), None)

    def _block(self, offset: int, size: int) -> memoryview:
        """A block, compared with its checksum."""
        end = offset + size
        if end + _TRAILER > len(self._data):
            raise ConversionError(
                f"has a block that ends at byte {end + _TRAILER}. Received: {len(self._data)} bytes. The file is "
                "truncated or damaged; download it again."
            )
        content, trailer = self._data[offset:end], self._data[end : end + _TRAILER]
        right = end in self._verified or masked_crc32c(content, trailer[:1]) == int.from_bytes(trailer[1:], "little")
        if not right:
            raise ConversionError(
                f"fails the checksum of its block at byte {offset}: its bytes changed since they were written. "
                "Download it again."
            )
        self._verified.add(end)
        if trailer[0] == _SNAPPY:
            return snappy.decompress(content)
        if trailer[0] != _PLAIN:
            raise _damaged()
        return content

    def _entries(self, block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
        """The entries of a block: each key states how much of the one before it begins with."""
        budget = limits.current(len(self._data))
        restarts = int.from_bytes(block[-4:], "little")
        end = len(block) - 4 * (restarts + 1)
        if end < 0:
            raise _damaged()
        key, place = b"", 0
        while place < end:
            shared, place = read_number(block, place)
            fresh, place = read_number(block, place)
            length, place = read_number(block, place)
            if shared > len(key) or place + fresh + length > end:
                raise _damaged()
            budget.charge(_ENTRY + shared + fresh)
            key = key[:shared] + bytes(block[place : place + fresh])
            place += fresh
            yield key, block[place : place + length]
            place += length


def _handle(data: memoryview, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the position after them."""
    offset, place = read_number(data, place)
    size, place = read_number(data, place)
    return (offset, size), place


def read_number(data: memoryview, place: int) -> tuple[int, int]:
    """A number of variable length, and the position after it.

    Args:
        data: bytes of a block.
        place: where the number begins.
    Raises: ConversionError for bytes that are no number.
    """
    value = 0
    for index, byte in enumerate(data[place : place + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, place + index + 1
    raise _damaged()


def _damaged() -> ConversionError:
    return ConversionError("has a block that cannot be read; the file is damaged. Download it again.")
