"""Class weights that balance the classes of a data set."""

from collections.abc import Sequence

import numpy as np

from tfseg.types import Array


def median_frequency_weights(
    counts: Sequence[float] | Array, images_with: Sequence[float] | Array | None = None
) -> Array:
    """Class weights that balance the classes: the median frequency divided by each class's frequency.

    Args:
        counts: pixels of each class in the training set.
        images_with: for each class, all pixels of those images that have the class, as in the paper; None: the same
            number for all classes.
    Returns: array `(num_classes,)`; 0 for a class without pixels.
    Reference: Eigen and Fergus 2015, https://arxiv.org/abs/1411.4734, section 6.3.2.

    Example:
        >>> tfseg.losses.median_frequency_weights([10, 40, 50, 0]).tolist()
        [4.0, 1.0, 0.8, 0.0]
    """
    counts = np.asarray(counts, "float64")
    below = np.full_like(counts, counts.sum()) if images_with is None else np.asarray(images_with, "float64")
    frequency = np.divide(counts, below, out=np.zeros_like(counts), where=below > 0)
    present = frequency > 0
    weights = np.zeros_like(frequency)
    weights[present] = np.median(frequency[present]) / frequency[present]
    return weights


def enet_weights(counts: Sequence[float] | Array, c: float = 1.02) -> Array:
    """Bounded class weights that balance the classes: `1 / log(c + p)`, p the share of a class.

    Args:
        counts: pixels of each class in the training set.
        c: constant that bounds the weights, above 1.
    Returns: array `(num_classes,)`.
    Reference: Paszke et al. 2016, https://arxiv.org/abs/1606.02147, section 5.1.

    Example:
        >>> tfseg.losses.enet_weights([1, 3]).round(2).tolist()
        [4.18, 1.75]
    """
    share = np.asarray(counts, "float64") / np.sum(counts)
    return 1 / np.log(c + share)
