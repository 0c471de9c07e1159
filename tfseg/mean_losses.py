"""The loss of a whole data set, from what a model says of its photographs one after the other."""

import numpy as np

from tfseg.losses import SegmentationLoss, parts_of

__all__ = ["MeanLoss"]


class MeanLoss:
    """A loss over many photographs: the sum of all pixels, divided by the divisor of all pixels.

    So cross-entropy and focal loss are means over all pixels that count. Dice, Lovasz and the hardest examples compare
    pixels with each other. Each part of a photograph that the model sees at once is a batch for them. With the
    reduction "sum", the result is the mean sum of a photograph.

    Args:
        loss: a loss of `tfseg.losses`, or a sum of them.

    Example:
        >>> from tfseg.mean_losses import MeanLoss
        >>> measured = MeanLoss(tfseg.losses.CrossEntropy())
        >>> measured.update(np.array([[0, 1, 255]]), np.zeros((1, 3, 2), "float32"))
        >>> measured.end_photograph()
        >>> round(measured.result(), 3)  # log(2)
        0.693
    """

    def __init__(self, loss: SegmentationLoss) -> None:
        self._parts = parts_of(loss)
        self._totals = np.zeros((len(self._parts), 2))
        self._photographs = 0

    def update(self, mask: np.ndarray, logits: np.ndarray) -> None:
        """Adds a part of a photograph.

        Args:
            mask: class ids `(height, width)`.
            logits: scores `(height, width, num_classes)`.
        """
        for total, (part, _) in zip(self._totals, self._parts, strict=True):
            total += [float(value) for value in part.totals(mask[None], logits[None])]

    def end_photograph(self) -> None:
        """Counts a photograph whose parts have all been added."""
        self._photographs += 1

    def result(self) -> float:
        """The loss of all photographs so far; NaN if no pixel counts."""
        value = 0.0
        for (total, divisor), (part, factor) in zip(self._totals, self._parts, strict=True):
            count = self._photographs if part.pixel_reduction == "sum" else divisor
            value += factor * total / count if count else float("nan")
        return float(value)
