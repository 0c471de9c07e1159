"""The keys of parts of tensors in a table, which sort as the parts do: TensorFlow's ordered code.

Reference: https://github.com/tensorflow/tensorflow: core/util/saved_tensor_slice_util.cc and
core/lib/strings/ordered_code.cc
"""

from collections.abc import Sequence

Extent = tuple[int, int]
"""Where a part begins along an axis, and its length; -1 for the whole axis."""


def slice_key(name: str, extents: Sequence[Extent]) -> bytes:
    """The key of a part of a tensor.

    Args:
        name: name of the tensor.
        extents: what the part covers of each axis.
    """
    text = name.encode().replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff")
    numbers = b"".join(_signed(number) for extent in extents for number in extent)
    return b"\x00" + text + b"\x00\x01" + _unsigned(len(extents)) + numbers


def _unsigned(number: int) -> bytes:
    """The number of its bytes, then these, the highest first."""
    count = (number.bit_length() + 7) // 8
    return bytes([count]) + number.to_bytes(count, "big")


def _signed(number: int) -> bytes:
    """The bytes of a number, the highest first; as many bits as bytes stand before it, inverted below zero."""
    count = (number if number >= 0 else ~number).bit_length() // 7 + 1
    header = ((1 << count) - 1) << (8 * count - count)
    return ((number & (1 << 8 * count) - 1) ^ header).to_bytes(count, "big")
