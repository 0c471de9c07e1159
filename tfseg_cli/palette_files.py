"""Text files with the colors of classes."""

import codecs
import os
import pathlib

from tfseg_cli import choices


def read_palette(path: str | os.PathLike[str]) -> tuple[dict[tuple[int, int, int], int], list[str]]:
    """`({(red, green, blue): id}, names)` of a text file with one color per line.

    Several colors with one name are one class. The names `choices.VOID_NAMES` stand for ignored pixels.

    Args:
        path: path of the text file.
    Raises:
        ValueError: an invalid line, or no text.
    """
    palette: dict[tuple[int, int, int], int] = {}
    names: list[str] = []
    content = pathlib.Path(path).read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    for number, line in enumerate(content.decode(encoding).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        *color, name = line.split(None, 3)
        if len(color) != 3 or not all(part.isdecimal() and int(part) < 256 for part in color):
            raise ValueError(f"{path}, line {number}: expected `red green blue name`, 0 to 255. Received: {line!r}")
        red, green, blue = map(int, color)
        name = name.strip()
        if name.lower() in choices.VOID_NAMES:
            palette[red, green, blue] = choices.VOID
            continue
        if name not in names:
            names.append(name)
        palette[red, green, blue] = names.index(name)
    return palette, names
