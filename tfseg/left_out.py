"""What reading a picture as a photograph leaves out: further pages, and a fourth channel."""

import warnings
from typing import TYPE_CHECKING

from tfseg.picture_formats import open_picture
from tfseg.types import Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

PAGES = "the file has several pages, of which the first is read"
BANDS = "the photograph has a fourth channel, which is left out"


class LeftOutWarning(UserWarning):
    """A TIFF whose further pages or fourth channel a network of photographs does not see."""


def left_out(picture: "Image.Image") -> list[str]:
    """What is not read of a picture, of `PAGES` and `BANDS`.

    Args:
        picture: an opened Pillow image.
    """
    messages = [PAGES] if getattr(picture, "n_frames", 1) > 1 else []
    return [*messages, BANDS] if _has_fourth_channel(picture) else messages


def warn_of_left_out(path: Path) -> None:
    """Warns of what is not read of a TIFF, in which pages and a fourth channel are often bands of one measurement.

    Elsewhere they are films, thumbnails and transparency.

    Args:
        path: picture that can be read.
    """
    with open_picture(path) as picture:
        messages = left_out(picture) if picture.format == "TIFF" else []
    for message in messages:
        warnings.warn(f"{path}: {message}", LeftOutWarning, stacklevel=3)


def _has_fourth_channel(picture: "Image.Image") -> bool:
    if picture.mode not in ("RGBA", "LA", "RGBX", "CMYK") or (picture.mode == "CMYK" and picture.format == "JPEG"):
        return False
    low, high = picture.getchannel(len(picture.getbands()) - 1).getextrema()
    return bool(low != high)
