"""Zip archives through a memory map: stored members are views of it, checked against their CRC-32 when first read."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from converters.errors import ConversionError
from converters.reading import limits
from converters.types import Path

_STORED, _DEFLATED = 0, 8
_UTF8 = 0x800  # flag: the name is UTF-8
_PIECE = 1 << 18  # bytes that are decompressed at once
_MOST_DIRECTORY = 8 << 20  # bytes that list the members: about a hundred thousand of them


class Archive:
    """The members of a zip archive.

    Args:
        path: where the archive lies.
        data: bytes of the file.
    Raises: ConversionError for a damaged directory, and for two members of one name.
    """

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path, self._data, self._budget = path, data, limits.current(len(data))
        self._charged: set[str] = set()
        self._left = len(data)  # bytes that no member has had yet
        try:
            with open(path, "rb") as file, zipfile.ZipFile(_Directory(file)) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
                listed = len(archive.infolist())
        except ConversionError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError) as error:
            raise ConversionError(
                "is a zip archive whose directory, the last part of the file, is missing or damaged: the file is "
                f"truncated or damaged. Received: {len(data)} bytes. Download it again."
            ) from error
        if listed != len(self._members):
            raise ConversionError("is a zip archive with two members of one name; it is ambiguous which one is meant.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, in the order of the directory."""
        return tuple(self._members)

    def member(self, name: str) -> "ArchiveMember":
        """The content of a member, unread.

        Args:
            name: name of the member.
        Raises: ConversionError for a member that is missing, encrypted, truncated or damaged.
        """
        if name not in self._members:
            raise ConversionError(f"lacks its member {name!r}; the file is damaged. Download it again.")
        info = self._members[name]
        if name not in self._charged:
            self._charged.add(name)
            # What it announces is all that it may unfold into.
            self._budget.charge(info.file_size if info.compress_type != _STORED else 0)
            self._left -= info.compress_size
            if self._left < 0:
                raise ConversionError("is a zip archive whose members overlap; the file is damaged or hostile.")
        return ArchiveMember(info, self._data)


class _Directory(io.BufferedIOBase):
    """A file whose directory is read in one piece, as `zipfile` does, unless it is too large for an archive here.

    Args:
        file: the open file.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _MOST_DIRECTORY:
            raise ConversionError(
                f"is a zip archive whose directory takes {size} bytes. Expected at most {_MOST_DIRECTORY}; the file is "
                "damaged or hostile."
            )
        return self._file.read(size)


def _inflated(raw: memoryview) -> Iterator[bytes]:
    """What a deflated member holds, in pieces: its whole content stands in memory once and no more."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for start in range(0, len(raw), _PIECE):
        waiting: memoryview | bytes = raw[start : start + _PIECE]
        while waiting and not inflater.eof:
            yield inflater.decompress(waiting, _PIECE)
            waiting = inflater.unconsumed_tail
    while not inflater.eof and (piece := inflater.flush(_PIECE)):
        yield piece


class ArchiveMember:
    """The content of one member. `data()` verifies the checksum the first time.

    Args:
        info: entry of the archive's directory.
        data: bytes of the archive.

    Attributes:
        nbytes: bytes of the content.
        offset: where in the archive the content lies as it is; None for a compressed one.
    """

    def __init__(self, info: zipfile.ZipInfo, data: memoryview) -> None:
        self._info, self.nbytes, self._verified = info, info.file_size, False
        if info.flag_bits & 1:
            raise ConversionError(f"its member {info.filename!r} is encrypted. Unpack it and give the file inside.")
        if info.compress_type not in (_STORED, _DEFLATED):
            raise ConversionError(
                f"its member {info.filename!r} is compressed by a method that is not supported. Expected a stored or "
                f"deflated member. Received: method {info.compress_type}. Save the checkpoint again."
            )
        # The directory says where the member's own header is; that one says where the content begins.
        header = data[info.header_offset : info.header_offset + 30].tobytes()
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise self._damaged("has no header where the directory points")
        name_length, extra_length = struct.unpack("<HH", header[26:])
        start = info.header_offset + 30 + name_length + extra_length
        name = data[info.header_offset + 30 : info.header_offset + 30 + name_length].tobytes()
        if name != info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437"):
            raise self._damaged("has another name in its own header")
        self.offset = start if info.compress_type == _STORED else None
        self._raw = data[start : start + info.compress_size]
        if len(self._raw) < info.compress_size or (info.compress_type == _STORED and len(self._raw) != info.file_size):
            raise self._damaged("is truncated")

    def data(self) -> memoryview:
        """The whole content.

        Raises: ConversionError if it does not have the checksum or the size that the directory states.
        """
        content = self._content(self.nbytes)
        # torch.save can be told to leave the checksums out; it writes zeros then.
        if not self._verified and self._info.CRC != 0 and zlib.crc32(content) != self._info.CRC:
            raise self._damaged("fails its checksum: its bytes changed since they were written")
        self._verified = True
        return content

    def head(self, count: int) -> bytes:
        """The first bytes, unverified: enough to index an array without reading it.

        Args:
            count: how many bytes, if there are so many.
        """
        return self._content(min(count, self.nbytes), whole=False).tobytes()

    def _content(self, count: int, whole: bool = True) -> memoryview:
        if self._info.compress_type == _STORED:
            return self._raw[:count]
        content, done = bytearray(count), 0
        try:
            for piece in _inflated(self._raw):
                if not whole:
                    piece = piece[: count - done]
                if done + len(piece) > count:  # a bomb does not unfold beyond what it announced
                    raise self._damaged("does not have the size that the directory says")
                content[done : done + len(piece)] = piece
                done += len(piece)
                if done == count and not whole:
                    break
        except zlib.error as error:
            raise self._damaged("cannot be decompressed") from error
        if done != count:
            raise self._damaged("does not have the size that the directory says")
        return memoryview(content).toreadonly()

    def _damaged(self, how: str) -> ConversionError:
        return ConversionError(f"its member {self._info.filename!r} {how}; the file is damaged. Download it again.")
