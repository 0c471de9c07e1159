"""Poolings by windows: of a fixed size, or as many as are asked for."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.graph import Sizes
from converters.building.laid import MAP, Laid
from converters.building.operations.convolutions import pair
from converters.building.operations.measures import Measures
from converters.types import Shape
from tfseg.layers.adaptive_pooling import AdaptivePooling
from tfseg.layers.axis_windows import AxisSlice
from tfseg.layers.global_average_pooling import GlobalAveragePooling
from tfseg.layers.resizing import AdaptiveAveragePooling
from tfseg.layers.unpooling import MaximumPlaces, Unpooling
from tfseg.layers.window_pooling import WindowPooling

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
    _check_map(b, input)
    _require_numbers(b, kernel_size, stride, padding)
    kernel, pads = pair(kernel_size), pair(padding)
    stride = pair(stride) if stride else kernel
    rates = pair(dilation)
    if input.border:
        if any(pads) or ceil_mode or rates != (1, 1) or input.border.value > _LOWEST:
            raise b.refusal("reads a map that is padded by what its size says, unlike TensorFlow's SAME")
        if not input.border.is_same(kernel, stride):
            raise b.refusal("reads a map that is padded by what its size says, unlike TensorFlow's SAME")
        x = input.tensor
        return _maxima(b, b.layer(keras.layers.MaxPooling2D, x, pool_size=kernel, strides=stride, padding="same"))
    x = input.as_map().tensor
    # A last window that begins after the map and its first padding does not exist in torch.
    late = ceil_mode and any(pad > size - step for pad, size, step in zip(pads, kernel, stride, strict=True))
    if rates != (1, 1) or late:
        config: dict[str, Any] = {"padding": pads, "dilation_rate": rates, "ceil_mode": ceil_mode}
        return _maxima(b, b.layer(WindowPooling, x, pool_size=kernel, mode="max", strides=stride, **config))
    ends = [step - 1 if ceil_mode else 0 for step in stride]
    around = tuple((pad, pad + end) for pad, end in zip(pads, ends, strict=True))
    if any(map(any, around)):
        x = ops.pad(x, ((0, 0), *around, (0, 0)), constant_values=_LOWEST)
    return _maxima(b, b.layer(keras.layers.MaxPooling2D, x, pool_size=kernel, strides=stride))


def _maxima(b: Builder, tensor: Any) -> Laid:
    return Laid(tensor, MAP, first_shapes(b))


def _require_numbers(b: Builder, *settings: Any) -> None:
    """Refuses windows that the size of the image decides."""
    if any(isinstance(size, Sizes) for part in settings for size in (part if isinstance(part, list) else [part])):
        raise b.refusal(
            "has a window that depends on the size of the image; adaptive pooling has such windows, or give an image "
            "(example=) for one size"
        )


def max_pool2d_with_indices(
    b: Builder,
    input: Laid,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> list[Laid | None]:
    """The maxima and their places; places only of windows side by side."""
    kernel = pair(kernel_size)
    maxima = max_pool2d(b, input, kernel_size, stride, padding, dilation, ceil_mode)
    read = any(step.arguments.get("index") == 1 for step in b.users.get(b.step.name, ()))
    side_by_side = (not stride or pair(stride) == kernel) and pair(padding) == (0, 0) and pair(dilation) == (1, 1)
    if not read:
        return [maxima, None]
    if not side_by_side:
        raise b.refusal("gives the places of maxima in windows that overlap, or are padded")
    config: dict[str, Any] = {"pool_size": kernel, "ceil_mode": ceil_mode}
    places = b.layer(MaximumPlaces, input.as_map().tensor, suffix="places", **config)
    return [maxima, Laid(places, maxima.axes, maxima.shapes)]


def max_unpool2d(b: Builder, input: Laid, indices: Any, output_size: Sequence[Any]) -> Laid:
    """Numbers put back where their maxima were."""
    if not isinstance(indices, Laid):
        raise b.refusal("puts numbers at places that the network does not compute")
    x = input.as_map()
    measures = Measures(b, x)
    measures.inputs.append(indices.as_map().tensor)
    shapes = b.shapes()
    sizes = [measures.find(tuple(shape[axis] for shape in shapes), "a map") for axis in (2, 3)]
    return b.laid(b.layer(Unpooling, measures.packed(), sizes=sizes))


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
    _check_map(b, input)
    whole = [input.sizes(axis) for axis in (2, 3)]
    if isinstance(kernel_size, list) and [getattr(size, "values", None) for size in kernel_size] == whole:
        return b.laid(b.layer(GlobalAveragePooling, input.as_map().tensor, keepdims=True))
    _require_numbers(b, kernel_size, stride, padding)
    kernel, pads = pair(kernel_size), pair(padding)
    stride = pair(stride) if stride else kernel
    ceil_mode = ceil_mode and stride != (1, 1)  # a stride of 1 leaves no pixels over
    x = input.as_map().tensor
    if divisor_override is None:
        if not any(pads) and not ceil_mode:
            return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=stride))
        if ceil_mode and not any(pads) and kernel == stride and max(kernel) <= 2:
            # The last window is divided by its pixels in both. Wider ones would be padded on both sides.
            return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=stride, padding="same"))
        half = all(pad * 2 == size - 1 for pad, size in zip(pads, kernel, strict=True))
        if not ceil_mode and not count_include_pad and half and stride == (1, 1):
            return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=1, padding="same"))
        if not ceil_mode and count_include_pad:
            x = b.layer(keras.layers.ZeroPadding2D, x, suffix="pad", padding=tuple((pad, pad) for pad in pads))
            return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel, strides=stride))
    config: dict[str, Any] = {
        "padding": pads,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        "divisor": divisor_override,
    }
    return b.laid(b.layer(WindowPooling, x, pool_size=kernel, mode="average", strides=stride, **config))


def avg_pool3d(
    b: Builder,
    input: Laid,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Laid:
    """The average over neighboring channels, as torch computes local response normalization."""
    kernel = list(kernel_size)
    plain = input.rank == 5 and kernel[1:] == [1, 1] and not ceil_mode and divisor_override is None
    if not plain or any(step != 1 for step in stride or kernel) or any(padding if padding else ()):
        raise b.refusal("averages over three axes")
    laid = input.plain()
    place, size = laid.place(2), laid.sizes(2)[0]
    parts = [
        b.layer(AxisSlice, laid.tensor, suffix="part", axis=place, start=index, stop=size - kernel[0] + 1 + index)
        for index in range(kernel[0])
    ]
    return b.laid(functools.reduce(ops.add, parts) / kernel[0], laid.axes)


def _adaptive(b: Builder, x: Laid, output_size: Any, mode: str) -> Laid:
    laid = x.as_map()
    shapes = first_shapes(b)
    sides = [tuple(shape[axis] for shape in shapes) for axis in (2, 3)]
    kept = [side == laid.sizes(axis) for side, axis in zip(sides, (2, 3), strict=True)]
    if all(kept) and all(map(_is_own, output_size)):
        return laid
    if sides == [(1,) * len(shapes)] * 2 and not any(isinstance(size, Sizes) for size in output_size):
        make: Any = GlobalAveragePooling if mode == "average" else keras.layers.GlobalMaxPooling2D
        return Laid(b.layer(make, laid.tensor, keepdims=True), laid.axes, shapes)
    numbers = [size for size in output_size if isinstance(size, int)]
    if mode == "average" and len(numbers) == 2 and numbers[0] == numbers[1]:
        return Laid(b.layer(AdaptiveAveragePooling, laid.tensor, size=numbers[0]), laid.axes, shapes)
    measures = Measures(b, laid)
    sizes = [
        size if isinstance(size, int) else measures.find(side, "a map")
        for size, side in zip(output_size, sides, strict=True)
    ]
    return Laid(b.layer(AdaptivePooling, measures.packed(), sizes=sizes, mode=mode), laid.axes, shapes)


def _is_own(size: Any) -> bool:
    return size is None or isinstance(size, Sizes)


def adaptive_avg_pool2d(b: Builder, input: Laid, output_size: Sequence[Any]) -> Laid:
    """Averages of as many parts as are asked for."""
    _check_map(b, input)
    return _adaptive(b, input, output_size, "average")


def adaptive_max_pool2d(b: Builder, input: Laid, output_size: Sequence[Any]) -> list[Laid | None]:
    """Maxima of as many parts as are asked for, without their places."""
    _check_map(b, input)
    return [_adaptive(b, input, output_size, "max"), None]


def first_shapes(b: Builder) -> tuple[Shape, ...]:
    """The shapes of the first of a step's results, where it has several."""
    shapes = b.graph.shapes.get(b.step.name)
    if shapes is not None:
        return shapes
    users = b.users.get(b.step.name, ())
    first = [step.name for step in users if step.op == "getitem" and step.arguments["index"] == 0]
    if not first:
        raise b.refusal("gives maxima that nothing reads")
    return b.graph.shapes[first[0]]


def _check_map(b: Builder, x: Laid) -> None:
    if x.rank != 4:
        raise b.refusal("pools something else than a map (batch, channels, height, width)")


HANDLERS: dict[str, Handler] = {
    "max_pool2d": max_pool2d,
    "max_pool2d_with_indices": max_pool2d_with_indices,
    "max_unpool2d": max_unpool2d,
    "avg_pool2d": avg_pool2d,
    "avg_pool3d": avg_pool3d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_max_pool2d": adaptive_max_pool2d,
}
