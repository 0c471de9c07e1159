"""Where on Earth the pixels of a TIFF lie: the tags that say so, and masks that carry them."""

import contextlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from tfseg.drawing import Colors, color_table
from tfseg.types import Array, Path

TIFF_SUFFIXES = (".tif", ".tiff")
# Scale of a pixel, tie points, transformation; and the keys of the coordinate system, with their numbers and texts.
_PLACE = (33550, 33922, 34264, 34735, 34736, 34737)
_ORIENTATION, _NO_DATA = 274, 42113
_DOUBLE, _SHORT, _ASCII = 12, 3, 2
_TYPES = {33550: _DOUBLE, 33922: _DOUBLE, 34264: _DOUBLE, 34735: _SHORT, 34736: _DOUBLE, 34737: _ASCII}

Tags = Mapping[int, Any]
"""Values of a TIFF by the numbers of its tags."""


def tiff_tags(path: Path | BinaryIO) -> Tags:
    """The tags of the first picture in a TIFF; empty for another file, or a damaged one.

    Args:
        path: path of the file, or the file opened in binary mode.
    Raises:
        OSError: there is no such file.
    """
    if not isinstance(path, str | os.PathLike):
        return _read_tags(path)
    with open(path, "rb") as file:
        return _read_tags(file)


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins so is a TIFF, or a BigTIFF.

    Args:
        head: the first bytes.
    """
    return head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def _read_tags(file: BinaryIO) -> Tags:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    head = file.read(8)
    if not is_tiff(head):
        return {}
    if b"+" in head[:4]:  # a BigTIFF has longer addresses
        head += file.read(8)
    with contextlib.suppress(Exception):  # a damaged file raises nearly anything; who reads its pixels says so
        directory = ImageFileDirectory_v2(head)
        file.seek(directory.next)
        directory.load(file)
        return {tag: directory[tag] for tag in directory}
    return {}


def has_place(path: pathlib.Path) -> bool:
    """Whether a file is a TIFF, by its name too, that says where on Earth its pixels lie.

    Args:
        path: path of an image.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return False
    try:
        tags = tiff_tags(path)
    except OSError:  # told when the image is read
        return False
    return 34264 in tags or 33922 in tags


def no_data_value(tags: Tags) -> float | None:
    """The value that stands for missing data in a TIFF; None if it has none.

    Args:
        tags: result of `tiff_tags`.
    """
    value = tags.get(_NO_DATA)
    text = value[0] if isinstance(value, tuple) and value else value
    try:
        return float(str(text).strip("\x00 ").replace(",", "."))
    except ValueError:
        return None


def orientation(tags: Tags) -> int:
    """How a TIFF says that its picture was held; 1: as it is stored.

    Args:
        tags: result of `tiff_tags`.
    """
    value = tags.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def write_mask_tiff(
    path: Path, classes: Array, source: Path, *, colors: Colors | None = None, no_data: int | None = None
) -> None:
    """Writes a TIFF whose pixel values are the classes, at the place on Earth of the picture that they belong to.

    uint8 classes get a palette, wider ones become 16-bit gray, as in `tfseg.drawing.write_mask`.

    Args:
        path: where the TIFF is written.
        classes: class ids, integers `(height, width)`.
        source: the TIFF whose place is copied.
        colors: `(red, green, blue)`, 0..255, for each class.
        no_data: value that stands for missing data; None: none does.
    Raises:
        ValueError: classes outside 0..65535.

    Example:
        >>> from PIL import Image
        >>> from tfseg.georeference import tiff_tags, write_mask_tiff
        >>> place = {33550: (2.0, 2.0, 0.0), 33922: (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0)}
        >>> Image.new("RGB", (3, 2)).save("field.tif", tiffinfo=place)
        >>> write_mask_tiff("classes.tif", np.zeros((2, 3), "uint8"), "field.tif", no_data=255)
        >>> tiff_tags("classes.tif")[33550]
        (2.0, 2.0, 0.0)
    """
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    if classes.size and not 0 <= int(classes.min()) <= int(classes.max()) <= 65535:
        raise ValueError(f"A mask holds classes from 0 to 65535. Received: {classes.min()} to {classes.max()}")
    picture = Image.fromarray(classes if classes.dtype == np.uint8 else classes.astype("uint16"))
    if classes.dtype == np.uint8:
        picture.putpalette(color_table(colors, 256).tobytes())
    copied, tags = tiff_tags(source), ImageFileDirectory_v2()
    for tag in _PLACE:
        if tag in copied:
            tags.tagtype[tag] = _TYPES[tag]
            tags[tag] = copied[tag]
    if no_data is not None:
        tags.tagtype[_NO_DATA] = _ASCII
        tags[_NO_DATA] = str(no_data)
    picture.save(path, format="TIFF", tiffinfo=tags, compression="tiff_adobe_deflate")
