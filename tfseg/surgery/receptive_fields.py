"""How far the pixels of each map lie apart on the image, and how much of it they see."""

import math
from fractions import Fraction
from typing import NamedTuple

from keras import layers

from tfseg.layers import DilatedPooling, ResizeLike
from tfseg.surgery import dilation_rules


class Field(NamedTuple):
    """Of the pixels of a map.

    Attributes:
        stride: image pixels from one to the next; None where there is no map, but what a pooling of all of it left.
        size: the receptive field, image pixels, rows and columns; infinite behind a pooling of all pixels.
    """

    stride: Fraction | None
    size: tuple

    def __str__(self):
        return " x ".join("image" if math.isinf(side) else f"{float(side):g}" for side in self.size)


IMAGE = Field(Fraction(1), (1, 1))
WHOLE = Field(None, (math.inf, math.inf))


def behind(operation, fields):
    """The field behind an operation on maps with these fields; None if it takes no map."""
    if not fields:
        return None
    strides = [field.stride for field in fields if field.stride]
    field = Field(max(strides, default=None), tuple(map(max, *(field.size for field in fields), (0, 0))))
    rule = dilation_rules.rule_of(operation)
    if rule is dilation_rules.whole or (
        rule is dilation_rules.reduction and {1, 2} <= dilation_rules.reduced_axes(operation)
    ):
        return WHOLE
    if field.stride is None:
        return field
    if isinstance(operation, DilatedPooling):
        return _wider(field, [operation.dilation_rate * (size - 1) for size in operation.pool_size], 1)
    if rule in (dilation_rules.convolution, dilation_rules.pooling):
        window = dilation_rules.window_of(operation)
        return _wider(field, [extent - 1 for extent in window.extent], window.strides[0])
    if isinstance(operation, layers.Conv2DTranspose):
        more = [-(-size // stride) - 1 for size, stride in zip(operation.kernel_size, operation.strides, strict=True)]
        return _wider(field, more, Fraction(1, operation.strides[0]))
    if isinstance(operation, layers.UpSampling2D):
        more = int(operation.interpolation != "nearest")
        return _wider(field, [more, more], Fraction(1, operation.size[0]))
    if isinstance(operation, ResizeLike):
        source, reference = fields
        return _wider(source, [1, 1], 1)._replace(stride=reference.stride) if source.stride else field
    return field


def _wider(field, pixels, strides):
    """Each pixel sees so many more of the map before, and lies `strides` of them from the next."""
    size = tuple(side + field.stride * more for side, more in zip(field.size, pixels, strict=True))
    return Field(field.stride * strides, size)
