"""The colors of classes on a photograph: a wash, outlines, and stripes where there is no class."""

import math

import numpy as np

from tfseg.types import Array

_OUTLINE_SHARE = 1 / 420  # thickness of an outline per side of the picture (the root of its area)
_STRIPE_SHARE = 1 / 70  # period of the stripes, likewise
_SMALLEST_STRIPE = 8  # pixels; finer stripes are gray
_STRIPES = np.array([[40, 40, 40], [235, 235, 235]], "float32")  # what no class has: void is neither black nor a color
_STRIPE_STRENGTH = 0.55


def painted(
    photograph: Array, classes: Array, table: Array, *, alpha: float, outlines: bool, void: int | None
) -> Array:
    """The photograph under the colors of its classes, uint8 `(height, width, 3)`.

    Args:
        photograph: uint8 `(height, width, 3)`.
        classes: class ids, integers `(height, width)`.
        table: color of each class, uint8 `(count, 3)`.
        alpha: weight of the colors, 0..1.
        outlines: whether the border of each region has its full color.
        void: id of pixels without a class, which are hatched; None: there are none.
    """
    from PIL import Image

    picture = np.array(Image.blend(Image.fromarray(photograph), Image.fromarray(table[classes]), alpha))
    side = math.sqrt(classes.size)
    if outlines:
        border = _border(classes, max(1, round(side * _OUTLINE_SHARE)))
        picture[border] = table[classes[border]]
    if void is not None and (empty := classes == void).any():
        picture[empty] = hatched(photograph, side)[empty]
    return picture


def hatched(picture: Array, side: float) -> Array:
    """A picture under dark and light stripes, uint8: what has no class looks like this.

    Args:
        picture: uint8 `(height, width, 3)`.
        side: side of the whole picture in pixels, which decides how wide the stripes are.
    """
    period = max(_SMALLEST_STRIPE, round(side * _STRIPE_SHARE))
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    stripes = _STRIPES[((rows + columns) % period * 2 // period).astype("int8")]
    shown: Array = (picture + np.float32(_STRIPE_STRENGTH) * (stripes - picture)).astype("uint8")
    return shown


def _border(classes: Array, thickness: int) -> Array:
    """The pixels within `thickness` of another class, on both sides of each border: booleans `(height, width)`."""
    border = np.zeros(classes.shape, bool)
    for axis in (0, 1):
        step = min(thickness, classes.shape[axis] - 1)
        if not step:
            continue
        before = tuple(slice(None, -step) if place == axis else slice(None) for place in (0, 1))
        behind = tuple(slice(step, None) if place == axis else slice(None) for place in (0, 1))
        differs = classes[before] != classes[behind]
        border[before] |= differs
        border[behind] |= differs
    return border
