"""Where the pixels of a map lie, in the network as it was built and in its denser form."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from tfseg.layers import dense_padding

# Sizes known only when an image comes are followed for all of these at once: sizes of maps differ from size to size
# with the period of the strides, so what holds for one period holds for all.
IMAGES = np.arange(4096, 4096 + 1024)


class Window(NamedTuple):
    """What a convolution or pooling looks at, rows and columns.

    Attributes:
        extent: pixels from the first to the last that an output pixel sees, holes included.
        strides: of the layer.
        padding: "same" or "valid".
    """

    extent: tuple
    strides: tuple
    padding: str


class Grid(NamedTuple):
    """The pixels of a map.

    Pixel `rate * i` of the denser map is pixel `i` of the original one, and of these there are `ceil(size / rate)`.
    Both hold at the input, and every layer keeps them.

    Attributes:
        stride: image pixels from one pixel of the original map to the next.
        rate: how many times denser the map is now.
        sizes: of the denser map, rows and columns; an array each, one entry an image size.
        border: rows and columns of the original map that the last layer padded.
    """

    stride: Fraction
    rate: int
    sizes: tuple
    border: tuple = (0, 0)

    @classmethod
    def of_input(cls, shape):
        """Of an image: `shape` is `(batch, height, width, channels)`."""
        return cls(Fraction(1), 1, tuple(np.full_like(IMAGES, side) if side else IMAGES for side in shape[1:3]))

    @classmethod
    def joined(cls, grids):
        """Of what several maps make together, of which smaller ones may spread over larger ones."""
        sizes = tuple(np.maximum.reduce(sizes) for sizes in zip(*(grid.sizes for grid in grids), strict=True))
        first = max(grids, key=lambda grid: grid.stride)
        return first._replace(sizes=sizes)

    @property
    def old_sizes(self):
        """Of the original map."""
        return tuple(-(-size // self.rate) for size in self.sizes)

    @property
    def is_one_pixel(self):
        """Whether the original map is a single pixel, for images of every size."""
        return all(np.all(size == 1) for size in self.old_sizes)

    def may_equal(self, other):
        """Whether the original maps are equally large, for images of some size."""
        rows, columns = map(np.equal, self.old_sizes, other.old_sizes)
        return bool(np.any(rows & columns))

    def __str__(self):
        return f"one of stride {self.stride}, {self.rate} times denser"

    def bordered(self, pixels):
        """With so many more rows and columns of the original map: about it, or fewer of them."""
        sizes = tuple(size + self.rate * more for size, more in zip(self.sizes, pixels, strict=True))
        return self._replace(sizes=sizes, border=tuple(max(more, 0) for more in pixels))

    def is_covered_by(self, window):
        """Whether one place of the window is all that the original map has, for images of every size."""
        places = [
            (size - (extent - 1) * (window.padding == "valid") + stride - 1) // stride
            for size, extent, stride in zip(self.old_sizes, window.extent, window.strides, strict=True)
        ]
        return bool(np.all(np.equal(places, 1)))

    def padding(self, window):
        """Pixels that a layer with that window needs before and after each axis, if it strides no more."""
        return tuple(
            dense_padding(size, extent, stride, self.rate, window.padding, border)
            for size, extent, stride, border in zip(self.sizes, window.extent, window.strides, self.border, strict=True)
        )

    def behind(self, window, kept):
        """Behind a layer with that window, which in the denser network has the stride `kept`."""
        sizes = tuple(
            -(-(size + sum(pads) - self.rate * (extent - 1)) // kept)
            for size, pads, extent in zip(self.sizes, self.padding(window), window.extent, strict=True)
        )
        stride = window.strides[0]
        return Grid(self.stride * stride, self.rate * stride // kept, sizes)
