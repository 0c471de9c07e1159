"""Image files: how they are found and read."""

import glob
import os
import pathlib
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tfseg.types import Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MAX_PIXELS = 178_956_970  # the number of pixels from which Pillow, too, suspects a decompression bomb


def find_images(where: Path | Iterable[Path]) -> list[pathlib.Path]:
    """Sorted paths of the images in a directory, or of all files that a pattern matches.

    Args:
        where: directory, file, or pattern; or several of them. `**` in a pattern stands for directories of any depth,
            and `~` at its beginning for the home directory.
    Raises:
        ValueError: there are no images, or one of several places has none.
    """
    places = [where] if isinstance(where, str | os.PathLike) else list(where)
    if not places:
        raise ValueError("No images: expected a directory, a file or a pattern. Received: an empty list")
    return sorted({image for place in places for image in _images_at(os.path.expanduser(place))})


def _images_at(place: str) -> list[pathlib.Path]:
    path = pathlib.Path(place)
    if path.is_dir():
        matches = [
            file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        ]
    elif path.exists():  # an existing name is no pattern, even if it has brackets
        matches = [path]
    else:
        matches = [pathlib.Path(match) for match in glob.glob(place, recursive=True)]
    images = [file for file in matches if file.is_file()]
    if not images:
        raise ValueError(
            f"No images: {place!r} is neither a directory with images ({', '.join(IMAGE_SUFFIXES)}) nor a "
            "pattern that matches files."
        )
    return images


def read_image(path: Path | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An image file as uint8 `(height, width, 3)`, RGB, turned as its EXIF orientation says.

    Gray, palette and CMYK images become RGB. For images of 16 bits per channel, only the upper 8 bits are used.
    Transparency is dropped: the colors of transparent pixels show. If a file has several frames or pages, the first is
    read.

    Args:
        path: image file: its path, or the file opened in binary mode.
        max_pixels: largest number of pixels. A larger image is refused before it is decoded, because a file of a few
            kilobytes may claim gigabytes.
    Raises:
        ValueError: the image has too many pixels, or pixels of 32 bits, of which Pillow does not know the white.
        OSError: there is no such file, or it is not a whole image.

    Example:
        >>> tfseg.read_image("street.png").shape
        (360, 480, 3)
    """
    from PIL import ImageOps

    with _open(path) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"An image of {image.width}x{image.height} pixels exceeds max_pixels, {max_pixels}: raise that if "
                f"it is no decompression bomb. Received: {path}"
            )
        return np.asarray(to_rgb(ImageOps.exif_transpose(image), path))


def image_size(path: Path | BinaryIO) -> tuple[int, int]:
    """`(width, height)` of an image file as it is stored; nothing is decoded.

    Args:
        path: image file: its path, or the file opened in binary mode.
    """
    with _open(path) as image:
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
            f"A photograph has 8 or 16 bits per channel: scale it. Received: {source} of mode {image.mode}"
        )
    if image.mode.startswith("I;16"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    return image.convert("RGB")


_opening = threading.Lock()


def _open(path: Path | BinaryIO) -> "Image.Image":
    """An image without Pillow's limit, which holds for the whole process and warns below `MAX_PIXELS`."""
    from PIL import Image

    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
