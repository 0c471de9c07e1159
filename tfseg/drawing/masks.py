"""Masks: pictures whose pixel values are the classes."""

from typing import IO

import numpy as np

from tfseg.drawing.colors import Colors, checked_classes, color_table
from tfseg.types import Array, Path


def write_mask(path: Path | IO[bytes], classes: Array, colors: Colors | None = None) -> None:
    """Writes a PNG whose pixel values are the classes, and which picture viewers show in color.

    uint8 classes (`tfseg.predict` returns them for up to 256 classes) become a palette image, like PASCAL VOC's masks.
    Wider integers become a 16-bit gray image, which has no palette. The type decides, not the values: so one model
    always writes one kind of file.

    Args:
        path: where the PNG is written, replacing an existing file; or an open binary file.
        classes: class ids, integers `(height, width)`.
        colors: `(red, green, blue)`, 0..255, for each class; classes without a color get PASCAL VOC's.
    Raises:
        ValueError: classes that are not two-dimensional or not integers, or are outside 0..65535.

    Example:
        >>> from tfseg.drawing import write_mask
        >>> write_mask("mask.png", np.array([[0, 1], [2, 2]], "uint8"), colors=[(0, 0, 0), (255, 0, 0)])
        >>> import PIL.Image
        >>> mask = PIL.Image.open("mask.png")
        >>> mask.mode, np.array(mask).tolist(), mask.convert("RGB").getpixel((1, 0))
        ('P', [[0, 1], [2, 2]], (255, 0, 0))
    """
    from PIL import Image

    classes = checked_classes(classes)
    if classes.dtype == np.uint8:
        image = Image.fromarray(classes)
        image.putpalette(color_table(colors, 256).tobytes())
    else:
        if classes.max() > 65535:
            raise ValueError(f"A 16-bit mask holds classes up to 65535. Received: {classes.max()}")
        image = Image.fromarray(classes.astype("uint16"))
    image.save(path, format="PNG")
