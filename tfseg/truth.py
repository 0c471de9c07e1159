"""What a loss is given beside the logits: class ids, those that are ignored, and the weights of samples."""

import functools
import math
import operator
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfseg.types import ClassIds, Tensor


def ignored_ids(ignore_class: ClassIds) -> tuple[int, ...]:
    """The ids that do not count, as a tuple.

    Args:
        ignore_class: one id, several ids, or None.

    Example:
        >>> tfseg.losses.ignored_ids(255), tfseg.losses.ignored_ids([0, 255]), tfseg.losses.ignored_ids(None)
        ((255,), (0, 255), ())
    """
    if ignore_class is None:
        return ()
    return (ignore_class,) if isinstance(ignore_class, int | np.integer) else tuple(ignore_class)


def is_ignored(classes: Tensor, ignore_class: ClassIds) -> Tensor:
    """Which pixels do not count: a boolean tensor of the shape of `classes`.

    Args:
        classes: class ids of any shape.
        ignore_class: one id, several ids, or None.

    Example:
        >>> np.array(tfseg.losses.is_ignored(np.array([[0, 1, 255]]), 255)).tolist()
        [[False, False, True]]
    """
    nothing = ops.zeros_like(classes, dtype="bool")
    matches = [ops.equal(classes, ignored) for ignored in ignored_ids(ignore_class)]
    return functools.reduce(operator.or_, matches, nothing)


def check_not_one_hot(y_true: Tensor, num_classes: int) -> None:
    """Refuses one-hot truth, whose shape is that of the logits.

    Args:
        y_true: the truth.
        num_classes: number of classes.
    Raises:
        ValueError: one-hot truth.
    """
    shape = tuple(y_true.shape)
    if len(shape) == 4 and shape[-1] not in (1, None):
        raise ValueError(
            f"The truth holds class ids, (batch, height, width). Received: {shape}, which looks like one-hot truth of "
            f"{num_classes} classes: pass np.argmax(truth, axis=-1)"
        )


def check_shapes(y_true: Tensor, y_pred: Tensor) -> None:
    """Refuses truth of another height or width than the logits, where they are known.

    Args:
        y_true: class ids `(batch, height, width)` or `(batch, height, width, 1)`.
        y_pred: logits `(batch, height, width, num_classes)`.
    Raises:
        ValueError: another size, logits of one class, or one-hot truth.
    """
    check_not_one_hot(y_true, y_pred.shape[-1])
    if y_pred.shape[-1] == 1:
        raise ValueError(
            "A network of one class has nothing to learn: its softmax is 1 everywhere. Background is a class too: "
            "num_classes=2. Received: logits of one class"
        )
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    pairs = zip(true[:3], predicted[:3], strict=False)
    if len(true) not in (3, 4) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise ValueError(
            f"The truth holds a class id for every pixel of the logits, (batch, height, width) = {predicted[:3]}. "
            f"Received: {true}"
        )


def whole_ids(y_true: Tensor) -> tuple[Tensor, Tensor]:
    """The truth as integers, and which of its numbers are not whole.

    Args:
        y_true: class ids of any type.
    """
    classes = ops.cast(y_true, "int32")
    if "float" not in keras.backend.standardize_dtype(y_true.dtype):
        return classes, ops.zeros_like(classes, dtype="bool")
    return classes, ops.not_equal(ops.cast(classes, y_true.dtype), y_true)


def check_class_weights(class_weights: Any) -> list[float] | None:
    """The weight of each class as a list.

    Args:
        class_weights: numbers in order of the classes, or a dictionary of all classes as Keras has it; or None.
    Raises:
        ValueError: a class is missing in the dictionary, or a weight is negative or not finite.
    """
    if class_weights is None:
        return None
    if isinstance(class_weights, Mapping):
        if sorted(class_weights) != list(range(len(class_weights))):
            raise ValueError(
                "class_weights has a number for each class, 0 to num_classes - 1. Received a dictionary of "
                f"{', '.join(map(str, class_weights))}"
            )
        class_weights = [class_weights[index] for index in range(len(class_weights))]
    weights = [float(weight) for weight in class_weights]
    if not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(f"Class weights are numbers from 0 on. Received: {weights}")
    return weights


def check_ids(strange: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """1, or NaN where some ids are neither class nor ignored; an error where errors are possible.

    Args:
        strange: which ids are neither class nor ignored.
        classes: the ids.
        num_classes: number of classes.
    Raises:
        ValueError: some are, outside compiled functions.
    """
    message = (
        f"The truth holds ids that are neither one of the {num_classes} classes (0 to {num_classes - 1}) nor ignored. "
        "Name further ids that are to be ignored: ignore_class=(255, -1)"
    )
    some = ops.any(strange)
    try:
        known: bool | None = bool(ops.convert_to_numpy(some))
    except Exception:  # inside a compiled function nothing is known yet; every backend says so in its own way
        known = None
    if known:
        ids = np.unique(ops.convert_to_numpy(classes)[ops.convert_to_numpy(strange)]).tolist()
        raise ValueError(f"{message}. Received: {', '.join(map(str, ids[:8]))}")
    if known is None and keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.debugging.assert_equal(some, False, message=message)
    return ops.where(some, float("nan"), 1.0)


def sample_factors(sample_weight: Tensor, weights: Tensor) -> Tensor:
    """Factors of all pixels, of one for each pixel, image or batch.

    Args:
        sample_weight: the factors, as Keras takes them.
        weights: weights of the pixels `(batch, height, width)`.
    Raises:
        ValueError: an array of another shape.
    """
    factors = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    shape = tuple(factors.shape)
    if len(shape) == 4 and shape[-1] == 1:
        factors = ops.squeeze(factors, -1)
    elif len(shape) == 2 and shape[-1] == 1:
        factors = factors[..., None]
    elif len(shape) == 1:
        factors = factors[:, None, None]
    elif len(shape) not in (0, 3):
        raise ValueError(
            f"sample_weight is (batch,), or (batch, height, width) as the truth. Received: an array of shape {shape}"
        )
    return factors * ops.ones_like(weights)
