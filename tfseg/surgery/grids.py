"""Where the pixels of a map lie, in the network as it was built and in its denser form."""

import dataclasses
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import keras
import numpy as np

from tfseg.layers import dense_padding
from tfseg.types import Size

Sizes = tuple[np.ndarray, ...]
"""Rows and columns of a map: an array for each, one entry for each image size."""

# If a size is known only when an image comes, it is computed for all of these at once. The sizes of maps repeat
# with the period of the strides, so what holds for one period holds for all.
IMAGE_SIZES = np.arange(4096, 4096 + 1024)


class KernelWindow(NamedTuple):
    """The pixels that a convolution or pooling reads, rows and columns.

    Attributes:
        extent: pixels from the first to the last that an output pixel reads, holes included.
        strides: strides of the layer.
        padding: "same" or "valid".
    """

    extent: Size
    strides: Size
    padding: str


def window_of(operation: keras.Operation) -> KernelWindow:
    """The window of a convolution or pooling, layer or bare operation (`keras.ops.max_pool`)."""
    if hasattr(operation, "kernel_size"):
        rows, columns = (
            dilation * (size - 1) + 1
            for dilation, size in zip(_pair(operation.dilation_rate), _pair(operation.kernel_size), strict=True)
        )
        extent = rows, columns
    else:
        extent = _pair(operation.pool_size)
    return KernelWindow(extent, _pair(operation.strides or operation.pool_size), operation.padding)


def _pair(value: int | Sequence[int]) -> Size:
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns


@dataclasses.dataclass(frozen=True, eq=False)
class PixelGrid:
    """The pixels of a map.

    Pixel `rate * i` of the denser map is pixel `i` of the original map, which has `ceil(size / rate)` pixels.
    Both hold at the input, and every layer keeps them.

    Attributes:
        stride: image pixels from one pixel of the original map to the next.
        rate: how many times denser the map is now.
        sizes: rows and columns of the denser map; an array for each, one entry for each image size.
        border: rows and columns of the original map that the last layer padded.
    """

    stride: Fraction
    rate: int
    sizes: Sizes
    border: Size = (0, 0)

    @classmethod
    def of_input(cls, shape: Sequence[int | None]) -> "PixelGrid":
        """The grid of an image; `shape` is `(batch, height, width, channels)`."""
        sizes = tuple(np.full_like(IMAGE_SIZES, side) if side else IMAGE_SIZES for side in shape[1:3])
        return cls(Fraction(1), 1, sizes)

    @classmethod
    def joined(cls, grids: Sequence["PixelGrid"]) -> "PixelGrid":
        """The grid of the map that several maps make together; smaller maps may spread over larger ones."""
        sizes = tuple(np.maximum.reduce(sizes) for sizes in zip(*(grid.sizes for grid in grids), strict=True))
        first = max(grids, key=lambda grid: grid.stride)
        return dataclasses.replace(first, sizes=sizes)

    @property
    def old_sizes(self) -> Sizes:
        """Rows and columns of the original map."""
        return tuple(-(-size // self.rate) for size in self.sizes)

    @property
    def is_one_pixel(self) -> bool:
        """Whether the original map is a single pixel, for images of every size."""
        return all(np.all(size == 1) for size in self.old_sizes)

    def may_equal(self, other: "PixelGrid") -> bool:
        """Whether the original maps are equally large, for images of some size."""
        rows, columns = map(np.equal, self.old_sizes, other.old_sizes)
        return bool(np.any(rows & columns))

    def __str__(self) -> str:
        return f"one of stride {self.stride}, {self.rate} times denser"

    def bordered(self, more: Iterable[int]) -> "PixelGrid":
        """The grid after a padding or cropping.

        Args:
            more: rows and columns that the original map gains, both sides together; negative where it loses them.
        """
        rows, columns = more
        sizes = tuple(size + self.rate * pixels for size, pixels in zip(self.sizes, (rows, columns), strict=True))
        return dataclasses.replace(self, sizes=sizes, border=(max(rows, 0), max(columns, 0)))

    def is_covered_by(self, window: KernelWindow) -> bool:
        """Whether the window fits into the original map at one place only, for images of every size."""
        places = [
            (size - (extent - 1) * (window.padding == "valid") + stride - 1) // stride
            for size, extent, stride in zip(self.old_sizes, window.extent, window.strides, strict=True)
        ]
        return bool(np.all(np.equal(places, 1)))

    def padding(self, window: KernelWindow) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Pixels that a layer with that window needs before and after each axis, once its stride is dilation."""
        return tuple(
            dense_padding(size, extent, stride, self.rate, window.padding, border)
            for size, extent, stride, border in zip(self.sizes, window.extent, window.strides, self.border, strict=True)
        )

    def after(self, window: KernelWindow, kept: int) -> "PixelGrid":
        """The grid after a layer with that window, whose stride in the denser network is `kept`."""
        sizes = tuple(
            -(-(size + sum(pads) - self.rate * (extent - 1)) // kept)
            for size, pads, extent in zip(self.sizes, self.padding(window), window.extent, strict=True)
        )
        stride = window.strides[0]
        return PixelGrid(self.stride * stride, self.rate * stride // kept, sizes)
