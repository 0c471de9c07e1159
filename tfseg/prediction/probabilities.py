"""From what a network computes to probabilities of the classes, and to classes that are sure enough."""

from typing import Any

import keras
import numpy as np

from tfseg.outputs import logits_of
from tfseg.prediction.windows import See

VOID, WIDE_VOID = 255, 65535  # the id of pixels without a class: up to 255 classes, and from 256 on
_TINY = np.finfo("float32").tiny
# Layers that leave probabilities what they are, or interpolate them.
_SIZED_BY_OTHERS = ("ResizeLike", "CropLike", "Interpolate")  # by the tensors after the first one
_PASSING = ("Identity", "Rescale", "Resizing", "UpSampling2D", "Cropping2D", "Cast", *_SIZED_BY_OTHERS)


def check_probabilities(model: keras.Model) -> None:
    """Raises ValueError unless the softmax of the model's logits says how probable each class is.

    Args:
        model: segmentation model.
    """
    output = logits_of(model.output)
    ending = ending_of(output)
    if output.shape[-1] == 1 or ending == "sigmoid":
        raise ValueError(
            f"Probabilities need one of several classes for each pixel: logits, or their softmax. Received: "
            f"{model.name!r}, whose {output.shape[-1]} maps {'pass a sigmoid' if ending else 'exclude no other one'}. "
            "Call the model itself: model(images)."
        )


def as_logits(model: keras.Model, see: See) -> See:
    """`see`, or its logarithm if the model's output has passed a softmax already: a second one would change it.

    Args:
        model: segmentation model.
        see: function from a batch to the model's output.
    """
    if ending_of(logits_of(model.output)) != "softmax":
        return see
    return lambda images: np.log(np.maximum(see(images), _TINY))


def sure_classes(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """The most probable class of each pixel, or void where it is less probable than the threshold.

    Args:
        probabilities: float32 `(batch, height, width, num_classes)`.
        threshold: smallest probability of a class; None: any.
    Returns: uint8 `(batch, height, width)` with 255 for void; from 256 classes on int32, with 65535 for void.
    """
    num_classes = probabilities.shape[-1]
    classes = probabilities.argmax(axis=-1)
    if threshold is None:
        return classes.astype("uint8" if num_classes <= 256 else "int32")
    unsure = probabilities.max(axis=-1) < np.float32(threshold)
    return np.where(unsure, void_of(num_classes), classes).astype("uint8" if num_classes <= VOID else "int32")


def void_of(num_classes: int) -> int:
    """The id of pixels without a class.

    Args:
        num_classes: number of classes.
    """
    return VOID if num_classes <= VOID else WIDE_VOID


def check_threshold(threshold: float | None) -> None:
    """Raises ValueError unless a threshold is a probability.

    Args:
        threshold: smallest probability of a class, or None.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise ValueError(f"threshold is a probability, at least 0 and below 1. Received: {threshold}")


def ending_of(tensor: Any) -> str | None:
    """ "softmax" or "sigmoid" if a tensor has passed it last; layers that only resize do not count.

    Args:
        tensor: output of a functional model.
    """
    while True:
        operation = tensor._keras_history.operation
        if isinstance(operation, keras.Model):
            tensor = logits_of(operation.output)
            continue
        activation = getattr(getattr(operation, "activation", None), "__name__", None)
        names = (type(operation).__name__.lower(), activation)
        ending = next((name for name in ("softmax", "sigmoid") if name in names), None)
        passes = type(operation).__name__ in _PASSING or (not operation.weights and activation == "linear")
        inputs = operation.input if passes else None
        if type(operation).__name__ in _SIZED_BY_OTHERS and isinstance(inputs, list | tuple):
            inputs = inputs[0]
        if ending or not isinstance(inputs, keras.KerasTensor):
            return ending
        tensor = inputs
