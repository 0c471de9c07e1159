"""Where the image reaches inside a padded map, along its rows or its columns."""

import collections
import dataclasses

import numpy as np

from tfseg.types import Array, Size

PERIOD = 64  # sizes that differ by this number behave in the same way, up to six poolings
SIZES = np.arange(1, PERIOD + 1)


@dataclasses.dataclass(frozen=True)
class BorderAxis:
    """One axis of a map in a network that pads the image, for every size of the image from 1 to `PERIOD`.

    Indices count pixels of the map with all of its border.

    Attributes:
        added: pixels of the border, both sides together.
        lost: pixels that "valid" convolutions cut off before each pooling, both sides together.
        start: index at which the part that depends on the image begins, or a little before.
        near: pixels at the near edge that "same" convolutions make different.
        lengths: lengths of the map, one for each image size.
        ends: ends of the part that depends on the image, one for each image size.
        fars: pixels at the far edge that are different, one number for each image size.
    """

    added: int
    lost: tuple[int, ...]
    start: int
    near: int
    lengths: Array
    ends: Array
    fars: Array

    @classmethod
    def of_padding(cls, pads: Size) -> "BorderAxis":
        """The axis of the padded image; `pads` is `(before, after)`."""
        before, after = pads
        return cls(before + after, (), before, 0, SIZES + before + after, SIZES + before, 0 * SIZES)

    @property
    def far(self) -> int:
        """Pixels at the far edge that are different, for some image size."""
        return int(self.fars.max())

    @property
    def kind_count(self) -> int:
        """How many kinds of pixels there are outside the image's reach: see `border_layers.pixel_kinds`."""
        return self.near + 1 + 2 ** len(self.lost) * self.far

    def after_stage(self, reach: int, lost: int) -> "BorderAxis | None":
        """The axis after a stage; None if the image reaches the edges, or the pixels that they make different.

        Args:
            reach: sum of the half widths of the kernels of the stage's convolutions.
            lost: sum of the half widths of those with padding "valid".
        """
        start = self._start_before_pooling(reach, lost)
        ends = self.ends + reach - lost + 1
        is_clear = start + lost - reach >= self.near and np.all(ends + lost + reach <= self.lengths - self.fars)
        if not is_clear or 2 ** (len(self.lost) + 1) > PERIOD:
            return None
        near, fars, lengths = self.near + reach - lost, self.fars + reach - lost, self.lengths - 2 * lost
        return BorderAxis(
            added=self.added,
            lost=(*self.lost, 2 * lost),
            start=start // 2,
            near=(near + 1) // 2,
            lengths=(lengths + 1) // 2,
            ends=(start + (ends - start) // 2 * 2) // 2,
            fars=(lengths + 1) // 2 - (lengths - fars) // 2,
        )

    def _start_before_pooling(self, reach: int, lost: int) -> int:
        """The start in front of the stage's pooling; even, so that a window of the pooling begins there."""
        return (self.start - reach - lost) // 2 * 2

    def pads(self, reach: int, lost: int) -> Size:
        """Pixels to put before and after the part, so that "valid" convolutions keep all that depends on the image.

        The far side gets one more. The last window needs it if a size is odd; otherwise the pooling drops it.

        Args:
            reach: see `after_stage`.
            lost: see `after_stage`.
        """
        return self.start - (self._start_before_pooling(reach, lost) + lost - reach), 2 * reach + 1

    def samples(self, after: "BorderAxis") -> dict[int, list[int]]:
        """`{size: remainders}`: the smallest maps that show all kinds of pixels of the axis `after` a stage.

        A remainder is that of the padded image's size by `2 ** poolings`.

        Args:
            after: this axis after the stage.
        """
        remainders, period = collections.defaultdict(list), 2 ** len(after.lost)
        for size, length in zip(SIZES[:period], self.lengths, strict=False):
            smallest = 2 * (after.near + 1 + after.far) + after.lost[-1]
            remainders[smallest + int(length - smallest) % 2].append(int(size + self.added) % period)
        return remainders
