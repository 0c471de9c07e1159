"""How the photographs of a data set are read: their EXIF orientation, and their bits."""

import dataclasses
import pathlib
import warnings
from typing import Literal, get_args

from tfseg.types import Array, Size

ExifRule = Literal["sizes", "apply", "ignore"]
STORED = "the photograph is read as stored, without its EXIF orientation, because the mask has that size"
UNDECIDED = (
    "the photograph is turned as its EXIF orientation says, and the size does not tell whether its mask was drawn on "
    "the turned one: look at the contact sheet, and set exif= (--exif=apply or --exif=ignore)"
)
_ORIENTATION = 0x0112

EXIF_RULES: tuple[ExifRule, ...] = get_args(ExifRule)


class ExifWarning(UserWarning):
    """A photograph whose EXIF orientation and mask do not obviously fit."""


@dataclasses.dataclass(frozen=True)
class Photographs:
    """How the photographs of a data set are read.

    Attributes:
        exif: what turns a photograph that says how it was held. "sizes": it stays as it is stored if its mask has that
            size, and not the other: the mask was drawn on the stored picture. "apply": always turned; "ignore": never.
        bits: bits of photographs in files of 16 bits, such as 12 of many cameras; None: all 16.
    Raises:
        ValueError: another rule, or bits outside 8 to 16.
    Example:
        >>> tfseg.data.Photographs(bits=12)
        Photographs(exif='sizes', bits=12)
    """

    exif: ExifRule = "sizes"
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.exif not in EXIF_RULES:
            raise ValueError(f"exif is one of {', '.join(EXIF_RULES)}. Received: {self.exif!r}")
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise ValueError(f"Photographs in files of 16 bits have 8 to 16 bits. Received: {self.bits}")

    def read(self, path: pathlib.Path, mask_size: Size) -> Array:
        """A photograph `(height, width, 3)`, uint8.

        Args:
            path: path of the photograph.
            mask_size: `(height, width)` of its mask.
        Raises:
            ValueError, OSError: as `tfseg.read_image`.
        """
        from tfseg.images import read_image

        doubt = self.doubt(path, mask_size)
        if doubt:
            warnings.warn(doubt, ExifWarning, stacklevel=2)  # without the name: shown once, not for every file
        return read_image(path, turn=self.exif != "ignore" and doubt != STORED, bits=self.bits)

    def doubt(self, path: pathlib.Path, mask_size: Size) -> str:
        """What is to be said about a photograph's EXIF orientation beside its mask; "" for nothing.

        Args:
            path: path of the photograph.
            mask_size: `(height, width)` of its mask.
        Raises:
            OSError: no such file, or no picture.
        """
        if self.exif != "sizes":
            return ""
        from tfseg.picture_formats import open_picture

        with open_picture(path) as image:
            orientation, (width, height) = int(image.getexif().get(_ORIENTATION, 1)), image.size
        if not 2 <= orientation <= 8:
            return ""
        if orientation < 5 or width == height:  # mirrored, upside down, or square: both have one size
            return UNDECIDED
        return STORED if mask_size == (height, width) else ""
