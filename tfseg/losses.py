"""Losses of segmentation for `model.compile`: pixels that do not count are left out of sums and of divisors alike.

Each is a sum over pixels and a divisor. `totals` gives the two apart, so that a training step on several devices can
divide by what all of them together hold.
"""

import functools
import operator

import keras
import numpy as np
from keras import ops


class _PixelLoss(keras.losses.Loss):
    """A mean over the pixels that count: `_totals(logits, classes, weights)` of a subclass gives sum and divisor.

    Args:
        ignore_class: id, or several, of pixels in the truth that do not count; None: all count.
        class_weights: a number a class, or None; the divisor is then the sum of the weights, as PyTorch's.
        reduction: "mean" over the pixels that count, or "sum" over them, the unnormalised loss of the first FCN.
        name: of the loss.
    """

    def __init__(self, ignore_class=255, class_weights=None, reduction="mean", name=None):
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction is "mean" or "sum". Received: {reduction!r}')
        super().__init__(name=name or _snake(type(self).__name__), reduction="sum")
        self.ignore_class = ignore_class
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self.pixel_reduction = reduction

    def call(self, y_true, y_pred):
        total, divisor = self.totals(y_true, y_pred)
        return total / ops.maximum(divisor, 1e-12)  # a batch without a pixel that counts has no loss, and no gradient

    def totals(self, y_true, y_pred):
        """The loss as a sum and its divisor, scalars of float32.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits `(batch, height, width, num_classes)`.
        """
        logits = ops.cast(y_pred, "float32")
        classes = ops.reshape(ops.cast(y_true, "int32"), ops.shape(logits)[:-1])
        weights = ops.cast(~is_ignored(classes, self.ignore_class), "float32")
        classes = ops.where(weights > 0, classes, 0)
        if self.class_weights is not None:
            if len(self.class_weights) != logits.shape[-1]:
                raise ValueError(
                    f"class_weights needs a number for each of the {logits.shape[-1]} classes. Received: "
                    f"{len(self.class_weights)}"
                )
            weights *= ops.take(ops.convert_to_tensor(self.class_weights, "float32"), classes)
        total, divisor = self._totals(logits, classes, weights)
        return total, divisor if self.pixel_reduction == "mean" else ops.ones_like(divisor)

    def get_config(self):
        return {
            "name": self.name,
            "ignore_class": self.ignore_class,
            "class_weights": self.class_weights,
            "reduction": self.pixel_reduction,
        }


@keras.saving.register_keras_serializable("tfseg")
class CrossEntropy(_PixelLoss):
    """Cross-entropy of logits, a mean over the pixels that count; equal to PyTorch's with `ignore_index`.

    Args: as of every loss here: `ignore_class=255`, `class_weights=None`, `reduction="mean"`, `name=None`.
    """

    def _totals(self, logits, classes, weights):
        return ops.sum(weights * _cross_entropy(logits, classes)), ops.sum(weights)


@keras.saving.register_keras_serializable("tfseg")
class OnlineHardExamples(_PixelLoss):
    """Cross-entropy of the hardest pixels of a batch alone (OHEM, top-k).

    Args:
        fraction: of the pixels that count, those of the largest loss that are kept: at least one.
        and as of every loss here.
    Reference: Wu et al. 2016, https://arxiv.org/abs/1605.06885, section 4.2.
    """

    def __init__(self, fraction=0.25, **kwargs):
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction is above 0 and at most 1. Received: {fraction!r}")
        super().__init__(**kwargs)
        self.fraction = fraction

    def _totals(self, logits, classes, weights):
        losses = ops.reshape(weights * _cross_entropy(logits, classes), (-1,))
        weights = ops.reshape(weights, (-1,))
        # Pixels that do not count come last, behind losses of zero.
        order = ops.argsort(ops.where(weights > 0, -losses, float("inf")))
        kept = ops.cast(ops.ceil(self.fraction * ops.sum(ops.cast(weights > 0, "float32"))), "int32")
        chosen = ops.cast(ops.arange(ops.shape(losses)[0]) < kept, "float32")
        return ops.sum(chosen * ops.take(losses, order)), ops.sum(chosen * ops.take(weights, order))

    def get_config(self):
        return super().get_config() | {"fraction": self.fraction}


