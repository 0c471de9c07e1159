"""Segmentation losses for `model.compile`: ignored pixels count neither in the sum nor in the divisor.

Each loss is a sum over pixels and a divisor. `totals` returns both, so that a training step on several devices can
divide the sum of all devices by the divisor of all devices.
"""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfseg.class_weights import enet_weights, median_frequency_weights
from tfseg.truth import (
    check_class_weights,
    check_ids,
    check_shapes,
    ignored_ids,
    is_ignored,
    sample_factors,
    whole_ids,
)
from tfseg.types import Array, ClassIds, Tensor

__all__ = [
    "CrossEntropy",
    "Dice",
    "Focal",
    "LossSum",
    "Lovasz",
    "OnlineHardExamples",
    "enet_weights",
    "ignored_ids",
    "is_ignored",
    "median_frequency_weights",
]


class _PixelLoss(keras.losses.Loss):
    """A mean over the pixels that count: `_totals(logits, classes, weights)` of a subclass gives sum and divisor.

    Args:
        ignore_class: id, or several ids, of the pixels in the truth that do not count; None: all pixels count.
        class_weights: weight of each class, or None. With weights the divisor is their sum, as in PyTorch.
        reduction: "mean" over the pixels that count, or "sum" over them, the unnormalized loss of the first FCN.
        name: name of the loss; None: the name of the class in snake case.
    Raises:
        ValueError: another reduction.
    """

    def __init__(
        self,
        ignore_class: ClassIds = 255,
        class_weights: Sequence[float] | Array | Mapping[int, float] | None = None,
        reduction: str = "mean",
        name: str | None = None,
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction is "mean" or "sum". Received: {reduction!r}')
        super().__init__(name=name or _snake(type(self).__name__), reduction="sum")
        self.ignore_class = ignore_class
        self.class_weights = check_class_weights(class_weights)
        self.pixel_reduction = reduction

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar of float32.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits `(batch, height, width, num_classes)`.
            sample_weight: factor of the loss of each pixel, image or batch; as in Keras, the divisor stays the same.
        Raises:
            ValueError: as `totals`.
        """
        with keras.name_scope(self.name):
            total, divisor = self.totals(y_true, y_pred, sample_weight)
            return total / ops.maximum(divisor, 1e-12)  # a batch without a pixel that counts has no loss, no gradient

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of a batch, a scalar of float32; see `__call__`.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits `(batch, height, width, num_classes)`.
        """
        return self(y_true, y_pred)

    def totals(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The sum and the divisor of the loss, scalars of float32.

        An id that is neither class nor ignored is an error: in a compiled function TensorFlow's InvalidArgumentError,
        and where a compiler knows no errors (XLA), the loss is NaN.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits `(batch, height, width, num_classes)`.
            sample_weight: factor of the loss of each pixel, image or batch.
        Raises:
            ValueError: one-hot truth, truth of another size, another number of class weights than of classes, or an id
                that is neither class nor ignored.
        """
        logits = ops.cast(y_pred, "float32")
        count = logits.shape[-1]
        check_shapes(y_true, logits)
        classes, broken = (ops.reshape(part, ops.shape(logits)[:-1]) for part in whole_ids(y_true))
        ignored = is_ignored(classes, self.ignore_class) & ~broken
        strange = ~ignored & ((classes < 0) | (classes >= count) | broken)
        valid = check_ids(strange, classes, count)
        weights = ops.cast(~ignored & ~strange, "float32")
        classes = ops.where(weights > 0, classes, 0)
        if self.class_weights is not None:
            if len(self.class_weights) != count:
                raise ValueError(
                    f"class_weights needs a number for each of the {count} classes. Received: {len(self.class_weights)}"
                )
            weights *= ops.take(ops.convert_to_tensor(self.class_weights, "float32"), classes)
        factors = ops.ones_like(weights) if sample_weight is None else sample_factors(sample_weight, weights)
        total, divisor = self._totals(logits, classes, weights, factors)
        return total * valid, divisor if self.pixel_reduction == "mean" else ops.ones_like(divisor)

    def __add__(self, other: "_PixelLoss | LossSum") -> "LossSum":
        """The sum of two losses."""
        return LossSum([self]) + other

    def __radd__(self, other: int) -> "LossSum":
        """The loss itself: `sum` of several losses begins with 0."""
        return LossSum([self]) if other == 0 else NotImplemented

    def __mul__(self, factor: float) -> "LossSum":
        """The loss times a number."""
        return LossSum([self], [float(factor)])

    __rmul__ = __mul__

    def _totals(self, logits: Tensor, classes: Tensor, weights: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return {
            "name": self.name,
            "ignore_class": self.ignore_class,
            "class_weights": self.class_weights,
            "reduction": self.pixel_reduction,
        }


@keras.saving.register_keras_serializable("tfseg")
class CrossEntropy(_PixelLoss):
    """Cross-entropy of logits, a mean over the pixels that count; equal to PyTorch's with `ignore_index`.

    Args:
        ignore_class: id, or several ids, of the pixels in the truth that do not count; None: all pixels count.
        class_weights: weight of each class, or None. With weights the divisor is their sum, as in PyTorch. (The
            argument `class_weight` of Keras's `fit` weighs whole images by their class, and raises a TypeError here.)
        reduction: "mean" over the pixels that count, or "sum" over them, the unnormalized loss of the first FCN.
        name: name of the loss; None: "cross_entropy".
    Raises:
        ValueError: another reduction.

    Example:
        >>> truth = np.array([[[0, 1, 255]]])  # 255 does not count
        >>> logits = np.zeros((1, 1, 3, 2), "float32")
        >>> round(float(tfseg.losses.CrossEntropy()(truth, logits)), 3)  # log(2)
        0.693
    """

    def _totals(self, logits: Tensor, classes: Tensor, weights: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        return ops.sum(factors * weights * _cross_entropy(logits, classes)), ops.sum(weights)


@keras.saving.register_keras_serializable("tfseg")
class OnlineHardExamples(_PixelLoss):
    """Cross-entropy of only the hardest pixels of a batch (OHEM, top-k).

    Args:
        fraction: share of the pixels that count, above 0 and at most 1. So many of the largest losses are kept, at
            least one.
        kwargs: `ignore_class`, `class_weights`, `reduction` and `name`, as in `CrossEntropy`.
    Raises:
        ValueError: another reduction, or a fraction outside its range.
    Reference: Wu et al. 2016, https://arxiv.org/abs/1605.06885, section 4.2.

    Example:
        >>> truth = np.array([[[0, 0]]])
        >>> logits = np.array([[[[9, 0], [0, 0]]]], "float32")  # an easy and a hard pixel
        >>> round(float(tfseg.losses.OnlineHardExamples(0.5)(truth, logits)), 3)
        0.693
    """

    def __init__(self, fraction: float = 0.25, **kwargs: Any) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction is above 0 and at most 1. Received: {fraction!r}")
        super().__init__(**kwargs)
        self.fraction = fraction

    def _totals(self, logits: Tensor, classes: Tensor, weights: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        losses = ops.reshape(factors * weights * _cross_entropy(logits, classes), (-1,))
        weights = ops.reshape(weights, (-1,))
        # Pixels that do not count come last, after losses of zero.
        order = ops.argsort(ops.where(weights > 0, -losses, float("inf")))
        kept = ops.cast(ops.ceil(self.fraction * ops.sum(ops.cast(weights > 0, "float32"))), "int32")
        chosen = ops.cast(ops.arange(ops.shape(losses)[0]) < kept, "float32")
        return ops.sum(chosen * ops.take(losses, order)), ops.sum(chosen * ops.take(weights, order))

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"fraction": self.fraction}


@keras.saving.register_keras_serializable("tfseg")
class Focal(_PixelLoss):
    """Cross-entropy that weighs each pixel by how wrong it is: `(1 - p)^gamma`, p the probability of the true class.

    Args:
        gamma: exponent of the weight; 0 gives the cross-entropy.
        kwargs: `ignore_class`, `class_weights`, `reduction` and `name`, as in `CrossEntropy`.
    Raises:
        ValueError: another reduction.
    Reference: Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 3.2.

    Example:
        >>> truth, logits = np.array([[[0]]]), np.zeros((1, 1, 1, 2), "float32")
        >>> round(float(tfseg.losses.Focal(gamma=2)(truth, logits)), 3)  # log(2) / 4
        0.173
    """

    def __init__(self, gamma: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = gamma

    def _totals(self, logits: Tensor, classes: Tensor, weights: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        losses = _cross_entropy(logits, classes)
        wrong = ops.maximum(-ops.expm1(-losses), 1e-12)  # at 0, powers below 1 have no gradient
        return ops.sum(factors * weights * wrong**self.gamma * losses), ops.sum(weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"gamma": self.gamma}


@keras.saving.register_keras_serializable("tfseg")
class Dice(_PixelLoss):
    """One minus the soft overlap `2 |A B| / (|A| + |B|)`, a mean over the classes that the batch has.

    Args:
        smooth: number of pixels that is added to numerator and denominator.
        kwargs: `ignore_class`, `class_weights`, `reduction` and `name`, as in `CrossEntropy`; `class_weights` weigh the
            mean over classes.
    Raises:
        ValueError: another reduction.
    Reference: Milletari et al. 2016, https://arxiv.org/abs/1606.04797, section 3.

    Example:
        >>> truth = np.array([[[0, 0, 1, 1]]])
        >>> logits = 100 * np.eye(2, dtype="float32")[truth]  # all right
        >>> round(float(tfseg.losses.Dice()(truth, logits)), 3)
        0.0
    """

    def __init__(self, smooth: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.smooth = smooth

    def _totals(self, logits: Tensor, classes: Tensor, weights: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        counted = (factors * ops.cast(weights > 0, "float32"))[..., None]
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

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"smooth": self.smooth}


@keras.saving.register_keras_serializable("tfseg")
class Lovasz(_PixelLoss):
    """The Lovasz-softmax loss: a surrogate of one minus the IoU, a mean over the classes that the batch has.

    Args:
        kwargs: `ignore_class`, `class_weights`, `reduction` and `name`, as in `CrossEntropy`; `class_weights` weigh the
            mean over classes.
    Raises:
        ValueError: another reduction.
    Reference: Berman et al. 2018, https://arxiv.org/abs/1705.08790, section 3.2: the loss of all images together.

    Example:
        >>> truth = np.array([[[0, 0, 1, 1]]])
        >>> logits = 100 * np.eye(2, dtype="float32")[np.array([[[0, 0, 1, 0]]])]  # one of four is wrong
        >>> round(float(tfseg.losses.Lovasz()(truth, logits)), 3)  # 1 - IoU is 1 / 3 and 1 / 2
        0.417
    """

    def _totals(self, logits: Tensor, classes: Tensor, weights: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        count = logits.shape[-1]
        counted = ops.reshape(ops.cast(weights > 0, "float32"), (-1, 1))
        true = ops.one_hot(ops.reshape(classes, (-1,)), count, dtype="float32") * counted
        # A pixel that does not count has no error: it comes last, and adds nothing.
        errors = ops.abs(true - ops.softmax(ops.reshape(logits, (-1, count)))) * counted
        order = ops.argsort(-errors, axis=0)
        hit = ops.cumsum(ops.take_along_axis(true, order, axis=0), axis=0)
        seen = ops.cast(ops.arange(1, ops.shape(errors)[0] + 1), "float32")[:, None]
        sizes = ops.sum(true, axis=0, keepdims=True)
        # One minus the IoU if the pixels with the largest errors so far were all that is wrong.
        missed = 1 - (sizes - hit) / ops.maximum(sizes + seen - hit, 1e-12)
        steps = missed - ops.concatenate([ops.zeros_like(missed[:1]), missed[:-1]], axis=0)
        # A factor of a pixel is a factor of its error, which decides the order without it.
        sorted_errors = ops.take_along_axis(errors * ops.reshape(factors, (-1, 1)), order, axis=0)
        by_class = ops.cast(sizes[0] > 0, "float32")
        if self.class_weights is not None:
            by_class *= ops.convert_to_tensor(self.class_weights, "float32")
        return ops.sum(by_class * ops.sum(sorted_errors * ops.stop_gradient(steps), axis=0)), ops.sum(by_class)


@keras.saving.register_keras_serializable("tfseg")
class LossSum(keras.losses.Loss):
    """A weighted sum of losses, which `Dice() + CrossEntropy()` and `0.5 * Dice() + Focal()` make.

    Args:
        losses: the losses of this module.
        factors: factor of each; None: 1.
        name: name of the loss; None: "loss_sum".

    Example:
        >>> truth, logits = np.array([[[0, 1]]]), np.zeros((1, 1, 2, 2), "float32")
        >>> both = tfseg.losses.CrossEntropy() + 2 * tfseg.losses.Dice()
        >>> round(float(both(truth, logits)), 3)  # log(2), and twice 1 - 2 / 3
        1.36
    """

    def __init__(
        self, losses: Sequence[_PixelLoss], factors: Sequence[float] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name=name or "loss_sum", reduction="sum")
        self.losses = list(losses)
        self.factors = [1.0] * len(self.losses) if factors is None else list(factors)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar of float32; see `CrossEntropy`.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits `(batch, height, width, num_classes)`.
            sample_weight: factor of the loss of each pixel, image or batch.
        """
        parts = zip(self.losses, self.factors, strict=True)
        return functools.reduce(operator.add, (factor * loss(y_true, y_pred, sample_weight) for loss, factor in parts))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of a batch, a scalar of float32; see `__call__`.

        Args:
            y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: logits `(batch, height, width, num_classes)`.
        """
        return self(y_true, y_pred)

    def __add__(self, other: "_PixelLoss | LossSum") -> "LossSum":
        """The sum with another loss."""
        if not isinstance(other, _PixelLoss | LossSum):
            return NotImplemented
        more = other if isinstance(other, LossSum) else LossSum([other])
        return LossSum([*self.losses, *more.losses], [*self.factors, *more.factors])

    def __mul__(self, factor: float) -> "LossSum":
        """The sum times a number."""
        return LossSum(self.losses, [factor * each for each in self.factors])

    __rmul__ = __mul__

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        losses = [keras.saving.serialize_keras_object(loss) for loss in self.losses]
        return {"losses": losses, "factors": self.factors, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LossSum":
        """The loss of `get_config`.

        Args:
            config: its arguments.
        """
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**{**config, "losses": losses})


SegmentationLoss = _PixelLoss | LossSum
"""A loss of this module, or a sum of them."""


def parts_of(loss: SegmentationLoss) -> list[tuple[_PixelLoss, float]]:
    """The losses that a loss is the sum of, each with its factor.

    Args:
        loss: a loss of this module.
    """
    return list(zip(loss.losses, loss.factors, strict=True)) if isinstance(loss, LossSum) else [(loss, 1.0)]


def _cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Losses `(batch, height, width)`; the forward pass needs no one-hot tensor of all classes."""
    highest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    shifted = logits - highest
    chosen = ops.squeeze(ops.take_along_axis(shifted, classes[..., None], axis=-1), -1)
    return ops.log(ops.sum(ops.exp(shifted), axis=-1)) - chosen


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
