"""CRC-32C, the checksum of TensorFlow's tables and tensors, and the form in which they are stored."""

import google_crc32c

_PIECE = 1 << 20  # bytes that are copied at once: the package takes no views
_MASK = 0xA282EAD8


def masked_crc32c(*parts: memoryview) -> int:
    """The checksum of bytes in several parts, as TensorFlow stores it: rotated and shifted.

    Args:
        parts: bytes, as if they were in one piece.
    """
    crc = 0
    for part in parts:
        for start in range(0, len(part), _PIECE):
            crc = google_crc32c.extend(crc, bytes(part[start : start + _PIECE]))
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF
