"""The legend under a picture: color, name and share of the pixels of each class."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfseg.drawing.colors import FAINT, INK, PAPER
from tfseg.drawing.painting import hatched
from tfseg.types import Array, Size

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

_FONT_SHARE = 1 / 36  # font size per side of the picture (the root of its area): the legend grows with the picture
_FONT_SMALLEST = 12  # pixels; a smaller default font is illegible
_FEWEST_ROWS = 12  # that a legend may have under any picture
_NARROWEST = 15  # ems; a legend under a narrower picture is wider than it

Color = tuple[int, int, int]


class LegendEntry(NamedTuple):
    """A row of a legend.

    Attributes:
        name: what the color means.
        color: `(red, green, blue)`; None for pixels without a class, which are hatched.
        share: share of the pixels, 0..1; None: no share is shown.
    """

    name: str
    color: Color | None
    share: float | None = None


def legend_entries(
    counts: Array, table: Array, names: Sequence[str] | None, *, void: int | None, shares: bool = True
) -> list[LegendEntry]:
    """The classes that occur, the most frequent first, and void last.

    Args:
        counts: number of pixels of each class id.
        table: color of each class.
        names: name of each class; a class without a name is named by its number.
        void: id of pixels without a class; None: there are none.
        shares: whether shares are shown.
    """
    names = names or ()
    occurring = [int(index) for index in np.flatnonzero(counts)]
    by_frequency = sorted(occurring, key=lambda index: (index == void, -counts[index]))
    total = max(1, counts.sum())

    def entry(index: int) -> LegendEntry:
        share = counts[index] / total if shares else None
        if index == void:
            return LegendEntry("void", None, share)
        red, green, blue = map(int, table[index])
        name = names[index] if index < len(names) else f"class {index}"
        return LegendEntry(str(name), (red, green, blue), share)

    return [entry(index) for index in by_frequency]


def font_size(size: Size) -> int:
    """The font size in pixels under a picture.

    Args:
        size: width and height of the picture in pixels, in PIL's order.
    """
    return max(_FONT_SMALLEST, round(math.sqrt(size[0] * size[1]) * _FONT_SHARE))


def draw_legend(entries: Sequence[LegendEntry], width: int, *, em: int, most_height: float) -> "Image":
    """The legend: in as many columns as fit under a picture, read downwards.

    Long names are shortened. Where not all classes fit into the height, the last row counts the rest together.

    Args:
        entries: its rows, in order.
        width: width of the picture in pixels; the legend is wider only under very narrow pictures.
        em: font size in pixels.
        most_height: largest height in pixels; a dozen rows are always shown.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=em)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow is built with FreeType in every wheel
    gutter, line = round(1.5 * em), round(1.6 * em)
    width = max(width, _NARROWEST * em)
    shares = [_percent(entry.share) for entry in entries]
    share_width = max((math.ceil(font.getlength(share)) for share in shares), default=0)
    most_name = width - 4 * em - (share_width + em if share_width else 0)
    names = [_shortened(entry.name, font, most_name) for entry in entries]
    name_width = max((math.ceil(font.getlength(name)) for name in names), default=0)
    cell = 2 * em + name_width + (em + share_width if share_width else 0)

    fitting = max(1, (width - 2 * em + gutter) // (cell + gutter))
    most_rows = max(_FEWEST_ROWS, int((most_height - em) // line))
    rows = list(zip(names, (entry.color for entry in entries), shares, strict=True))
    if len(rows) > fitting * most_rows:
        kept = fitting * most_rows - 1
        left = [entry.share for entry in entries[kept:]]
        share = "" if None in left else _percent(sum(value or 0 for value in left))
        more = _shortened(f"and {len(left)} more", font, name_width)
        rows[kept:] = [(more, PAPER, share)]
    height = math.ceil(len(rows) / fitting)
    columns = math.ceil(len(rows) / max(1, height))
    # Wide pictures get wider gutters, so that the legend spans the picture.
    pitch = min((width - 2 * em - cell) / (columns - 1), 2 * cell + gutter) if columns > 1 else 0

    panel = Image.new("RGB", (width, height * line + em), PAPER)
    draw = ImageDraw.Draw(panel)
    for place, (name, color, share) in enumerate(rows):
        left_edge, middle = em + round(place // height * pitch), em // 2 + place % height * line + line // 2
        swatch = (left_edge, middle - em // 2, left_edge + round(1.4 * em), middle + em // 2)
        if color is None:
            paper = np.full((swatch[3] - swatch[1] + 1, swatch[2] - swatch[0] + 1, 3), 255, "uint8")
            panel.paste(Image.fromarray(hatched(paper, 0)), swatch[:2])
        draw.rounded_rectangle(swatch, em // 5 if color else 0, fill=color, outline=FAINT, width=max(1, em // 16))
        draw.text((left_edge + 2 * em, middle), name, INK, font, anchor="lm")
        draw.text((left_edge + cell, middle), share, INK, font, anchor="rm")
    return panel


def _shortened(text: str, font: "FreeTypeFont", most: float) -> str:
    """The text, or its beginning and three points, at most so many pixels wide."""
    if font.getlength(text) <= most:
        return text
    while text and font.getlength(f"{text}...") > most:
        text = text[:-1]
    return f"{text.rstrip()}..."


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"
