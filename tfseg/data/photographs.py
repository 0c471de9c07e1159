"""How the photographs of a data set are read: their EXIF orientation, their bits, and their channels."""

import dataclasses
import pathlib
import warnings
from typing import Literal, get_args

from tfseg.georeference import TIFF_SUFFIXES
from tfseg.missing_data import NoData, black_border, check_no_data, missing_pixels
from tfseg.stored_channels import ARRAY_SUFFIX, read_channels
from tfseg.types import Array, Size

ExifRule = Literal["sizes", "apply", "ignore"]
STORED = "the photograph is read as stored, without its EXIF orientation, because the mask has that size"
UNDECIDED = (
    "the photograph is turned as its EXIF orientation says, and the size does not tell whether its mask was drawn on "
    "the turned one: look at the contact sheet, and set exif= (--exif=apply or --exif=ignore)"
)
_AS_STORED = (ARRAY_SUFFIX, *TIFF_SUFFIXES)

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
        channels: number of channels of images that are read as their files store them: `.npy`, GeoTIFF and others, see
            `tfseg.stored_channels.read_channels`. None: photographs, 8 bits of red, green and blue.
        no_data: value of pixels without data, which become void; None: what a TIFF says; "none": there are none.
    Raises:
        ValueError: another rule, bits outside 8 to 16, no channel, or bits of images that are read as they are stored.
    Example:
        >>> tfseg.data.Photographs(bits=12)
        Photographs(exif='sizes', bits=12, channels=None, no_data=None)
    """

    exif: ExifRule = "sizes"
    bits: int | None = None
    channels: int | None = None
    no_data: NoData = None

    def __post_init__(self) -> None:
        if self.exif not in EXIF_RULES:
            raise ValueError(f"exif is one of {', '.join(EXIF_RULES)}. Received: {self.exif!r}")
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise ValueError(f"Photographs in files of 16 bits have 8 to 16 bits. Received: {self.bits}")
        check_no_data(self.no_data)
        if self.channels is not None and (not isinstance(self.channels, int) or self.channels < 1):
            raise ValueError(f"channels is a number from 1, or None for photographs. Received: {self.channels!r}")
        if self.channels is not None and self.bits is not None:
            raise ValueError("Images with channels= are read as they are stored, so that image_bits= changes nothing")

    def read(self, path: pathlib.Path, mask_size: Size) -> Array:
        """A photograph `(height, width, 3)`, uint8; with `channels`, numbers of the file's type, see `read_channels`.

        Args:
            path: path of the photograph.
            mask_size: `(height, width)` of its mask.
        Raises:
            ValueError, OSError: as `tfseg.read_image` and `read_channels`.
        """
        from tfseg.images import read_image

        doubt = self.doubt(path, mask_size)
        if doubt:
            warnings.warn(doubt, ExifWarning, stacklevel=2)  # without the name: shown once, not for every file
        turn = self.exif != "ignore" and doubt != STORED
        if self.channels is not None:
            return read_channels(path, self.channels, no_data=self.no_data, turn=turn)
        return read_image(path, turn=turn, bits=self.bits)

    def missing(self, path: pathlib.Path, image: Array) -> Array | None:
        """Which pixels have no data: booleans `(height, width)`; None if all have.

        Args:
            path: path of the photograph.
            image: the photograph as it was read.
        """
        if self.channels is not None:
            return missing_pixels(image)
        return black_border(path, image, self.no_data)

    def doubt(self, path: pathlib.Path, mask_size: Size) -> str:
        """What is to be said about a photograph's EXIF orientation beside its mask; "" for nothing.

        Args:
            path: path of the photograph.
            mask_size: `(height, width)` of its mask.
        Raises:
            OSError: no such file, or no picture.
        """
        if self.exif != "sizes" or (self.channels is not None and path.suffix.lower() in _AS_STORED):
            return ""
        from tfseg.picture_formats import open_picture, orientation_of, stored_size

        with open_picture(path) as image:
            orientation, (width, height) = orientation_of(image), stored_size(image)
        if orientation == 1:
            return ""
        if orientation < 5 or width == height:  # mirrored, upside down, or square: both have one size
            return UNDECIDED
        return STORED if mask_size == (height, width) else ""
