"""Pooling along one axis: the tensor is pooled as a map of one row."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import MAP, Laid
from converters.building.operations.measures import Measures
from converters.building.operations.poolings import avg_pool2d, max_pool2d
from tfseg.layers.adaptive_pooling import AdaptivePooling


def _as_one_row(pool: Handler) -> Handler:
    """A pooling along the last axis of `(batch, channels, length)` by one of maps."""

    def handler(
        b: Builder,
        input: Laid,
        kernel_size: Sequence[Any],
        stride: Sequence[Any] = (),
        padding: Any = 0,
        dilation: Any = None,
        **rest: Any,
    ) -> Laid:
        numbers = [_number(value) for value in (kernel_size, stride or kernel_size, padding)]
        if input.rank != 3 or not all(isinstance(number, int) for number in numbers):
            raise b.refusal("pools something else than (batch, channels, length), or by what the image says")
        kernel, step, pad = numbers
        if dilation is not None:
            rest["dilation"] = [1, _number(dilation)]
        pooled = pool(b, _one_row(input), [1, kernel], [1, step], [0, pad], **rest)
        return b.laid(ops.squeeze(pooled.tensor, 1), (0, 2, 1))

    return handler


def _one_row(x: Laid) -> Laid:
    """`(batch, channels, length)` as a map of one row."""
    shapes = tuple((batch, channels, 1, length) for batch, channels, length in x.shapes)
    return Laid(ops.expand_dims(x.arranged((0, 2, 1)).tensor, 1), MAP, shapes)


def adaptive_avg_pool1d(b: Builder, input: Laid, output_size: Any) -> Laid:
    """Averages of as many parts of `(batch, channels, length)` as are asked for."""
    size = _number(output_size)
    if input.rank != 3 or not isinstance(size, int):
        raise b.refusal("pools something else than (batch, channels, length), or to a size that the image says")
    row = _one_row(input)
    if size == 1:
        pooled = b.layer(keras.layers.GlobalAveragePooling2D, row.tensor, keepdims=True)
    else:
        pooled = b.layer(AdaptivePooling, Measures(b, row).packed(), sizes=[1, size], mode="average")
    return b.laid(ops.squeeze(pooled, 1), (0, 2, 1))


def _number(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


HANDLERS: dict[str, Handler] = {
    "avg_pool1d": _as_one_row(avg_pool2d),
    "max_pool1d": _as_one_row(max_pool2d),
    "adaptive_avg_pool1d": adaptive_avg_pool1d,
}
