"""What papers print of a segmenter: one confusion matrix, and all scores read off it."""

import keras
import numpy as np
from keras import ops

from tfseg.losses import ignored_ids, is_ignored

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")


def scores(matrix):
    """The scores of a confusion matrix.

    A class that a score cannot be told of is left out of its mean: accuracy without a pixel of that truth, IoU without
    one of that truth or prediction. Scores of nothing at all are NaN.

    Args:
        matrix: `(num_classes, num_classes)`, pixels by true class (row) and predicted one (column).
    Returns: dictionary `pixel_accuracy`, `mean_accuracy`, `mean_iou`, `frequency_weighted_iou` (numbers in 0..1), and
        `accuracy`, `iou` (arrays, a number a class, NaN for a class left out).
    Reference: Long et al. 2015, https://arxiv.org/abs/1411.4038, section 5.
    """
    matrix = np.asarray(matrix, "float64")
    right, true, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    accuracy = _ratio(right, true)
    iou = _ratio(right, true + predicted - right)
    return {
        "pixel_accuracy": float(_ratio(right.sum(), matrix.sum())),
        "mean_accuracy": _mean(accuracy),
        "mean_iou": _mean(iou),
        "frequency_weighted_iou": float(_ratio((true * np.nan_to_num(iou)).sum(), matrix.sum())),
        "accuracy": accuracy,
        "iou": iou,
    }


@keras.saving.register_keras_serializable("tfseg")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts pixels by true and predicted class; its results are the scores, under their own names in the logs.

    `model.compile(metrics=[tfseg.metrics.ConfusionMatrix(21)])` logs `pixel_accuracy`, `mean_accuracy`, `mean_iou` and
    `frequency_weighted_iou`, over all pixels since the last reset, not as means over batches. Of a model with several
    outputs give it for the first: `metrics=[[ConfusionMatrix(21)], []]`.

    Args:
        num_classes: of the model.
        ignore_class: id, or several, of pixels in the truth that do not count.
        name, dtype: as of any metric.
    Raises:
        ValueError: by `matrix()`, if the truth holds ids that are neither a class nor ignored; until then the scores
            are NaN.
    """

    def __init__(self, num_classes, ignore_class=255, name="confusion_matrix", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        # JAX knows no 64-bit numbers unless asked to: there, 2^31 pixels of a pair are the limit.
        counts, self._real = ("int32", "float32") if keras.config.backend() == "jax" else ("int64", "float64")
        self._matrix = self.add_weight(
            name="matrix", shape=(num_classes, num_classes), initializer="zeros", dtype=counts
        )
        self._strange = self.add_weight(name="strange", shape=(), initializer="zeros", dtype=counts)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits or probabilities `(batch, height, width, num_classes)`.
            sample_weight: refused: pixels are counted.
        """
        if sample_weight is not None:
            raise ValueError("Pixels are counted, not weighted: mark those that do not count with ignore_class.")
        self.update_classes(y_true, ops.argmax(y_pred, axis=-1))

    def update_classes(self, y_true, classes):
        """Adds a batch of maps of classes, as `tfseg.predict` gives them, instead of logits."""
        true = ops.cast(ops.reshape(ops.convert_to_tensor(y_true), (-1,)), "int32")
        predicted = ops.cast(ops.reshape(ops.convert_to_tensor(classes), (-1,)), "int32")
        size = self.num_classes
        ignored = is_ignored(true, self.ignore_class)
        counted = (true >= 0) & (true < size) & ~ignored
        # Two bins more: what is ignored, and what should not be there.
        bins = ops.where(counted, true * size + predicted, ops.where(ignored, size * size, size * size + 1))
        counts = ops.cast(_histogram(bins, size * size + 2), self._matrix.dtype)
        self._matrix.assign_add(ops.reshape(counts[: size * size], (size, size)))
        self._strange.assign_add(counts[size * size + 1])

    def result(self):
        matrix = ops.cast(self._matrix, self._real)
        right, true, predicted = ops.diagonal(matrix), ops.sum(matrix, axis=1), ops.sum(matrix, axis=0)
        union = true + predicted - right
        iou, everything = right / ops.maximum(union, 1), ops.sum(matrix)
        pairs = (
            (ops.sum(right), everything),
            (ops.sum(right / ops.maximum(true, 1)), self._count(true)),
            (ops.sum(iou), self._count(union)),
            (ops.sum(true * iou), everything),
        )
        found = {name: above / below for name, (above, below) in zip(SCORES, pairs, strict=True)}
        return {name: ops.where(self._strange > 0, float("nan"), one) for name, one in found.items()}

    def _count(self, values):
        return ops.sum(ops.cast(values > 0, self._real))

    def matrix(self):
        """The counts so far, as an integer array `(num_classes, num_classes)`, true class by predicted one."""
        if strange := int(ops.convert_to_numpy(self._strange)):
            ignored = ", ".join(map(str, ignored_ids(self.ignore_class))) or "none"
            raise ValueError(
                f"The truth holds ids that are neither a class (0 to {self.num_classes - 1}) nor ignored ({ignored}). "
                f"Received: {strange} such pixels. Name further ids to ignore, or prepare the masks otherwise."
            )
        return np.array(ops.convert_to_numpy(self._matrix))

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes, "ignore_class": self.ignore_class}


def _histogram(bins, length):
    """How often each number below `length` occurs."""
    if keras.config.backend() == "jax":  # which cannot compile bincount
        return ops.segment_sum(ops.ones_like(bins), bins, num_segments=length)
    return ops.bincount(bins, minlength=length)  # fifteen times as fast under TensorFlow


def _ratio(above, below):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, np.divide(above, below), np.nan)


def _mean(values):
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
