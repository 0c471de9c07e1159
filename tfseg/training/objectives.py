"""What a recipe minimizes, and how: the losses of a model's outputs, and the optimizer."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfseg import losses, optimizers
from tfseg.optimizers import Poly
from tfseg.outputs import trained_outputs
from tfseg.training.network_facts import HEAD
from tfseg.training.recipes import Recipe, loss_terms
from tfseg.types import ClassIds, Tensor

_LOSSES: dict[str, type[Any]] = {
    "cross_entropy": losses.CrossEntropy,
    "focal": losses.Focal,
    "online_hard_examples": losses.OnlineHardExamples,
    "dice": losses.Dice,
    "lovasz": losses.Lovasz,
}


def make_optimizer(recipe: Recipe, steps: int | None, head: str = HEAD) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe, with its learning rate schedule.

    Args:
        recipe: the `Recipe`.
        steps: number of steps of the whole training; None is enough for a constant rate.
        head: regular expression of the variables that learn faster by the recipe's `head_factor`.
    Raises:
        ValueError: a falling rate, without `steps`.
    """
    rate: float | Poly = recipe.learning_rate
    if recipe.power or recipe.warmup:
        if not steps:
            raise ValueError("The learning rate depends on the number of steps: pass steps=.")
        rate = Poly(rate, steps, recipe.power, round(recipe.warmup * steps))
    factors = {head: recipe.head_factor, r".*/bias": recipe.bias_factor}
    options: dict[str, Any] = {
        "factors": {pattern: factor for pattern, factor in factors.items() if factor != 1},
        "decay": recipe.decay,
        "clipnorm": recipe.clipnorm,
        "gradient_accumulation_steps": recipe.accumulate if recipe.accumulate > 1 else None,
    }
    if recipe.ema is not None:
        options |= {"use_ema": True, "ema_momentum": recipe.ema}
    if recipe.optimizer == "sgd":
        return optimizers.SGD(rate, momentum=recipe.momentum, **options)
    return optimizers.AdamW(rate, epsilon=1e-8, **options)  # PyTorch's epsilon


def make_losses(
    model: keras.Model, recipe: Recipe, *, ignore_class: ClassIds = 255
) -> tuple[list[losses.SegmentationLoss], list[float]]:
    """The losses of a model's outputs, and their weights.

    Args:
        model: a segmenter, with or without auxiliary heads.
        recipe: the `Recipe`.
        ignore_class: id, or several ids, of ignored pixels in the masks.
    """
    count = len(trained_outputs(model.output))
    options: dict[str, Any] = {"ignore_class": ignore_class, "class_weights": recipe.class_weights}
    return [_make_loss(recipe, options) for _ in range(count)], [1.0] + [recipe.aux_weight] * (count - 1)


def batch_loss(
    weighed: tuple[list[losses.SegmentationLoss], list[float]],
    outputs: Any,
    masks: Tensor,
    sum_over_devices: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """What a step minimizes: the weighted sum of the losses of a model's outputs.

    Args:
        weighed: the losses and their weights, from `make_losses`.
        outputs: what the model returned.
        masks: class ids `(batch, height, width)`.
        sum_over_devices: gives a number of this device summed over all devices; None: this device has the whole batch.
    """
    value: Tensor = 0.0
    for loss, weight, output in zip(*weighed, trained_outputs(outputs), strict=True):
        for part, factor in losses.parts_of(loss):
            total, divisor = part.totals(masks, output)
            divisor = sum_over_devices(divisor) if sum_over_devices else divisor
            value += weight * factor * total / ops.maximum(divisor, 1e-12)
    return value


def _make_loss(recipe: Recipe, options: dict[str, Any]) -> losses.SegmentationLoss:
    """The loss of a recipe: one of `tfseg.losses`, or their sum."""
    terms = loss_terms(recipe.loss)
    parts = [_LOSSES[name](reduction=recipe.reduction, **options) for name, _ in terms]
    if terms == [(terms[0][0], 1.0)]:
        return parts[0]
    return losses.LossSum(parts, [factor for _, factor in terms])
