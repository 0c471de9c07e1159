"""The scores that papers print for a segmenter, all computed from one confusion matrix."""

from typing import Any, Literal, TypedDict

import keras
import numpy as np
from keras import ops

from tfseg.losses import ignored_ids, is_ignored
from tfseg.types import Array, ClassIds, Tensor

ScoreName = Literal["pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou"]
SCORES: tuple[ScoreName, ...] = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")


class Scores(TypedDict):
    """The scores of a confusion matrix, 0..1; NaN where no pixel counts.

    `accuracy` and `iou` are arrays `(num_classes,)`.

    Example:
        >>> scores: tfseg.metrics.Scores = tfseg.metrics.scores(np.array([[3, 1], [0, 4]]))
        >>> scores["pixel_accuracy"], scores["accuracy"].tolist()
        (0.875, [0.75, 1.0])
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    frequency_weighted_iou: float
    accuracy: Array
    iou: Array


def scores(matrix: Array) -> Scores:
    """The scores of a confusion matrix.

    A mean leaves out the classes for which its score is not defined. Accuracy needs a pixel of that class in the truth,
    IoU one in the truth or in the prediction. Without any pixels, all scores are NaN.

    Args:
        matrix: `(num_classes, num_classes)`, number of pixels by true class (row) and predicted class (column).
    Returns: dictionary `pixel_accuracy`, `mean_accuracy`, `mean_iou`, `frequency_weighted_iou` (numbers in 0..1), and
        `accuracy`, `iou` (arrays `(num_classes,)`, NaN for a class that its mean leaves out).
    Reference: Long et al. 2015, https://arxiv.org/abs/1411.4038, section 5.

    Example:
        >>> scores = tfseg.metrics.scores(np.array([[6, 2], [0, 2]]))
        >>> scores["pixel_accuracy"], scores["iou"].tolist()
        (0.8, [0.75, 0.5])
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


