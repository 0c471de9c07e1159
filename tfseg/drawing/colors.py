"""The colors of classes, and the checks of what is painted with them."""

from collections.abc import Sequence

import numpy as np

from tfseg import specs
from tfseg.types import Array

Colors = Sequence[Sequence[int]]
"""`(red, green, blue)`, 0..255, for each class."""

PAPER, INK, FAINT = (255, 255, 255), (32, 32, 32), (160, 160, 160)


def color_table(colors: Colors | None, count: int) -> Array:
    """uint8 `(count, 3)` or longer: the color of each class.

    Args:
        colors: colors of the first classes, or None. Further classes get PASCAL VOC's, which repeat after 256.
        count: number of classes that need a color.
    """
    given = list(colors or ())
    return np.array([*given, *(specs.VOC_PALETTE[index % 256] for index in range(len(given), count))], "uint8")


def checked_classes(classes: Array) -> Array:
    """The class ids as an array.

    Args:
        classes: class ids, integers `(height, width)`.
    Raises:
        ValueError: another shape or type, or negative ids.
    """
    classes = np.asarray(classes)
    if classes.ndim != 2 or not np.issubdtype(classes.dtype, np.integer) or classes.size == 0 or classes.min() < 0:
        raise ValueError(
            "A map of classes is (height, width), integers from 0. Received: "
            f"{classes.dtype} of shape {classes.shape}" + (f", least {classes.min()}" if classes.size else "")
        )
    return classes
