"""Zip archives through a memory map: stored members are views of it, checked against their CRC-32 when first read."""

import struct
import zipfile
import zlib

from converters.errors import ConversionError
from converters.reading.tensors import Block

_STORED, _DEFLATED = 0, 8
_UTF8 = 0x800  # flag: the name is UTF-8


class Archive:
    """The members of a zip archive, `names` in the order of its directory."""

    def __init__(self, path, data: memoryview):
        self._data = data
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
                listed = len(archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError) as error:
            raise ConversionError(
                "is a zip archive whose directory, the last part of the file, is missing or damaged: the file is "
                f"truncated or damaged. Received: {len(data)} bytes. Download it again."
            ) from error
        if listed != len(self._members):
            raise ConversionError("is a zip archive with two members of one name; nobody can tell which one is meant.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    def block(self, name) -> Block:
        """The content of a member. Its `data()` verifies the checksum the first time."""
        if name not in self._members:
            raise ConversionError(f"lacks its member {name!r}; the file is damaged. Download it again.")
        return _Member(self._members[name], self._data)


class _Member:
    def __init__(self, info, data):
        self.info, self.nbytes, self.verified = info, info.file_size, False
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
            raise self._damaged("bears another name in its own header")
        self.raw = data[start : start + info.compress_size]
        if len(self.raw) < info.compress_size or (info.compress_type == _STORED and len(self.raw) != info.file_size):
            raise self._damaged("is truncated")

    def data(self) -> memoryview:
        content = self._content(self.nbytes)
        # torch.save can be told to leave the checksums out; it writes zeros then.
        if not self.verified and self.info.CRC != 0 and zlib.crc32(content) != self.info.CRC:
            raise self._damaged("fails its checksum: its bytes changed since they were written")
        self.verified = True
        return content

    def head(self, count) -> bytes:
        """The first bytes, unverified: enough to index an array without reading it."""
        return self._content(min(count, self.nbytes), whole=False).tobytes()

    def _content(self, count, whole=True):
        if self.info.compress_type == _STORED:
            return self.raw[:count]
        try:
            # One byte more than announced would show; a bomb does not unfold beyond that.
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(self.raw, count + whole)
        except zlib.error as error:
            raise self._damaged("cannot be decompressed") from error
        if len(content) != count:
            raise self._damaged("does not have the size that the directory says")
        return memoryview(content)

    def _damaged(self, how):
        return ConversionError(f"its member {self.info.filename!r} {how}; the file is damaged. Download it again.")
