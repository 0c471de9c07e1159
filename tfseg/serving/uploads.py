"""Image files that clients send: checked before they are decoded."""

import io
import itertools
from typing import TYPE_CHECKING

import numpy as np

from tfseg.images import read_image
from tfseg.picture_formats import open_picture, orientation_of
from tfseg.serving.errors import Refused
from tfseg.stored_channels import channels_size, read_channels

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

LONGEST_SIDE = 65_500  # pixels of a side: no JPEG has more, and the cost of a network grows with its longer side
_MOST_FRAMES = 1000
_MOST_CHUNKS = 50_000  # of a PNG; their time is that of Python. Usual ones have thousands of bytes each.
_MOST_SCANS = 200  # of a progressive JPEG; each takes the time of the whole image, but few bytes. Cameras write ten.


def count_pixels(content: bytes, max_pixels: int, channels: int | None = None) -> int:
    """Height times width of an image, of all its frames or pages together. The last one at most is not decoded.

    Args:
        content: bytes of an image file.
        max_pixels: largest number of pixels.
        channels: number of channels of images that come as their files store them; None: they are photographs.
    Raises:
        Refused: the file is no image, or the image has more pixels.
    """
    if channels is not None:
        return _count_stored(content, max_pixels)
    if content.startswith(b"\x89PNG") and _has_many_chunks(content):
        raise Refused(413, f"A PNG has at most {_MOST_CHUNKS} chunks here: save it again. Received: more")
    if content.startswith(b"\xff\xd8") and (scans := content.count(b"\xff\xda")) > _MOST_SCANS:
        raise Refused(413, f"A JPEG has at most {_MOST_SCANS} scans here: save it again. Received: {scans}")
    try:
        with open_picture(_Upload(content)) as picture:
            return _count_frames(picture, max_pixels)
    except Refused:
        raise
    except Exception as error:  # a broken file raises nearly anything
        raise Refused(415, f"The image cannot be read: {str(error) or type(error).__name__}") from error


def _has_many_chunks(content: bytes) -> bool:
    at = 8
    for _ in range(_MOST_CHUNKS):
        if at >= len(content):
            return False
        at += 12 + int.from_bytes(content[at : at + 4])
    return True


def _count_frames(picture: "Image.Image", max_pixels: int) -> int:
    width, height = picture.size
    check_sides(width, height)
    for count in itertools.count(1):
        if count * width * height > max_pixels:
            frames = f" in each of {count} frames or more" if count > 1 else ""
            raise Refused(
                413, f"An image has at most {max_pixels} pixels here: shrink it. Received: {width} x {height}{frames}"
            )
        if count > _MOST_FRAMES:
            raise Refused(413, f"An image has at most {_MOST_FRAMES} frames or pages here. Received: more")
        try:
            picture.seek(count)
        except EOFError:
            return count * width * height
    raise AssertionError


def _count_stored(content: bytes, max_pixels: int) -> int:
    """The pixels of an array, a TIFF or another picture that is read as it is stored."""
    try:
        width, height = channels_size(_Upload(content))
    except Exception as error:  # a broken file raises nearly anything
        raise Refused(415, f"An image is .npy (height, width, channels), TIFF or PNG. {error}") from error
    if width * height > max_pixels:
        raise Refused(413, f"An image has at most {max_pixels} pixels here: shrink it. Received: {width} x {height}")
    check_sides(width, height)
    return width * height


def check_sides(width: int, height: int) -> None:
    """Refuses an image that is too long, however few pixels it has.

    Args:
        width: its width.
        height: its height.
    Raises:
        Refused: one of them is too large.
    """
    if max(width, height) > LONGEST_SIDE:
        raise Refused(
            413,
            f"An image has at most {LONGEST_SIDE} pixels a side here: cut it into parts. Received: {width} x {height}",
        )


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


def for_tensorflow(content: bytes, max_pixels: int) -> bytes:
    """The file itself if TensorFlow reads the same pixels from it, or else a PNG of what `tfseg.read_image` reads.

    Args:
        content: bytes of an image file, whose pixels `count_pixels` has counted.
        max_pixels: largest number of pixels.
    Raises:
        Refused: the file is not a whole image.
    """
    try:
        with open_picture(_Upload(content)) as picture:
            if picture.format in ("JPEG", "PNG") and picture.mode in ("RGB", "L") and orientation_of(picture) == 1:
                return content
    except Exception as error:  # a PNG may say how it was held after its pixels, and they are damaged
        raise Refused(400, f"The image cannot be read: {str(error) or type(error).__name__}") from error
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(decode(content, max_pixels)).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def size(content: bytes) -> tuple[int, int]:
    """`(width, height)` of an image file, as it is stored.

    Args:
        content: bytes of an image file.
    """
    with open_picture(_Upload(content)) as picture:
        return picture.size


class _Upload(io.BytesIO):
    """Bytes that an error message names "an upload", and not by their address in memory."""

    def __str__(self) -> str:
        return "an upload"

    __repr__ = __str__
