"""Mean and deviation of the channels of a data set, in one pass over its images."""

from typing import NamedTuple

import numpy as np

from tfseg.types import Array


class ChannelStatistics(NamedTuple):
    """How many values of each channel were counted, their mean, and the sum of the squares of their distances from it.

    Attributes:
        counts: number of values.
        mean: mean of the values.
        squares: sum of the squared differences from the mean.

    Reference: Chan et al. 1983, https://doi.org/10.1080/00031305.1983.10483115: parts are merged without the large sums
        whose difference would lose all digits.
    """

    counts: Array
    mean: Array
    squares: Array

    @property
    def std(self) -> Array:
        """The deviation of each channel."""
        return np.sqrt(self.squares / np.maximum(self.counts, 1))

    def merged(self, other: "ChannelStatistics") -> "ChannelStatistics":
        """The statistics of both parts together.

        Args:
            other: statistics of the other part, with as many channels.
        """
        counts = self.counts + other.counts
        share = other.counts / np.maximum(counts, 1)
        distance = other.mean - self.mean
        squares = self.squares + other.squares + distance**2 * self.counts * share
        return ChannelStatistics(counts, self.mean + distance * share, squares)


def channel_statistics(image: Array, counted: Array) -> ChannelStatistics:
    """The statistics of one image.

    Args:
        image: `(height, width, channels)`; NaN stands for missing data.
        counted: which pixels count, booleans `(height, width)`.
    """
    values = image[counted].astype("float64")
    present = ~np.isnan(values)
    counts = present.sum(axis=0)
    mean = np.where(present, values, 0).sum(axis=0) / np.maximum(counts, 1)
    return ChannelStatistics(counts, mean, np.square(np.where(present, values - mean, 0)).sum(axis=0))
