"""A photograph under the colors of its classes, above a legend."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfseg.drawing.colors import Colors, checked_classes, color_table
from tfseg.drawing.legends import font_size, legend_entries
from tfseg.drawing.painting import painted
from tfseg.drawing.sheets import Tile, arrange
from tfseg.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

ALPHA = 0.4
"""Weight of the colors by which the photograph is still seen."""


def overlay(
    image: "Image | Array",
    classes: Array,
    colors: Colors | None = None,
    names: Sequence[str] | None = None,
    alpha: float = ALPHA,
    *,
    outlines: bool = True,
    side_by_side: bool = False,
    void: int | None = None,
) -> "Image":
    """The photograph under the colors of its classes, above a legend: color, name and share of the pixels.

    Args:
        image: PIL image, or uint8 `(height, width, 3)`, RGB.
        classes: class ids, integers `(height, width)`, of the image's size.
        colors: `(red, green, blue)`, 0..255, for each class; classes without a color get PASCAL VOC's.
        names: name of each class; a class without a name is named by its number.
        alpha: weight of the colors, 0..1: 0 shows only the photograph, 1 only the colors.
        outlines: whether the border of each region has its full color, so that small regions are seen.
        side_by_side: whether the photograph itself stands to the left.
        void: id of pixels without a class, which are hatched; None: every id is a class.
    Returns: PIL image: the picture at its own size, above a legend of the classes that occur, the most frequent first.
        A long legend ends with a row that counts the rest.
    Raises:
        ValueError: classes of another size than the image, or that are not integers, or an alpha beyond 0..1.

    Example:
        >>> from tfseg.drawing import overlay
        >>> photograph = tfseg.read_image("street.png")
        >>> classes = np.zeros(photograph.shape[:2], "uint8")
        >>> picture = overlay(photograph, classes, colors=[(128, 64, 128)], names=["road"])
        >>> picture.mode, picture.width, picture.height > 360
        ('RGB', 480, True)
        >>> overlay(photograph, classes, side_by_side=True).width > 2 * 480
        True
    """
    from PIL import Image

    classes = checked_classes(classes)
    check_alpha(alpha)
    photograph = (image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))).convert("RGB")
    if classes.shape != photograph.size[::-1]:
        raise ValueError(
            f"Image and classes are of one height and width. Received: image {photograph.size[::-1]}, "
            f"classes {classes.shape}"
        )
    counts = np.bincount(classes.ravel())
    table = color_table(colors, len(counts))
    pixels = np.asarray(photograph)
    tiles = [Tile(painted(pixels, classes, table, alpha=alpha, outlines=outlines, void=void))]
    em = font_size(photograph.size)
    if side_by_side:
        tiles.insert(0, Tile(pixels))
    return arrange(tiles, legend_entries(counts, table, names, void=void), columns=2, em=em, gap=max(2, em // 4))


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless the weight of colors is one.

    Args:
        alpha: the weight, 0..1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha, the weight of the colors, is from 0 to 1. Received: {alpha}")
