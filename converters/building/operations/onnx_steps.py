"""Steps that ONNX graphs have and torch's programs seldom: choices of classes, other resizes, TensorFlow's poolings."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import Laid
from converters.building.operations.shapes import map_like
from tfseg.layers.resample import Resample


def average_pool_same(b: Builder, input: Laid, kernel_size: Sequence[int], stride: Sequence[int]) -> Laid:
    """The average of each window by TensorFlow's padding "same", which does not count."""
    x = input.as_map().tensor
    return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel_size, strides=stride, padding="same"))


def resample(b: Builder, input: Laid, output_size: Any, scales: Any, **options: Any) -> Laid:
    """A map at another size, by any of ONNX's rules."""
    x = input.as_map().tensor
    if scales:
        return b.laid(b.layer(Resample, x, scales=scales, **options))
    shapes = b.shapes()
    sides = [tuple(shape[axis] for shape in shapes) for axis in (2, 3)]
    reference = map_like(b, sides)
    if reference is not None:
        return b.laid(b.layer(Resample, [x, reference.as_map().tensor], **options))
    factors = {
        tuple(new / old for new, old in zip(after[2:], before[2:], strict=True))
        for after, before in zip(shapes, input.shapes, strict=True)
    }
    if len(factors) != 1:
        raise b.refusal("makes a size that no map of the network has")
    return b.laid(b.layer(Resample, x, scales=factors.pop(), **options))


def argmax(b: Builder, input: Laid, dim: int, keepdim: bool = False) -> Laid:
    """The place of the largest number along an axis; the first of equal ones."""
    laid = input.plain()
    axis = dim % laid.rank
    tensor = ops.argmax(laid.tensor, axis=laid.place(axis), keepdims=keepdim)
    if keepdim:
        return b.laid(tensor, laid.axes)
    return b.laid(tensor, [other - (other > axis) for other in laid.axes if other != axis])


def index_select(b: Builder, input: Laid, dim: int, index: Sequence[int]) -> Laid:
    """Entries of an axis in another order."""
    laid = input.plain()
    return b.laid(ops.take(laid.tensor, ops.convert_to_tensor(list(index), "int32"), axis=laid.place(dim)), laid.axes)


def flip(b: Builder, input: Laid, dims: Sequence[int]) -> Laid:
    """Axes in the reverse order."""
    laid = input.plain()
    return b.laid(ops.flip(laid.tensor, axis=tuple(laid.place(axis) for axis in dims)), laid.axes)


def log_softmax(b: Builder, input: Laid, dim: int, dtype: Any = None) -> Laid:
    """The logarithm of softmax over one axis."""
    laid = input.plain()
    return b.laid(ops.log_softmax(laid.tensor, axis=laid.place(dim)), laid.axes)


def cast_float(b: Builder, input: Laid, integers: bool = False) -> Laid:
    """Truth values and integers as numbers."""
    tensor = ops.cast(input.tensor, "int32" if integers else keras.config.floatx())
    return Laid(tensor, input.axes, input.shapes, input.mixed)


def _comparison(function: Callable[[Any, Any], Any]) -> Handler:
    def handler(b: Builder, input: Any, other: Any) -> Laid:
        x = input if isinstance(input, Laid) else other
        first, second = (_operand(b, part, x) for part in (input, other))
        return b.laid(function(first, second), x.plain().axes)

    return handler


def where(b: Builder, condition: Laid, input: Any, other: Any) -> Laid:
    """One of two numbers at each place."""
    axes = condition.plain().axes
    first, second = (_operand(b, part, condition) for part in (input, other))
    return b.laid(ops.where(condition.plain().tensor, first, second), axes)


def _operand(b: Builder, value: Any, like: Laid) -> Any:
    """A tensor in the order of axes of another, or a number."""
    if isinstance(value, Laid):
        if value.rank != like.rank:
            raise b.refusal("combines tensors with other numbers of axes")
        return value.arranged(like.plain().axes).tensor
    if isinstance(value, int | float):
        return value
    raise b.refusal("compares with a tensor of the file")


HANDLERS: dict[str, Handler] = {
    "average_pool_same": average_pool_same,
    "resample": resample,
    "argmax": argmax,
    "index_select": index_select,
    "flip": flip,
    "log_softmax": log_softmax,
    "cast_float": cast_float,
    "eq": _comparison(ops.equal),
    "gt": _comparison(ops.greater),
    "lt": _comparison(ops.less),
    "ge": _comparison(ops.greater_equal),
    "le": _comparison(ops.less_equal),
    "where": where,
}
