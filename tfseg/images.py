"""Image files: how they are read."""

import warnings
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tfseg.deep_photographs import DarkPhotographWarning, dark_message, is_dark, is_deep, with_bits
from tfseg.picture_formats import as_stored, open_picture
from tfseg.types import Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
MAX_PIXELS = 178_956_970  # the number of pixels from which Pillow, too, suspects a decompression bomb


def read_image(
    path: Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, turn: bool = True, bits: int | None = None
) -> np.ndarray:
    """An image file as uint8 `(height, width, 3)`, RGB, turned as its EXIF orientation says.

    Gray, palette and CMYK images become RGB. For images of 16 bits per channel, only the upper 8 bits are used, or the
    upper 8 of `bits`; a picture that seems to have fewer bits than 16 is read with a `DarkPhotographWarning`.
    Transparency is dropped: the colors of transparent pixels show. If a file has several frames or pages, the first is
    read.

    Args:
        path: image file: its path, or the file opened in binary mode.
        max_pixels: largest number of pixels. A larger image is refused before it is decoded, because a file of a few
            kilobytes may claim gigabytes.
        turn: whether to turn the image as its EXIF orientation says.
        bits: number of bits per channel that an image of 16 bits uses, 8 to 16; None: all.
    Raises:
        ValueError: the image has too many pixels, values of more than `bits`, or pixels of 32 bits, of which Pillow
            does not know the white; or the file has another format than those that Pillow decodes itself, or is a raw
            photograph.
        OSError: there is no such file, or it is not a whole image.

    Example:
        >>> tfseg.read_image("street.png").shape
        (360, 480, 3)
    """
    from PIL import Image, ImageOps

    with open_picture(path) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"An image of {image.width}x{image.height} pixels exceeds max_pixels, {max_pixels}: raise that if "
                f"it is no decompression bomb. Received: {path}"
            )
        if image.format == "PPM" and image.mode == "I":  # gray of 16 bits, which Pillow opens as 32
            image = Image.fromarray(np.asarray(image).astype("uint16"))
        deep = is_deep(image)
        image = with_bits(image, path, bits) if deep and bits is not None else as_stored(image)
        pixels = np.asarray(to_rgb(ImageOps.exif_transpose(image) if turn else image, path))
    if deep and bits is None and is_dark(pixels):
        warnings.warn(dark_message(pixels), DarkPhotographWarning, stacklevel=2)
    return pixels


def image_size(path: Path | BinaryIO) -> tuple[int, int]:
    """`(width, height)` of an image file as it is stored; nothing is decoded.

    Args:
        path: image file: its path, or the file opened in binary mode.
    """
    with open_picture(path) as image:
        return image.size


def to_rgb(image: "Image.Image", source: object) -> "Image.Image":
    """A Pillow image in RGB. Pillow alone clips channels of more than 8 bits to white.

    Args:
        image: image of any mode.
        source: where the image comes from, for the error message.
    Raises:
        ValueError: the image has pixels of 32 bits.
    """
    if image.mode in ("I", "F"):
        raise ValueError(
            f"A photograph has 8 or 16 bits per channel: scale it, or read it as it is stored: channels=1 "
            f"(--channels=1). Received: {source} of mode {image.mode}"
        )
    if image.mode.startswith("I;16"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    return image.convert("RGB")