@keras.saving.register_keras_serializable("tfseg")
class Focal(_PixelLoss):
    """Cross-entropy that weighs each pixel by how wrong it is: `(1 - p)^gamma`, p of the true class.

    Args:
        gamma: 0 is the cross-entropy.
        and as of every loss here.
    Reference: Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 3.2.
    """

    def __init__(self, gamma=2.0, **kwargs):
        super().__init__(**kwargs)
        self.gamma = gamma

    def _totals(self, logits, classes, weights):
        losses = _cross_entropy(logits, classes)
        wrong = ops.maximum(-ops.expm1(-losses), 1e-12)  # at 0, powers below 1 have no gradient
        return ops.sum(weights * wrong**self.gamma * losses), ops.sum(weights)

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma}


@keras.saving.register_keras_serializable("tfseg")
class Dice(_PixelLoss):
    """One minus the soft overlap `2 |A B| / (|A| + |B|)`, a mean over the classes that the batch has.

    Args:
        smooth: added above and below, in pixels.
        and as of every loss here; `class_weights` weigh the mean over classes.
    Reference: Milletari et al. 2016, https://arxiv.org/abs/1606.04797, section 3.
    """

    def __init__(self, smooth=1.0, **kwargs):
        super().__init__(**kwargs)
        self.smooth = smooth

    def _totals(self, logits, classes, weights):
        counted = ops.cast(weights > 0, "float32")[..., None]
        true = ops.one_hot(classes, logits.shape[-1], dtype="float32") * counted
        probabilities = ops.softmax(logits) * counted
        axes = tuple(range(len(logits.shape) - 1))
        overlap = ops.sum(true * probabilities, axis=axes)
        sizes = ops.sum(true, axis=axes)
        dice = (2 * overlap + self.smooth) / (sizes + ops.sum(probabilities, axis=axes) + self.smooth)
        by_class = ops.cast(sizes > 0, "float32")
        if self.class_weights is not None:
            by_class *= ops.convert_to_tensor(self.class_weights, "float32")
        return ops.sum(by_class * (1 - dice)), ops.sum(by_class)

    def get_config(self):
        return super().get_config() | {"smooth": self.smooth}


def median_frequency_weights(counts, images_with=None):
    """Class weights that balance: the median frequency over each class's own.

    Args:
        counts: pixels a class, over the training set.
        images_with: all pixels of those images that have the class, as in the paper; by default one number for all.
    Returns: array, a number a class; 0 for a class without pixels.
    Reference: Eigen and Fergus 2015, https://arxiv.org/abs/1411.4734, section 6.3.2.
    """
    counts = np.asarray(counts, "float64")
    below = np.full_like(counts, counts.sum()) if images_with is None else np.asarray(images_with, "float64")
    frequency = np.divide(counts, below, out=np.zeros_like(counts), where=below > 0)
    present = frequency > 0
    weights = np.zeros_like(frequency)
    weights[present] = np.median(frequency[present]) / frequency[present]
    return weights


def enet_weights(counts, c=1.02):
    """Class weights that balance, and are bounded: `1 / log(c + p)`, p the share of a class.

    Reference: Paszke et al. 2016, https://arxiv.org/abs/1606.02147, section 5.1.
    """
    share = np.asarray(counts, "float64") / np.sum(counts)
    return 1 / np.log(c + share)


def _cross_entropy(logits, classes):
    """`(batch, height, width)`; without a one-hot tensor of all classes for the forward pass."""
    highest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    shifted = logits - highest
    chosen = ops.squeeze(ops.take_along_axis(shifted, classes[..., None], axis=-1), -1)
    return ops.log(ops.sum(ops.exp(shifted), axis=-1)) - chosen


def _snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def ignored_ids(ignore_class):
    """One id, several or None, as a tuple."""
    if ignore_class is None:
        return ()
    return tuple(ignore_class) if isinstance(ignore_class, list | tuple) else (ignore_class,)


def is_ignored(classes, ignore_class):
    """Boolean tensor of the shape of `classes`: which pixels bear an id that does not count."""
    nothing = ops.zeros_like(classes, dtype="bool")
    return functools.reduce(operator.or_, [ops.equal(classes, one) for one in ignored_ids(ignore_class)], nothing)
