"""Poolings and means."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.graph import Sizes
from converters.building.laid import Laid
from converters.building.operations.convolutions import pair
from tfseg.layers import AdaptiveAveragePooling

_LOWEST = -3.4028234663852886e38  # float32's: it never is a maximum


def max_pool2d(
    b: Builder,
    input: Laid,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Laid:
    """The maximum of each window; what pads a map never is the maximum."""
    kernel, pads = pair(kernel_size), pair(padding)
    stride = pair(stride) if stride else kernel
    if pair(dilation) != (1, 1):
        raise b.refusal("is dilated")
    if input.border:
        if any(pads) or ceil_mode or input.border.value > _LOWEST or not input.border.is_same(kernel, stride):
            raise b.refusal("reads a map that is padded by what its size says, unlike TensorFlow's SAME")
        x = input.tensor
        return b.laid(b.layer(keras.layers.MaxPooling2D, x, pool_size=kernel, strides=stride, padding="same"))
    ends = [step - 1 if ceil_mode else 0 for step in stride]
    _check_last_windows(b, kernel, stride, pads, ceil_mode)
    x = input.as_map().tensor
    around = tuple((pad, pad + end) for pad, end in zip(pads, ends, strict=True))
    if any(map(any, around)):
        x = ops.pad(x, ((0, 0), *around, (0, 0)), constant_values=_LOWEST)
    return b.laid(b.layer(keras.layers.MaxPooling2D, x, pool_size=kernel, strides=stride))


def _check_last_windows(b: Builder, kernel: Any, stride: Any, pads: Any, ceil_mode: bool) -> None:
    """A last window that begins after the map and its first padding does not exist in torch; here it would."""
    if ceil_mode and any(pad > size - step for pad, size, step in zip(pads, kernel, stride, strict=True)):
        raise b.refusal("rounds up, with a padding that is larger than what its windows share")


def avg_pool2d(
    b: Builder,
    input: Laid,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Laid:
    """The average of each window."""
    if isinstance(kernel_size, list) and any(isinstance(size, Sizes) for size in kernel_size):
        if all(
            isinstance(size, Sizes) and size.values == input.sizes(axis)
            for axis, size in zip((2, 3), kernel_size, strict=True)
        ):
            return b.laid(b.layer(keras.layers.GlobalAveragePooling2D, input.as_map().tensor, keepdims=True))
        raise b.refusal("has a window that depends on the size of the image")
    kernel, pads = pair(kernel_size), pair(padding)
    stride = pair(stride) if stride else kernel
    if divisor_override is not None:
        raise b.refusal("has a divisor of its own")
    x = input.as_map().tensor
    if not any(pads) and not ceil_mode:
        return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=stride))
    if ceil_mode and not any(pads) and kernel == stride and max(kernel) <= 2:
        # The last window is divided by its pixels in both. Wider ones would be padded on both sides.
        return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=stride, padding="same"))
    if ceil_mode and not _divides(input, kernel, stride, pads):
        raise b.refusal("rounds up, with padding or windows that overlap")
    around = tuple((pad, pad) for pad in pads)
    if count_include_pad:
        x = b.layer(keras.layers.ZeroPadding2D, x, suffix="pad", padding=around)
        return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=stride))
    if all(pad * 2 == size - 1 for pad, size in zip(pads, kernel, strict=True)) and stride == (1, 1):
        return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=1, padding="same"))
    if all(pad * 2 == size - 1 for pad, size in zip(pads, kernel, strict=True)):
        # Averages at every pixel, whose windows are divided by their pixels on the map; then every stride-th of them.
        x = b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=1, padding="same")
        return b.laid(b.layer(keras.layers.MaxPooling2D, x, suffix="stride", pool_size=1, strides=stride))
    raise b.refusal("does not count the padding, which is not half of its window")


def _divides(x: Laid, kernel: Any, stride: Any, pads: Any) -> bool:
    """Whether rounding up changes no size: known only for fixed sizes."""
    return (
        all(
            (size + 2 * pad - window) % step == 0
            for shape in x.shapes
            for size, window, step, pad in zip(shape[2:], kernel, stride, pads, strict=True)
        )
        and len({shape[2:] for shape in x.shapes}) == 1
    )


def adaptive_avg_pool2d(b: Builder, input: Laid, output_size: Sequence[Any]) -> Laid:
    """Averages of as many parts as are asked for."""
    x = input.as_map().tensor
    sizes = [
        axis_size if isinstance(axis_size, int) else None if axis_size is None else axis_size
        for axis_size in output_size
    ]
    known = [input.sizes(axis) for axis in (2, 3)]
    if sizes == [1, 1]:
        return b.laid(b.layer(keras.layers.GlobalAveragePooling2D, x, keepdims=True))
    if all(size is None or _is(size, axis) for size, axis in zip(sizes, known, strict=True)):
        return input.as_map()
    if sizes[1] == 1 and (sizes[0] is None or _is(sizes[0], known[0])):
        return b.laid(ops.mean(x, axis=2, keepdims=True))
    if sizes[0] == 1 and (sizes[1] is None or _is(sizes[1], known[1])):
        return b.laid(ops.mean(x, axis=1, keepdims=True))
    if isinstance(sizes[0], int) and sizes[0] == sizes[1]:
        return b.laid(b.layer(AdaptiveAveragePooling, x, size=sizes[0]))
    raise b.refusal("makes parts that are no square")


def _is(size: Any, axis: tuple[int, ...]) -> bool:
    return isinstance(size, Sizes) and size.values == axis


def adaptive_max_pool2d(b: Builder, input: Laid, output_size: Sequence[Any]) -> list[Laid | None]:
    """The maximum of each channel; other numbers of parts are refused."""
    if list(output_size) != [1, 1]:
        raise b.refusal("has more than one part")
    laid = input.as_map()
    tensor = b.layer(keras.layers.GlobalMaxPooling2D, laid.tensor, keepdims=True)
    shapes = tuple((*shape[:2], 1, 1) for shape in input.shapes)
    return [Laid(tensor, laid.axes, shapes), None]  # without the places of the maxima


def mean(b: Builder, input: Laid, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Laid:
    """The mean over axes."""
    return _reduced(b, input, dim, keepdim, ops.mean)


def total(b: Builder, input: Laid, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Laid:
    """The sum over axes."""
    return _reduced(b, input, dim, keepdim, ops.sum)


def _reduced(b: Builder, x: Laid, dim: Any, keepdim: bool, function: Any) -> Laid:
    laid = x.plain()
    dims = [dim] if isinstance(dim, int) else list(dim or range(laid.rank))
    dims = sorted(axis % laid.rank for axis in dims)
    if 0 in dims and len(set(laid.sizes(0))) > 1:
        raise b.refusal("reduces the batch")
    if laid.rank == 4 and dims == [2, 3] and function is ops.mean:
        tensor = b.layer(keras.layers.GlobalAveragePooling2D, laid.as_map().tensor, keepdims=keepdim)
        return b.laid(tensor)
    places = [laid.place(axis) for axis in dims]
    tensor = function(laid.tensor, axis=tuple(places), keepdims=keepdim)
    if keepdim:
        return b.laid(tensor, laid.axes)
    left = [axis for axis in laid.axes if axis not in dims]
    return b.laid(tensor, [sum(other < axis for other in left) for axis in left])


def amax(b: Builder, input: Laid, dim: Any = (), keepdim: bool = False) -> Laid:
    """The maximum over axes."""
    return _reduced(b, input, dim, keepdim, ops.max)


def vector_norm(
    b: Builder, input: Laid, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Laid:
    """The Euclidean length over axes."""
    if ord != 2:
        raise b.refusal("is another norm than the Euclidean one")
    return _reduced(b, input, dim, keepdim, _euclidean)


def _euclidean(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.sqrt(ops.sum(ops.square(x), axis=axis, keepdims=keepdims))


HANDLERS: dict[str, Handler] = {
    "linalg_vector_norm": vector_norm,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_max_pool2d": adaptive_max_pool2d,
    "mean": mean,
    "sum": total,
    "amax": amax,
}
