"""Where every pixel of an FCN lies on the image: the sizes, strides and offsets from which its crops follow."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from tfseg import specs
from tfseg.nets.blocks import check_choice
from tfseg.types import Size


class MapGrid(NamedTuple):
    """The pixels of one map on the image.

    Attributes:
        size: number of rows and of columns.
        stride: distance between two pixels, in image pixels.
        start: place of the first pixel's middle, in image pixels.
    """

    size: Size
    stride: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    def conv(self, kernel: int, strides: int = 1, padding: int = 0) -> "MapGrid":
        """The grid after a convolution, or after a pooling by the ceil rule (no difference at stride 1).

        Args:
            kernel: rows, and columns, of the kernel.
            strides: input pixels per output pixel.
            padding: zero pixels on every side.
        """
        height, width = (-(-(side + 2 * padding - kernel) // strides) + 1 for side in self.size)
        start = self.start + self.stride * (Fraction(kernel - 1, 2) - padding)
        return MapGrid((height, width), self.stride * strides, start)

    def upscore(self, strides: int, padding: int = 0) -> "MapGrid":
        """The grid after a transposed convolution whose kernel is twice its stride.

        Args:
            strides: output pixels per input pixel.
            padding: pixels cut off on every side.
        """
        kernel, stride = 2 * strides, self.stride / strides
        height, width = (strides * (side - 1) + kernel - 2 * padding for side in self.size)
        return MapGrid((height, width), stride, self.start - stride * (Fraction(kernel - 1, 2) - padding))


class GeometryRow(NamedTuple):
    """One layer of an FCN and the map that it makes.

    Attributes:
        layer: name of the layer; for a crop, name of the layer whose map is cropped.
        operation: what the layer does, in words.
        grid: pixels of the map.
        crop: for a crop, the number of rows and columns that are left out before the map; else None.
    """

    layer: str
    operation: str
    grid: MapGrid
    crop: int | None = None


class GeometryTable(tuple[GeometryRow, ...]):
    """The maps from the image to the scores; prints as a table that derives each crop."""

    @property
    def crops(self) -> dict[str, int]:
        """The offset of each crop, by the name of the layer whose map is cropped."""
        return {row.layer: row.crop for row in self if row.crop is not None}

    def __str__(self) -> str:
        lines = [("layer", "does", "height x width", "stride", "first pixel at")]
        for layer, operation, grid, _ in self:
            size = " x ".join(map(str, grid.size))
            lines.append((layer, operation, size, _number(grid.stride), _number(grid.start)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def explain_geometry(network: str, height: int, width: int, *, padding: int | str = 100) -> GeometryTable:
    """The sizes of all maps of an FCN for one image size, and the derivation of every crop offset.

    Each map is a grid on the image: its pixels are `stride` image pixels apart, the middle of the first one is at
    `start`. A crop moves the finer grid until both grids begin at the same place. So its offset is
    (wanted start - own start) / own stride.

    Args:
        network: "fcn32s", "fcn16s", "fcn8s" or "fcn8s_atonce".
        height: height of the image in pixels.
        width: width of the image in pixels.
        padding: 100, the paper's number of zero pixels around the image, or "same" (see `FCN32s`).
    Returns: tuple of rows that prints as a table; `.crops` has the offsets by layer.
    Raises:
        ValueError: an unknown network or padding, or a size below one pixel.
    Reference: the offsets are those of https://github.com/shelhamer/fcn.berkeleyvision.org.

    Example:
        >>> geometry = tfseg.explain_geometry("fcn8s", 375, 500)
        >>> geometry.crops
        {'score_pool4': 5, 'score_pool3': 9, 'upscore8': 31}
        >>> print(geometry)
        layer            does                     height x width  stride  first pixel at
        image                                     375 x 500       1       0
        conv1_1          3x3, padding 100         573 x 698       1       -99
        ...
        upscore8         crop at 31 = (0 - -31) / 1  375 x 500    1       0
    """
    return GeometryTable(_rows(network, height, width, padding))


def _rows(network: str, height: int, width: int, padding: int | str) -> Iterator[GeometryRow]:
    check_choice("network", network, tuple(specs.FCNS))
    check_choice("padding", padding, (100, "same"))
    if min(height, width) < 1:
        raise ValueError(f"An image has at least one row and one column. Received: {height} x {width}")
    same = padding == "same"
    image = MapGrid((height, width))
    yield GeometryRow("image", "", image)
    first = 1 if same else int(padding)
    grid = image.conv(3, padding=first)
    yield GeometryRow("conv1_1", f"3x3, padding {first}", grid)
    poolings = {}
    for stage in range(1, 6):
        grid = poolings[f"pool{stage}"] = grid.conv(2, 2)
        yield GeometryRow(f"pool{stage}", "2x2, stride 2, ceil", grid)
    grid = grid.conv(7, padding=3 * same)
    yield GeometryRow("fc6", f"7x7, padding {3 * same}", grid)
    for name, strides, skip, _ in specs.FCNS[network]:
        grid = grid.upscore(strides, same * strides // 2)
        yield GeometryRow(name, f"{2 * strides}x{2 * strides}, up {strides}", grid)
        if skip is None:
            yield _crop(name, grid, image)
        elif same:  # a pooling of an odd size keeps one row more than half: enlarged, the map has one row too many
            yield _crop(name, grid, poolings[skip])
            grid = poolings[skip]
        else:  # the border makes the pooling larger: its scores are cropped to the enlarged map
            yield _crop(f"score_{skip}", poolings[skip], grid)


def _crop(layer: str, grid: MapGrid, reference: MapGrid) -> GeometryRow:
    offset = int((reference.start - grid.start) / grid.stride)
    derivation = f"({_number(reference.start)} - {_number(grid.start)}) / {_number(grid.stride)}"
    return GeometryRow(layer, f"crop at {offset} = {derivation}", reference, offset)


def _number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):g}"