def confusion_matrix(true: Array, predicted: Array, num_classes: int, ignore_class: ClassIds = 255) -> Array:
    """Counts the pixels of NumPy arrays by true and predicted class, as `ConfusionMatrix` does, without variables.

    Args:
        true: class ids of any shape.
        predicted: predicted class ids of the same shape.
        num_classes: number of classes.
        ignore_class: id, or several ids, of the pixels in the truth that do not count; None: all pixels count.
    Returns: integers `(num_classes, num_classes)`, by true class (row) and predicted class (column).
    Raises:
        ValueError: the truth holds ids that are neither a class nor ignored, or a prediction is no class.

    Example:
        >>> tfseg.metrics.confusion_matrix(np.array([0, 1, 1, 255]), np.array([0, 1, 0, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    counted = ~np.isin(true, ignored_ids(ignore_class))
    true, predicted = true[counted].astype("int64"), predicted[counted].astype("int64")
    _refuse_unexpected(int(((true < 0) | (true >= num_classes)).sum()), num_classes, ignore_class)
    if predicted.size and not 0 <= predicted.min() <= predicted.max() < num_classes:
        raise ValueError(
            f"The predicted classes are numbers from 0 to {num_classes - 1}. Received: {predicted.min()} to "
            f"{predicted.max()}"
        )
    return np.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def _refuse_unexpected(count: int, num_classes: int, ignore_class: ClassIds) -> None:
    if count:
        ignored = ", ".join(map(str, ignored_ids(ignore_class))) or "none"
        raise ValueError(
            f"The truth holds ids that are neither a class (0 to {num_classes - 1}) nor ignored ({ignored}). "
            f"Received: {count} such pixels. Name further ids to ignore, or prepare the masks otherwise."
        )


@keras.saving.register_keras_serializable("tfseg")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts pixels by true and predicted class; its results are the scores, under their own names in the logs.

    `model.compile(metrics=[tfseg.metrics.ConfusionMatrix(21)])` logs `pixel_accuracy`, `mean_accuracy`, `mean_iou` and
    `frequency_weighted_iou`. They cover all pixels since the last reset; they are no means over batches. For a model
    with several outputs, attach the metric to the first output: `metrics=[[ConfusionMatrix(21)], []]`.

    If the truth holds ids that are neither a class nor ignored, the scores are NaN and `matrix()` raises an error.

    Args:
        num_classes: number of classes of the model.
        ignore_class: id, or several ids, of the pixels in the truth that do not count; None: all pixels count.
        name: name of the metric.
        dtype: type of the results, as in every Keras metric.

    Example:
        >>> metric = tfseg.metrics.ConfusionMatrix(2)
        >>> metric.update_classes(np.array([[[0, 1], [1, 255]]]), np.array([[[0, 1], [0, 0]]]))
        >>> metric.matrix().tolist()
        [[1, 0], [1, 1]]
        >>> float(metric.result()["mean_iou"])
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        ignore_class: ClassIds = 255,
        name: str = "confusion_matrix",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        # JAX has no 64-bit numbers unless asked for them: there, a cell of the matrix holds at most 2^31 pixels.
        counts, self._real = ("int32", "float32") if keras.config.backend() == "jax" else ("int64", "float64")
        self._matrix = self.add_weight(
            name="matrix", shape=(num_classes, num_classes), initializer="zeros", dtype=counts
        )
        self._unexpected = self.add_weight(name="strange", shape=(), initializer="zeros", dtype=counts)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: None = None) -> None:
        """Adds a batch.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits or probabilities `(batch, height, width, num_classes)`.
            sample_weight: None; weights are refused, because pixels are counted.
        Raises:
            ValueError: sample weights.
        """
        if sample_weight is not None:
            raise ValueError("Pixels are counted, not weighted: mark those that do not count with ignore_class.")
        self.update_classes(y_true, ops.argmax(y_pred, axis=-1))

    def update_classes(self, y_true: Tensor, classes: Tensor) -> None:
        """Adds a batch of predicted classes, as `tfseg.predict` returns them, instead of logits.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            classes: predicted class ids `(batch, height, width)`.
        """
        true = ops.cast(ops.reshape(ops.convert_to_tensor(y_true), (-1,)), "int32")
        predicted = ops.cast(ops.reshape(ops.convert_to_tensor(classes), (-1,)), "int32")
        size = self.num_classes
        ignored = is_ignored(true, self.ignore_class)
        counted = (true >= 0) & (true < size) & ~ignored
        # Two more bins: ignored ids and unexpected ids.
        bins = ops.where(counted, true * size + predicted, ops.where(ignored, size * size, size * size + 1))
        counts = ops.cast(_histogram(bins, size * size + 2), self._matrix.dtype)
        _add(self._matrix, ops.reshape(counts[: size * size], (size, size)))
        _add(self._unexpected, counts[size * size + 1])

    def result(self) -> dict[str, Tensor]:
        """The four scores of `SCORES` over all pixels since the last reset, scalars."""
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
        values = {name: above / below for name, (above, below) in zip(SCORES, pairs, strict=True)}
        return {name: ops.where(self._unexpected > 0, float("nan"), value) for name, value in values.items()}

    def _count(self, values: Tensor) -> Tensor:
        return ops.sum(ops.cast(values > 0, self._real))

    def matrix(self) -> Array:
        """The counts so far: integers `(num_classes, num_classes)`, by true class (row) and predicted class (column).

        Raises:
            ValueError: the truth held ids that are neither a class nor ignored.
        """
        _refuse_unexpected(int(ops.convert_to_numpy(self._unexpected)), self.num_classes, self.ignore_class)
        return np.array(ops.convert_to_numpy(self._matrix))

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"num_classes": self.num_classes, "ignore_class": self.ignore_class}


def _add(variable: keras.Variable, counts: Tensor) -> None:
    """Adds to a sum over devices, within a step of each or, for one of them, outside.

    Outside, TensorFlow would give each device its share of the counts, rounded down to a whole number.
    """
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        parts = getattr(variable.value, "values", ())
        if parts and tf.distribute.in_cross_replica_context():
            parts[0].assign_add(counts)
            return
    variable.assign_add(counts)


def _histogram(bins: Tensor, length: int) -> Tensor:
    """How often each number below `length` occurs."""
    if keras.config.backend() == "jax":  # JAX cannot compile bincount
        return ops.segment_sum(ops.ones_like(bins), bins, num_segments=length)
    return ops.bincount(bins, minlength=length)  # fifteen times faster under TensorFlow


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, np.divide(above, below), np.nan)


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
