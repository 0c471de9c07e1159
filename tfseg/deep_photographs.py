"""Photographs of 16 bits per channel, of which fewer may be used: 12-bit cameras, microscopes, satellites."""

import os
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tfseg.picture_formats import as_stored, orientation_of
from tfseg.types import Array, Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

_DARK = 64  # of 256: no pixel of a photograph in 14 bits is brighter when 16 are assumed


class DarkPhotographWarning(UserWarning):
    """A picture of 16 bits whose values use fewer, so that it is read almost black."""


def is_deep(image: "Image.Image") -> bool:
    """Whether a picture is stored with 16 bits per channel.

    Args:
        image: an opened Pillow image, not decoded yet.
    """
    return "16" in image.mode or "16" in stored_mode(image)


def stored_mode(image: "Image.Image") -> str:
    """How a file stores its pixels, in Pillow's words, such as "RGB;16B"; "" where Pillow does not say.

    Args:
        image: an opened Pillow image, not decoded yet.
    """
    tiles: list[Any] = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def is_dark(array: Array) -> bool:
    """Whether the upper 8 of 16 bits hold so little that fewer bits are used.

    Args:
        array: the upper 8 bits, any shape.
    """
    return bool(array.size) and int(array.max()) < _DARK


def dark_message(array: Array) -> str:
    """What to say about a dark picture: how many bits it seems to have, and how to say so.

    Args:
        array: the upper 8 bits, any shape.
    """
    bits = 8 + int(array.max()).bit_length()
    return (
        f"A picture of 16 bits per channel uses no more than {bits} of them, so that it is read almost black: say how "
        f"many bits it has, such as bits={bits} in tfseg.read_image, image_bits={bits} in tfseg.data.folder "
        f"(--image_bits={bits}), or scale it"
    )


def with_bits(image: "Image.Image", path: Path | BinaryIO, bits: int) -> "Image.Image":
    """A picture of 16 bits per channel, of which the lower `bits` are used, in 8 bits.

    Args:
        image: the opened picture.
        path: the file.
        bits: number of bits that are used, 8 to 16.
    Raises:
        ValueError: a value that needs more bits, or a file of colors that is no PNG, of which Pillow reads the upper 8
            bits alone.
    """
    from PIL import Image

    orientation = orientation_of(image)
    if image.mode.startswith("I;16"):
        values = np.asarray(as_stored(image))
    elif image.format == "PNG" and isinstance(path, str | os.PathLike):
        import tensorflow as tf

        values = tf.io.decode_png(tf.io.read_file(os.fspath(path)), channels=3, dtype=tf.uint16).numpy()
    else:
        raise ValueError(
            f"{path}: of colors with 16 bits per channel, fewer bits can be named for PNG files alone. Received: "
            f"{image.format} with bits={bits}. Save it as PNG, scale it to 16 bits, or read it as it is stored: "
            "channels=3 (--channels=3)"
        )
    if values.size and int(values.max()) >> bits:
        raise ValueError(f"{path}: expected values below {1 << bits}, because of bits={bits}. Received: {values.max()}")
    scaled = Image.fromarray((values >> (bits - 8)).astype("uint8"))
    scaled.getexif()[0x0112] = orientation
    return scaled
