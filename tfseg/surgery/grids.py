"""Where the pixels of a map lie, in the network as it was built and in its denser form."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

# Sizes known only when an image comes are followed for all of these at once: sizes of maps differ from size to size
# with the period of the strides, so what holds for one period holds for all.
IMAGES = np.arange(4096, 4096 + 1024)


class Window(NamedTuple):
    """What a convolution or pooling does to sizes, rows and columns.

    Attributes:
        extent: pixels from the first to the last that an output pixel sees, holes included.
        strides: of the layer.
        same: whether it pads; else it is "valid".
    """

    extent: tuple
    strides: tuple
    same: bool


class Grid(NamedTuple):
    """The pixels of a map.

    Pixel `rate * i` of the denser map is pixel `i` of the original one, and there are `ceil(size / rate)` of these: both
    hold at the input, and every layer keeps them.

    Attributes:
        stride: image pixels from one pixel of the original map to the next.
        rate: how many times denser the map is now.
        sizes: of the denser map, rows and columns; an array each, one entry an image size.
    """

    stride: Fraction
    rate: int
    sizes: tuple

    @classmethod
    def of_input(cls, shape):
        """Of an image: `shape` is `(batch, height, width, channels)`."""
        return cls(Fraction(1), 1, tuple(np.full_like(IMAGES, side) if side else IMAGES for side in shape[1:3]))

    @property
    def old_sizes(self):
        """Of the original map."""
        return tuple(-(-size // self.rate) for size in self.sizes)

    @property
    def is_one_pixel(self):
        """Whether the original map is a single pixel, for images of every size."""
        return all(np.all(size == 1) for size in self.old_sizes)

    def grown(self, pixels):
        """With so many more rows and columns of the original map."""
        return self._replace(sizes=tuple(size + self.rate * more for size, more in zip(self.sizes, pixels, strict=True)))

    def behind(self, window, kept):
        """Behind a layer with that window, which in the denser network has the stride `kept`."""
        lost = (0, 0) if window.same else tuple(1 - extent for extent in window.extent)
        sizes = tuple(-(-size // kept) for size in self.grown(lost).sizes)
        return Grid(self.stride * window.strides[0], self.rate * window.strides[0] // kept, sizes)
