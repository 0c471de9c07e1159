"""Maps of classes as pictures: masks with a palette, and photographs under the colours of their classes."""

import math

import numpy as np

from tfseg import specs

_FONT_SHARE = 1 / 36  # of the picture's side (the root of its area): the legend grows with what it explains
_FONT_SMALLEST = 12  # pixels; below that the default font cannot be read

_PAPER, _INK, _FAINT = (255, 255, 255), (32, 32, 32), (160, 160, 160)


def write_mask(path, classes, colors=None):
    """A PNG whose pixel values are the classes, which picture viewers show in colour.

    uint8 (what `tfseg.predict` returns up to 256 classes) becomes a palette image, as PASCAL VOC's masks are. A wider
    integer becomes 16-bit grey, which has no palette: the type decides and not the values, so that one model always
    writes one kind of file.

    Args:
        path: of the file, replaced if it exists.
        classes: integers `(height, width)`.
        colors: `(red, green, blue)`, 0..255, one a class; PASCAL VOC's for the classes beyond them, or without any.
    Raises:
        ValueError: a map that is not two-dimensional or not of integers, or has classes outside 0..65535.
    """
    from PIL import Image

    classes = _class_map(classes)
    if classes.dtype == np.uint8:
        image = Image.fromarray(classes)
        image.putpalette(color_table(colors, 256).tobytes())
    else:
        if classes.max() > 65535:
            raise ValueError(f"A 16-bit mask holds classes up to 65535. Received: {classes.max()}")
        image = Image.fromarray(classes.astype("uint16"))
    image.save(path, format="PNG")


def overlay(image, classes, colors=None, names=None, alpha=0.5):
    """The photograph under the colours of its classes, and a legend beneath it: colour, name, share of the pixels.

    Args:
        image: PIL image, or uint8 `(height, width, 3)`, RGB.
        classes: integers `(height, width)`, of the image's size.
        colors: `(red, green, blue)`, 0..255, one a class; PASCAL VOC's for the classes beyond them, or without any.
        names: one a class; a class beyond them is named by its number.
        alpha: how much of the colours there is: 0 shows the photograph alone, 1 the colours alone.
    Returns: a PIL image: the picture at its own size, above the legend of the classes that occur, the commonest first.
    Raises:
        ValueError: a map of another size than the image, or not one of integers.
    """
    from PIL import Image

    classes = _class_map(classes)
    photograph = (image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))).convert("RGB")
    if classes.shape != photograph.size[::-1]:
        raise ValueError(
            f"Image and classes are of one height and width. Received: image {photograph.size[::-1]}, "
            f"classes {classes.shape}"
        )
    counts = np.bincount(classes.ravel())
    table = color_table(colors, len(counts))
    found = sorted(np.flatnonzero(counts), key=lambda index: -counts[index])
    named = len(names or ())
    legend = _legend(
        [
            (tuple(table[index]), names[index] if index < named else f"class {index}", counts[index] / classes.size)
            for index in map(int, found)
        ],
        photograph.size,
    )
    picture = Image.new("RGB", (max(photograph.width, legend.width), photograph.height + legend.height), _PAPER)
    picture.paste(Image.blend(photograph, Image.fromarray(table[classes]), alpha))
    picture.paste(legend, (0, photograph.height))
    return picture


def _legend(entries, size):
    """(colour, name, share of the pixels) in as many columns as fit under a picture of `size`, read downwards."""
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
    # Wide pictures get wider gutters, so that the legend spans what it explains.
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


def _percent(share):
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def color_table(colors, count):
    """uint8 `(count, 3)` or longer: a row a class, VOC's colours where the model has none, over again past 256."""
    own = list(colors or ())
    return np.array([*own, *(specs.VOC_PALETTE[index % 256] for index in range(len(own), count))], "uint8")


def _class_map(classes):
    classes = np.asarray(classes)
    if classes.ndim != 2 or not np.issubdtype(classes.dtype, np.integer) or classes.size == 0 or classes.min() < 0:
        raise ValueError(
            "A map of classes is (height, width), integers from 0. Received: "
            f"{classes.dtype} of shape {classes.shape}" + (f", least {classes.min()}" if classes.size else "")
        )
    return classes
