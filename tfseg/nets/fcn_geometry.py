"""Where every pixel of an FCN lies on the image: the ladder of sizes, strides and offsets that yields its crops."""

from fractions import Fraction
from typing import NamedTuple

from tfseg import specs
from tfseg.nets.blocks import check


class Grid(NamedTuple):
    """The pixels of one map: how many, how far apart, and where the first one's middle lies, in image pixels."""

    size: tuple
    stride: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    def conv(self, kernel, strides=1, padding=0):
        """The grid behind a convolution, or behind a pooling by the ceil rule (no difference at stride 1)."""
        size = tuple(-(-(side + 2 * padding - kernel) // strides) + 1 for side in self.size)
        return Grid(size, self.stride * strides, self.start + self.stride * (Fraction(kernel - 1, 2) - padding))

    def upscore(self, strides, padding=0):
        """The grid behind a transposed convolution with a kernel of twice its stride."""
        kernel, stride = 2 * strides, self.stride / strides
        size = tuple(strides * (side - 1) + kernel - 2 * padding for side in self.size)
        return Grid(size, stride, self.start - stride * (Fraction(kernel - 1, 2) - padding))


class Step(NamedTuple):
    layer: str
    what: str
    grid: Grid
    crop: int | None = None


class Ladder(tuple):
    """The steps from the image to the scores; prints as a table with the derivation of each crop."""

    @property
    def crops(self):
        """The offset of each crop, by the name of the map that is cropped."""
        return {step.layer: step.crop for step in self if step.crop is not None}

    def __str__(self):
        rows = [("layer", "does", "height x width", "stride", "first pixel at")]
        for layer, what, grid, _ in self:
            size = " x ".join(map(str, grid.size))
            rows.append((layer, what, size, _number(grid.stride), _number(grid.start)))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(lines)


def explain_geometry(network, height, width, *, padding=100):
    """The size ladder of an FCN at one image size, with every crop offset derived: why 19, why 5 and 27, why 31.

    Each map is a grid on the image: `stride` image pixels apart, the middle of its first pixel at `start`. A crop moves
    the finer grid until both begin at the same place, so its offset is (wanted start - own start) / own stride.

    Args:
        network: "fcn32s", "fcn16s", "fcn8s" or "fcn8s_atonce".
        height, width: of the image, in pixels.
        padding: around the image, 100 as in the paper, or "same" (see `FCN32s`).
    Returns: a tuple of steps that prints as a table; `.crops` has the offsets by layer.
    Raises:
        ValueError: an unknown network or padding, or a size below one pixel.
    Reference: the offsets are those of https://github.com/shelhamer/fcn.berkeleyvision.org.
    """
    check("network", network, tuple(specs.FCNS))
    check("padding", padding, (100, "same"))
    if min(height, width) < 1:
        raise ValueError(f"An image has at least one row and one column. Received: {height} x {width}")
    same = padding == "same"
    steps = [Step("image", "", image := Grid((height, width)))]

    def step(layer, what, grid, crop=None):
        steps.append(Step(layer, what, grid, crop))
        return grid

    def crop(layer, grid, reference):
        offset = int((reference.start - grid.start) / grid.stride)
        derivation = f"({_number(reference.start)} - {_number(grid.start)}) / {_number(grid.stride)}"
        return step(layer, f"crop at {offset} = {derivation}", reference, offset)

    first = 1 if same else padding
    grid = step("conv1_1", f"3x3, padding {first}", image.conv(3, padding=first))
    poolings = {}
    for stage in range(1, 6):
        grid = poolings[f"pool{stage}"] = step(f"pool{stage}", "2x2, stride 2, ceil", grid.conv(2, 2))
    grid = step("fc6", f"7x7, padding {3 * same}", grid.conv(7, padding=3 * same))
    for name, strides, skip, _ in specs.FCNS[network]:
        grid = step(name, f"{2 * strides}x{2 * strides}, up {strides}", grid.upscore(strides, same * strides // 2))
        if skip is None:
            grid = crop(name, grid, image)
        elif same:  # over an odd size a pooling makes one row more than half: enlarged, one too many
            grid = crop(name, grid, poolings[skip])
        else:  # the border makes the pooling the larger one: its scores are cropped to the enlarged map
            crop(f"score_{skip}", poolings[skip], grid)
    return Ladder(steps)


def _number(value):
    return str(value) if value.denominator == 1 else f"{float(value):g}"
