"""Pictures in rows and columns, each with a line of text, under a title and above one legend."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfseg.drawing.colors import INK, PAPER
from tfseg.drawing.legends import LegendEntry, draw_legend
from tfseg.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont


class Tile(NamedTuple):
    """A picture of a sheet.

    Attributes:
        picture: uint8 `(height, width, 3)`.
        caption: line of text below it; its beginning is left out where it is too long.
    """

    picture: Array
    caption: str = ""


def arrange(
    tiles: Sequence[Tile], legend: Sequence[LegendEntry], *, columns: int, em: int, title: str = "", gap: int = 0
) -> "Image":
    """A Pillow image of the pictures, row by row.

    Args:
        tiles: the pictures; all of them have one width.
        legend: rows of the legend below all of them.
        columns: pictures in a row.
        em: font size in pixels.
        title: line of text above them.
        gap: pixels between two pictures.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=em)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow is built with FreeType in every wheel
    columns = min(columns, len(tiles))
    width = max(tile.picture.shape[1] for tile in tiles)
    line = 2 * em
    caption = line if any(tile.caption for tile in tiles) else 0
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.picture.shape[0] for tile in row) for row in rows]
    full = columns * width + (columns - 1) * gap
    head = line if title else 0
    content = head + sum(heights) + len(rows) * caption + (len(rows) - 1) * gap
    panel = draw_legend(legend, full, em=em, most_height=max(heights[0] / 2, content / 3)) if legend else None
    sheet = Image.new("RGB", (max(full, panel.width if panel else 0), content + (panel.height if panel else 0)), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((em // 2, head // 2), _ending(title, font, sheet.width - em), INK, font, anchor="lm")
    top = head
    for row, height in zip(rows, heights, strict=True):
        for place, tile in enumerate(row):
            left = place * (width + gap)
            sheet.paste(Image.fromarray(tile.picture), (left, top))
            text = _ending(tile.caption, font, width - em)
            draw.text((left + em // 2, top + tile.picture.shape[0] + caption // 2), text, INK, font, anchor="lm")
        top += height + caption + gap
    if panel:
        sheet.paste(panel, (0, content))
    return sheet


def _ending(text: str, font: "FreeTypeFont", most: float) -> str:
    """The text, or three points and its end, at most so many pixels wide: files are told apart by their ends."""
    if font.getlength(text) <= most:
        return text
    while text and font.getlength(f"...{text}") > most:
        text = text[max(1, math.ceil(len(text) / 50)) :]
    return f"...{text.lstrip()}"
