"""Masks that are drawn from the shapes of an annotation tool when they are read."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from tfseg.types import Array, Size

Overlaps = Literal["last", "void"]
OVERLAPS: tuple[Overlaps, ...] = get_args(Overlaps)


class Shape(NamedTuple):
    """An area of a picture.

    Attributes:
        value: value of its pixels in the mask.
        kind: name of the rule that draws it, one of `KINDS`.
        geometry: what the rule needs, in pixels from the upper left corner of the picture.
    """

    value: int
    kind: str
    geometry: Any


class DrawnMask:
    """A mask of shapes, drawn when it is read.

    Args:
        name: name of the mask in messages.
        size: `(height, width)`.
        shapes: the shapes, the lowest first.
        outside: value of the pixels that no shape covers.
        void: value of ignored pixels.
        overlaps: which value a pixel of several shapes has. "last": that of the last shape. "void": it is ignored, if
            their values differ.
    """

    def __init__(
        self, name: str, size: Size, shapes: Sequence[Shape], *, outside: int, void: int, overlaps: Overlaps = "last"
    ) -> None:
        self.name, self.size, self.shapes = name, size, shapes
        self.outside, self.void, self.overlaps = outside, void, overlaps

    def __str__(self) -> str:
        return self.name

    def read(self) -> Array:
        """Values of the classes, int32 `(height, width)`.

        Raises:
            ValueError: a shape that cannot be drawn, or pycocotools is not installed and is needed.
        """
        values = np.full(self.size, self.outside, "int32")
        covered, ambiguous = np.zeros((2, *self.size), bool)
        for shape in self.shapes:
            try:
                area = KINDS[shape.kind](shape.geometry, self.size)
            except ImportError as error:
                raise ValueError(f'{self}: its shapes need pycocotools: pip install "tfseg[coco]".') from error
            except Exception as error:  # a Cython module: TypeError, ValueError, KeyError, bare Exception
                raise ValueError(f"{self}: a shape ({shape.kind}) cannot be drawn: {error}") from error
            ambiguous |= area & covered & (values != shape.value)
            covered |= area
            values[area] = shape.value
        if self.overlaps == "void":
            values[ambiguous] = self.void
        return values


def check_overlaps(overlaps: str) -> None:
    """Raises ValueError for an unknown rule of overlaps.

    Args:
        overlaps: name of the rule.
    """
    if overlaps not in OVERLAPS:
        raise ValueError(f"overlaps is one of {', '.join(OVERLAPS)}. Received: {overlaps!r}")


def _polygons(polygons: Sequence[Sequence[float]], size: Size) -> Array:
    """Polygons `[x, y, x, y, ...]` by COCO's rule: about the pixels whose centers lie inside."""
    from pycocotools import mask as drawing

    return drawing.decode(drawing.frPyObjects([list(map(float, points)) for points in polygons], *size)).any(axis=-1)


def _runs(code: dict[str, Any], size: Size) -> Array:
    """COCO's run-length code, column by column, as numbers or compressed to a text."""
    from pycocotools import mask as drawing

    if list(code["size"]) != list(size):
        raise ValueError(
            f"a run-length code has the size of its picture, {size[0]} x {size[1]}. Received: {code['size']}"
        )
    counts = code["counts"]
    if isinstance(counts, list):
        return _expanded(counts, size[::-1]).T
    content = counts.encode() if isinstance(counts, str) else counts
    return drawing.decode([{"size": list(size), "counts": content}])[..., 0].astype(bool)


def _expanded(counts: Sequence[int], shape: tuple[int, int]) -> Array:
    """Runs of False and True in turn, False first, as an array in reading order."""
    if min(counts, default=0) < 0 or sum(counts) != math.prod(shape):
        raise ValueError(
            f"the runs of a code are as long together as its area has pixels, {math.prod(shape)}. Received: "
            f"{sum(counts)}"
        )
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(shape)


def _outlined(kind: str) -> Callable[[Any, Size], Array]:
    """Pillow's polygon, rectangle or ellipse with its outline, as LabelMe draws it: both ends are inside."""

    def draw(points: Sequence[tuple[float, float]], size: Size) -> Array:
        from PIL import Image, ImageDraw

        image = Image.new("1", size[::-1])
        getattr(ImageDraw.Draw(image), kind)([tuple(point) for point in points], outline=1, fill=1)
        return np.array(image)

    return draw


def _ellipse(geometry: tuple[float, float, float, float, float], size: Size) -> Array:
    """An ellipse `(center x, center y, radius x, radius y, degrees)`: the pixels whose centers lie inside."""
    center_x, center_y, radius_x, radius_y, degrees = geometry
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    x, y, angle = columns - center_x, rows - center_y, math.radians(degrees)
    along = (x * math.cos(angle) + y * math.sin(angle)) / radius_x
    across = (y * math.cos(angle) - x * math.sin(angle)) / radius_y
    return along**2 + across**2 <= 1


def _patch(geometry: tuple[int, int, Array], size: Size) -> Array:
    """An array of booleans whose upper left pixel lies at `(left, top)`; what lies outside the picture is cut."""
    left, top, patch = geometry
    result = np.zeros(size, bool)
    inside = patch[max(0, -top) : size[0] - top, max(0, -left) : size[1] - left]
    result[max(0, top) : max(0, top) + len(inside), max(0, left) : max(0, left) + inside.shape[1]] = inside
    return result


def _row_runs(geometry: tuple[int, int, int, int, Sequence[int]], size: Size) -> Array:
    """CVAT's run-length code `(left, top, width, height, runs)`, row by row."""
    left, top, width, height, counts = geometry
    return _patch((left, top, _expanded(counts, (height, width))), size)


KINDS: dict[str, Callable[[Any, Size], Array]] = {
    "polygons": _polygons,
    "runs": _runs,
    "row_runs": _row_runs,
    "outlined_polygon": _outlined("polygon"),
    "outlined_rectangle": _outlined("rectangle"),
    "outlined_ellipse": _outlined("ellipse"),
    "ellipse": _ellipse,
    "patch": _patch,
}
