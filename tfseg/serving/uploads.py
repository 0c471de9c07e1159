"""Image files that clients send: checked before they are decoded."""

import io

import numpy as np

from tfseg.images import read_image
from tfseg.serving.errors import Refused
from tfseg.stored_channels import channels_size, read_channels

# The formats in which photographs come. Some of Pillow's other formats start programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def count_pixels(content: bytes, max_pixels: int, channels: int | None = None) -> int:
    """Height times width of an image, from the head of its file: nothing is decoded.

    Args:
        content: bytes of an image file.
        max_pixels: largest number of pixels.
        channels: number of channels of images that come as their files store them; None: they are photographs.
    Raises:
        Refused: the file is no image, or the image has more pixels.
    """
    from PIL import Image

    if channels is not None:
        return _count_stored(content, max_pixels)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(413, f"An image has at most {max_pixels} pixels here: shrink it. {error}") from error
    except Exception as error:  # a broken file raises nearly anything
        start = f", starting with {content[:8]!r}" if content else ""
        raise Refused(415, f"An image is one of {', '.join(FORMATS)}. Received: {len(content)} bytes{start}") from error
    if width * height > max_pixels:
        raise Refused(413, f"An image has at most {max_pixels} pixels here: shrink it. Received: {width} x {height}")
    return width * height


def _count_stored(content: bytes, max_pixels: int) -> int:
    """The pixels of an array, a TIFF or another picture that is read as it is stored."""
    try:
        width, height = channels_size(_Upload(content))
    except Exception as error:  # a broken file raises nearly anything
        raise Refused(415, f"An image is .npy (height, width, channels), TIFF or PNG. {error}") from error
    if width * height > max_pixels:
        raise Refused(413, f"An image has at most {max_pixels} pixels here: shrink it. Received: {width} x {height}")
    return width * height


def decode(content: bytes, max_pixels: int, channels: int | None = None) -> np.ndarray:
    """The image as uint8 `(height, width, 3)`, RGB, read like `tfseg.read_image` reads files.

    With `channels`, it is float32 with the numbers that the file stores, and NaN for missing data.

    Args:
        content: bytes of an image file.
        max_pixels: largest number of pixels.
        channels: number of channels of images that come as their files store them; None: they are photographs.
    Raises:
        Refused: the file is not a whole image, or `tfseg.read_image` refuses it.
    """
    try:
        if channels is not None:
            return read_channels(_Upload(content), channels, max_pixels=max_pixels).astype("float32")
        return read_image(_Upload(content), max_pixels=max_pixels)
    except Exception as error:
        raise Refused(400, f"The image cannot be read: {str(error) or type(error).__name__}") from error


class _Upload(io.BytesIO):
    """Bytes that an error message names "an upload", and not by their address in memory."""

    def __str__(self) -> str:
        return "an upload"

    __repr__ = __str__
