"""How far the pixels of each map lie apart on the image, and how much of the image they see."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import keras
from keras import layers

from tfseg.layers import DilatedPooling, ResizeLike
from tfseg.surgery import dilation_rules
from tfseg.surgery.grids import window_of


class ReceptiveField(NamedTuple):
    """The part of the image that a pixel of a map sees.

    Attributes:
        stride: image pixels from one pixel of the map to the next; None if there is no map, but what a pooling of all
            of it left.
        size: the receptive field in image pixels, rows and columns; infinite after a pooling of all pixels.
    """

    stride: Fraction | None
    size: tuple[float | Fraction, ...]

    def __str__(self) -> str:
        return " x ".join("image" if math.isinf(side) else f"{float(side):g}" for side in self.size)


IMAGE = ReceptiveField(Fraction(1), (1, 1))
WHOLE = ReceptiveField(None, (math.inf, math.inf))


def field_after(operation: keras.Operation, fields: Sequence[ReceptiveField]) -> ReceptiveField | None:
    """The receptive field after an operation on maps with these fields; None if it takes no map."""
    if not fields:
        return None
    stride = max((field.stride for field in fields if field.stride), default=None)
    size = tuple(map(max, *(field.size for field in fields), (0, 0)))
    rule = dilation_rules.rule_of(operation)
    if rule is dilation_rules.whole_map or (
        rule is dilation_rules.reduction and {1, 2} <= dilation_rules.reduced_axes(operation)
    ):
        return WHOLE
    if stride is None:
        return ReceptiveField(None, size)
    if isinstance(operation, DilatedPooling):
        return _wider(stride, size, [operation.dilation_rate * (side - 1) for side in operation.pool_size], 1)
    if rule in (dilation_rules.convolution, dilation_rules.pooling):
        window = window_of(operation)
        return _wider(stride, size, [extent - 1 for extent in window.extent], window.strides[0])
    if isinstance(operation, layers.Conv2DTranspose):
        more = [-(-side // step) - 1 for side, step in zip(operation.kernel_size, operation.strides, strict=True)]
        return _wider(stride, size, more, Fraction(1, operation.strides[0]))
    if isinstance(operation, layers.UpSampling2D):
        more = [int(operation.interpolation != "nearest")] * 2
        return _wider(stride, size, more, Fraction(1, operation.size[0]))
    if isinstance(operation, ResizeLike):
        source, reference = fields
        if source.stride:
            return _wider(source.stride, source.size, [1, 1], 1)._replace(stride=reference.stride)
    return ReceptiveField(stride, size)


def _wider(
    stride: Fraction, size: Sequence[float | Fraction], more: Sequence[int], step: int | Fraction
) -> ReceptiveField:
    """Each pixel sees so many more pixels of the map before, and lies `step` of them from the next."""
    grown = tuple(side + stride * pixels for side, pixels in zip(size, more, strict=True))
    return ReceptiveField(stride * step, grown)
