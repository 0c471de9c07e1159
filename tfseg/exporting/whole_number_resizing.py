"""Maps of any size resized by places in whole numbers, for runtimes whose fractions are not exact.

OpenVINO turns a division into a product with a reciprocal: 47 / 94 is below a half, and every second pixel of torch's
"nearest" comes from the pixel before. Where a processor has bfloat16, OpenVINO computes places in it, too: those
beyond 256 are off by whole pixels. Whole numbers keep their precision in both.

Torch rounds places to float32. Bilinear weights follow it: its rounding, a thousandth of a pixel at most, is added to
the exact place. The nearest pixel is torch's wherever the output is twice the input, or a pixel less. For 2 % of the
sizes at four times, and 6 % at 32 times, torch rounds an exact place down: there, a row of the output comes from the
next one.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import keras
from keras import ops

from tfseg.layers import Resample, Rescale, ResizeLike
from tfseg.layers.resample import rounded_places
from tfseg.types import Tensor

_LARGEST = 1000  # denominator of an input pixel's width on the output
_DIGITS = 2**12
_ROUNDING = 1e-3  # input pixels that a place is off by in float32, at most


@contextlib.contextmanager
def whole_number_resizing(network: keras.Model) -> Iterator[None]:
    """A context in which a network's layers resize maps so; sizes that are known keep their arithmetic.

    Args:
        network: a model. Scales that no short fraction equals, cubic interpolation, and the nearest pixel by another
            rounding than "floor" keep theirs, too: at ties they are decided by the rounding of the fractions.
    """
    changed: list[tuple[dict[str, Any], str]] = []
    try:
        for layer in network._flatten_layers():
            attributes: Any = vars(layer)  # they hide the class's methods
            for name, function in _functions(layer).items():
                attributes[name] = functools.partial(function, layer)
                changed.append((attributes, name))
        yield
    finally:
        for attributes, name in changed:
            del attributes[name]


def _functions(layer: keras.layers.Layer) -> dict[str, Callable[..., Tensor]]:
    """What replaces the methods of a layer."""
    if isinstance(layer, Resample):
        scales = layer.scales or ()
        known = layer.coordinates != "half_pixel_symmetric" and all(map(_fraction, scales))
        exact = layer.method == "linear" or (layer.method == "nearest" and layer.rounding == "floor")
        return {"_weights": _weights_of_resample} if known and exact else {}
    if not isinstance(layer, ResizeLike) or (isinstance(layer, Rescale) and not _fraction(1 / layer.scale)):
        return {}
    return {"_ratio": _ratio} | ({"_places": _nearest} if layer.interpolation == "nearest" else {"_weights": _weights})


def _fraction(number: float) -> Fraction | None:
    """The number as a fraction, if a short one equals it."""
    fraction = Fraction(number).limit_denominator(_LARGEST)
    return fraction if float(fraction) == number else None


def _nearest(layer: ResizeLike, outputs: Tensor, pixels: Tensor) -> Tensor:
    if isinstance(outputs, int) and isinstance(pixels, int):
        return type(layer)._places(layer, outputs, pixels)
    above, below = _places(layer, outputs, pixels)
    return ops.minimum(above // below, pixels - 1)


def _weights(layer: ResizeLike, outputs: Tensor, pixels: Tensor) -> Tensor:
    if isinstance(outputs, int) and isinstance(pixels, int):
        return type(layer)._weights(layer, outputs, pixels)
    rounded = type(layer)._places(layer, outputs, pixels)
    return ops.cast(_linear(*_places(layer, outputs, pixels), pixels, rounded), layer.compute_dtype)


def _weights_of_resample(layer: Resample, outputs: Tensor, pixels: Tensor, axis: int) -> Tensor:
    if isinstance(outputs, int) and isinstance(pixels, int):
        return type(layer)._weights(layer, outputs, pixels, axis)
    above, below = _places_of_resample(layer, outputs, pixels, axis)
    if layer.method == "linear":
        weights = _linear(above, below, pixels, rounded_places(layer, outputs, pixels, axis))
    else:
        nearest = ops.clip(above // below, 0, pixels - 1)
        weights = ops.equal(nearest[:, None], ops.arange(pixels, dtype="int32")[None])
    return ops.cast(weights, layer.compute_dtype)


def _linear(above: Tensor, below: Tensor, pixels: Tensor, rounded: Tensor) -> Tensor:
    """The weights of places `above / below`, with the rounding of places in float32."""
    above = ops.clip(above, 0, (pixels - 1) * below)
    whole, unit = above // below, ops.cast(below, "float32")
    rest = ops.cast(above - whole * below, "float32") / unit
    rounding = rounded - ops.cast(whole, "float32") - rest
    rounding = ops.clip(rounding, -_ROUNDING, _ROUNDING)  # in bfloat16 it would be pixels
    distance = ops.cast(above[:, None] - ops.arange(pixels, dtype="int32")[None] * below, "float32") / unit
    return ops.relu(1 - ops.abs(distance + rounding[:, None]))


def _ratio(layer: ResizeLike, above: Tensor, below: Tensor) -> Tensor:
    """A quotient of whole numbers below 4096 as a division rounds it: 12 binary digits, 12 more, and the rest."""
    above, below = ops.cast(above, "int32"), ops.cast(below, "int32")
    first = above * _DIGITS // below
    rest = above * _DIGITS - first * below
    second = rest * _DIGITS // below
    last = ops.cast(rest * _DIGITS - second * below, "float32") / ops.cast(below, "float32")
    return ops.cast(first, "float32") / _DIGITS + (ops.cast(second, "float32") + last) / _DIGITS**2


def _places(layer: ResizeLike, outputs: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Where on an axis of the input the output pixels lie: numerators, and the denominator of all."""
    output, step = (
        ops.arange(outputs, dtype="int32"),
        _fraction(1 / layer.scale) if isinstance(layer, Rescale) else None,
    )
    above, below = (step.numerator, step.denominator) if step else (pixels, outputs)
    if layer.interpolation == "bilinear_align_corners":
        return output * (pixels - 1), ops.maximum(outputs - 1, 1)
    if layer.interpolation == "bilinear":
        return (2 * output + 1) * above - below, 2 * below
    return output * above, below


def _places_of_resample(layer: Resample, outputs: Tensor, pixels: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    output = ops.arange(outputs, dtype="int32")
    scale = _fraction(layer.scales[axis]) if layer.scales and not layer.coordinates.endswith("_quotient") else None
    above, below = (scale.denominator, scale.numerator) if scale else (pixels, outputs)
    if layer.coordinates.startswith("align_corners"):
        return output * (pixels - 1), ops.maximum(outputs - 1, 1)
    if layer.coordinates.startswith("asymmetric"):
        return output * above, below
    if layer.coordinates == "tf_half_pixel_for_nn":
        return (2 * output + 1) * above, 2 * below
    place = (2 * output + 1) * above - below
    return place * ops.cast(outputs > 1, "int32") if layer.coordinates == "pytorch_half_pixel" else place, 2 * below
