"""Where the image reaches behind a border, along the rows or the columns of a map."""

import collections
import dataclasses

import numpy as np

PERIOD = 64  # sizes that differ by so much do alike, up to six poolings
SIZES = np.arange(1, PERIOD + 1)


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a map in a network that pads the image, for every size of the image from 1 to `PERIOD`.

    Indices count pixels of the map with all of its border.

    Attributes:
        added: pixels of the border, both sides together.
        lost: for every pooling so far, the pixels that "valid" convolutions before it cut off, both sides together.
        start: where the part begins that depends on the image, or a little before.
        near, far: pixels of the outer edges that "same" convolutions make different.
        lengths: of the map. ends: of the part that depends on the image. fars: what of `far` is needed at each size.
    """

    added: int
    lost: tuple
    start: int
    near: int
    lengths: np.ndarray
    ends: np.ndarray
    fars: np.ndarray

    @classmethod
    def of(cls, pads):
        """That of the padded image."""
        before, after = pads
        return cls(before + after, (), before, 0, SIZES + before + after, SIZES + before, 0 * SIZES)

    @property
    def far(self):
        return int(self.fars.max())

    @property
    def kinds(self):
        """How many kinds of pixels there are outside the image's reach: see `border_layers.kinds`."""
        return self.near + 1 + 2 ** len(self.lost) * self.far

    def behind(self, reach, lost):
        """That behind a stage; None if the image reaches the edges, or what they make different.

        Args:
            reach: the half widths of its convolutions' kernels, together.
            lost: those of the "valid" ones.
        """
        start = self._start_behind(reach, lost)
        ends = self.ends + reach - lost + 1
        clear = start + lost - reach >= self.near and np.all(ends + lost + reach <= self.lengths - self.fars)
        if not clear or 2 ** (len(self.lost) + 1) > PERIOD:
            return None
        near, fars, lengths = self.near + reach - lost, self.fars + reach - lost, self.lengths - 2 * lost
        return Axis(
            added=self.added,
            lost=(*self.lost, 2 * lost),
            start=start // 2,
            near=(near + 1) // 2,
            lengths=(lengths + 1) // 2,
            ends=(start + (ends - start) // 2 * 2) // 2,
            fars=(lengths + 1) // 2 - (lengths - fars) // 2,
        )

    def _start_behind(self, reach, lost):
        """Before the pooling; even, so that windows begin there."""
        return (self.start - reach - lost) // 2 * 2

    def pads(self, reach, lost):
        """Pixels about the part that depends on the image, so that "valid" convolutions leave all that depends on it.

        On the far side one more: where a size is odd, the last window needs it, and elsewhere the pooling drops it.
        """
        return self.start - (self._start_behind(reach, lost) + lost - reach), 2 * reach + 1

    def samples(self, behind):
        """`{size: remainders}`: the smallest maps that show, behind a stage, all kinds of pixels of the axis `behind`.

        The remainders are those of the size of the padded image by `2 ** poolings`.
        """
        found, period = collections.defaultdict(list), 2 ** len(behind.lost)
        for size, length in zip(SIZES[:period], self.lengths, strict=False):
            smallest = 2 * (behind.near + 1 + behind.far) + behind.lost[-1]
            found[smallest + int(length - smallest) % 2].append(int(size + self.added) % period)
        return found
