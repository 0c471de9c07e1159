"""Pooling along one axis: the tensor is pooled as a map of one row."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import MAP, Laid
from converters.building.operations.poolings import avg_pool2d, max_pool2d


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
        rows = ops.expand_dims(input.arranged((0, 2, 1)).tensor, 1)
        shapes = tuple((batch, channels, 1, length) for batch, channels, length in input.shapes)
        if dilation is not None:
            rest["dilation"] = [1, _number(dilation)]
        pooled = pool(b, Laid(rows, MAP, shapes), [1, kernel], [1, step], [0, pad], **rest)
        return b.laid(ops.squeeze(pooled.tensor, 1), (0, 2, 1))

    return handler


def _number(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


HANDLERS: dict[str, Handler] = {"avg_pool1d": _as_one_row(avg_pool2d), "max_pool1d": _as_one_row(max_pool2d)}
