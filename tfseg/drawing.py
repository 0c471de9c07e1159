"""Classes as pictures: masks with a palette, and photographs under the colors of their classes."""

import math
import warnings
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

import numpy as np

from tfseg import specs
from tfseg.types import Array, Path, Size

if TYPE_CHECKING:
    from PIL.Image import Image

Colors = Sequence[Sequence[int]]
"""`(red, green, blue)`, 0..255, for each class."""

_FONT_SHARE = 1 / 36  # font size per side of the picture (the root of its area): the legend grows with the picture
_FONT_SMALLEST = 12  # pixels; a smaller default font is illegible

_PAPER, _INK, _FAINT = (255, 255, 255), (32, 32, 32), (160, 160, 160)


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

    classes = _checked_classes(classes)
    if classes.dtype == np.uint8:
        image = Image.fromarray(classes)
        image.putpalette(color_table(colors, 256).tobytes())
    else:
        if classes.max() > 65535:
            raise ValueError(f"A 16-bit mask holds classes up to 65535. Received: {classes.max()}")
        image = Image.fromarray(classes.astype("uint16"))
    image.save(path, format="PNG")


def overlay(
    image: "Image | Array",
    classes: Array,
    colors: Colors | None = None,
    names: Sequence[str] | None = None,
    alpha: float = 0.5,
) -> "Image":
    """The photograph under the colors of its classes, above a legend: color, name and share of the pixels.

    Args:
        image: PIL image, or uint8 `(height, width, 3)`, RGB.
        classes: class ids, integers `(height, width)`, of the image's size.
        colors: `(red, green, blue)`, 0..255, for each class; classes without a color get PASCAL VOC's.
        names: name of each class; a class without a name is named by its number.
        alpha: weight of the colors, 0..1: 0 shows only the photograph, 1 only the colors.
    Returns: PIL image: the picture at its own size, above a legend of the classes that occur, the most frequent first.
    Raises:
        ValueError: classes of another size than the image, or that are not integers.

    Example:
        >>> from tfseg.drawing import overlay
        >>> photograph = tfseg.read_image("street.png")
        >>> classes = np.zeros(photograph.shape[:2], "uint8")
        >>> picture = overlay(photograph, classes, colors=[(128, 64, 128)], names=["road"])
        >>> picture.mode, picture.width, picture.height > 360
        ('RGB', 480, True)
    """
    from PIL import Image

    classes = _checked_classes(classes)
    photograph = (image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))).convert("RGB")
    if classes.shape != photograph.size[::-1]:
        raise ValueError(
            f"Image and classes are of one height and width. Received: image {photograph.size[::-1]}, "
            f"classes {classes.shape}"
        )
    counts = np.bincount(classes.ravel())
    table = color_table(colors, len(counts))
    by_frequency = sorted(np.flatnonzero(counts), key=lambda index: -counts[index])
    names = names or ()
    legend = _legend(
        [
            (
                tuple(table[index]),
                names[index] if index < len(names) else f"class {index}",
                counts[index] / classes.size,
            )
            for index in map(int, by_frequency)
        ],
        photograph.size,
    )
    picture = Image.new("RGB", (max(photograph.width, legend.width), photograph.height + legend.height), _PAPER)
    picture.paste(Image.blend(photograph, Image.fromarray(table[classes]), alpha))
    picture.paste(legend, (0, photograph.height))
    return picture


def as_photograph(image: Array) -> Array:
    """An image of any channels as people can look at it: uint8 `(height, width, 3)`.

    Photographs stay what they are. Of other images, the first three channels are shown, each from the darkest to the
    brightest hundredth of its values, and missing data is black. With fewer than three channels, the first is gray.

    Args:
        image: `(height, width, channels)`, with NaN for missing data.

    Example:
        >>> from tfseg.drawing import as_photograph
        >>> as_photograph(np.zeros((2, 3, 5), "uint16")).shape
        (2, 3, 3)
    """
    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return image
    shown = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    shown = shown.astype("float32")
    if np.isnan(shown).all():
        return np.zeros(shown.shape, "uint8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel without any data
        low, high = np.nanpercentile(shown, (1, 99), axis=(0, 1))
        scaled = 255 * (shown - low) / np.where(high > low, high - low, 1)
    return np.nan_to_num(scaled, nan=0).clip(0, 255).astype("uint8")


def _legend(entries: list[tuple[tuple[int, ...], str, float]], size: Size) -> "Image":
    """The legend: (color, name, share of the pixels) in as many columns as fit under a picture, read downwards.

    Args:
        entries: color, name and share of the pixels for each class that occurs.
        size: width and height of the picture in pixels, in PIL's order.
    """
    from PIL import Image, ImageDraw, ImageFont

    em = max(_FONT_SMALLEST, round(math.sqrt(size[0] * size[1]) * _FONT_SHARE))
    font = ImageFont.load_default(size=em)
    rows = [(color, name, _percent(share)) for color, name, share in entries]
    name_width = max(font.getlength(name) for _, name, _ in rows)
    cell_width = math.ceil(2 * em + name_width + em + max(font.getlength(share) for *_, share in rows))
    gutter, line = round(1.5 * em), round(1.6 * em)

    fitting = max(1, (size[0] - 2 * em + gutter) // (cell_width + gutter))
    height = math.ceil(len(rows) / fitting)
    columns = math.ceil(len(rows) / height)
    width = max(size[0], 2 * em + columns * cell_width + (columns - 1) * gutter)
    # Wide pictures get wider gutters, so that the legend spans the picture.
    pitch = (width - 2 * em - cell_width) / max(1, fitting - 1) if columns > 1 else 0

    panel = Image.new("RGB", (width, height * line + em), _PAPER)
    draw = ImageDraw.Draw(panel)
    for place, (color, name, share) in enumerate(rows):
        left, middle = em + round(place // height * pitch), em // 2 + place % height * line + line // 2
        swatch = (left, middle - em // 2, left + round(1.4 * em), middle + em // 2)
        draw.rounded_rectangle(swatch, em // 5, fill=color, outline=_FAINT, width=max(1, em // 16))
        draw.text((left + 2 * em, middle), name, _INK, font, anchor="lm")
        draw.text((left + cell_width, middle), share, _INK, font, anchor="rm")
    return panel


def _percent(share: float) -> str:
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def color_table(colors: Colors | None, count: int) -> Array:
    """uint8 `(count, 3)` or longer: the color of each class.

    Args:
        colors: colors of the first classes, or None. Further classes get PASCAL VOC's, which repeat after 256.
        count: number of classes that need a color.
    """
    given = list(colors or ())
    return np.array([*given, *(specs.VOC_PALETTE[index % 256] for index in range(len(given), count))], "uint8")


def _checked_classes(classes: Array) -> Array:
    classes = np.asarray(classes)
    if classes.ndim != 2 or not np.issubdtype(classes.dtype, np.integer) or classes.size == 0 or classes.min() < 0:
        raise ValueError(
            "A map of classes is (height, width), integers from 0. Received: "
            f"{classes.dtype} of shape {classes.shape}" + (f", least {classes.min()}" if classes.size else "")
        )
    return classes
