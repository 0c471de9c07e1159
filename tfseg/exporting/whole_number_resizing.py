"""Maps of any size resized by places in whole numbers, for runtimes whose fractions are not exact.

OpenVINO turns a division into a product with a reciprocal: 47 / 94 is below a half, and every second pixel of torch's
"nearest" comes from the pixel before. Where a processor has bfloat16, OpenVINO computes places in it, too: beyond 256
pixels they are off by pixels. Whole numbers keep their precision in both.

Torch rounds places to float32. Bilinear weights follow it: its rounding, a thousandth of a pixel at most, is added to
the exact place. The nearest pixel is torch's wherever the output is twice the input, or a pixel less. At four times and
more, torch rounds an exact place down for 2 % of the sizes: there, a row of the output comes from the next one.
"""

import contextlib
import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import keras
from keras import ops

from tfseg.layers import Rescale, ResizeLike
from tfseg.types import Tensor

_LARGEST = 1000  # denominator of an input pixel's width on the output
_DIGITS = 2**12
_ROUNDING = 1e-3  # input pixels that a place is off by in float32, at most


@contextlib.contextmanager
def whole_number_resizing(network: keras.Model) -> Iterator[None]:
    """A context in which a network's layers resize maps so; sizes that are known keep torch's rounding.

    Args:
        network: a model.
    """
    changed: list[tuple[dict[str, Any], str]] = []
    try:
        for layer in network._flatten_layers():
            if isinstance(layer, ResizeLike) and (not isinstance(layer, Rescale) or _step(layer)):
                name, function = ("_places", _nearest) if layer.interpolation == "nearest" else ("_weights", _weights)
                attributes: Any = vars(layer)  # they hide the class's methods
                attributes |= {name: functools.partial(function, layer), "_ratio": _ratio}
                changed += [(attributes, name), (attributes, "_ratio")]
        yield
    finally:
        for attributes, name in changed:
            del attributes[name]


def _step(layer: Rescale) -> Fraction | None:
    """Input pixels from one output pixel to the next, if few digits tell them."""
    step = Fraction(1 / layer.scale).limit_denominator(_LARGEST)
    return step if float(step) == 1 / layer.scale else None


def _nearest(layer: ResizeLike, outputs: Tensor, pixels: Tensor) -> Tensor:
    if isinstance(outputs, int) and isinstance(pixels, int):
        return type(layer)._places(layer, outputs, pixels)
    above, below = _places(layer, outputs, pixels)
    return ops.minimum(above // below, pixels - 1)


def _weights(layer: ResizeLike, outputs: Tensor, pixels: Tensor) -> Tensor:
    if isinstance(outputs, int) and isinstance(pixels, int):
        return type(layer)._weights(layer, outputs, pixels)
    above, below = _places(layer, outputs, pixels)
    above = ops.clip(above, 0, (pixels - 1) * below)
    whole, unit = above // below, ops.cast(below, "float32")
    rest = ops.cast(above - whole * below, "float32") / unit
    rounding = type(layer)._places(layer, outputs, pixels) - ops.cast(whole, "float32") - rest
    rounding = ops.clip(rounding, -_ROUNDING, _ROUNDING)  # in bfloat16 it would be pixels
    distance = ops.cast(above[:, None] - ops.arange(pixels, dtype="int32")[None] * below, "float32") / unit
    return ops.cast(ops.relu(1 - ops.abs(distance + rounding[:, None])), layer.compute_dtype)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """A quotient of whole numbers below 4096 as a division rounds it: 12 binary digits, 12 more, and the rest."""
    above, below = ops.cast(above, "int32"), ops.cast(below, "int32")
    first = above * _DIGITS // below
    rest = above * _DIGITS - first * below
    second = rest * _DIGITS // below
    last = ops.cast(rest * _DIGITS - second * below, "float32") / ops.cast(below, "float32")
    return ops.cast(first, "float32") / _DIGITS + (ops.cast(second, "float32") + last) / _DIGITS**2


def _places(layer: ResizeLike, outputs: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Where on an axis of the input the output pixels lie: numerators, and the denominator of all."""
    output, step = ops.arange(outputs, dtype="int32"), _step(layer) if isinstance(layer, Rescale) else None
    above, below = (step.numerator, step.denominator) if step else (pixels, outputs)
    if layer.interpolation == "bilinear_align_corners":
        return output * (pixels - 1), ops.maximum(outputs - 1, 1)
    if layer.interpolation == "bilinear":
        return (2 * output + 1) * above - below, 2 * below
    return output * above, below
