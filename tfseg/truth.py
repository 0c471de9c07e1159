"""What a loss is given beside the logits: class ids, those that are ignored, and the weights of samples."""

import functools
import operator

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
