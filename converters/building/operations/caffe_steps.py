"""Steps that Caffe's networks have and torch's programs lack."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import MAP, Laid
from converters.building.operations.convolutions import constant
from tfseg.layers import Rescale
from tfseg.layers.axis_windows import AxisSlice
from tfseg.layers.crop_like import CropLike
from tfseg.layers.interpolate import Interpolate
from tfseg.layers.response_normalization import ResponseNormalization
from tfseg.layers.with_weight import WithWeight


def channel_affine(b: Builder, input: Laid, weight: Any, bias: Any, axis: int) -> Laid:
    """A factor and a shift for each entry of some axes, from one on."""
    laid = input.plain()
    x = laid.tensor
    for argument, value, operation in (("weight", weight, "multiply"), ("bias", bias, "add")):
        if value is None:
            continue
        numbers = constant(b, value, f"a {argument}")
        letters = [f"a{index}" for index in range(numbers.ndim)]
        single = numbers.size == 1 and numbers.ndim < 2
        owner = {axis + index: letter for index, letter in enumerate(letters)}
        shape = [1 if single or place not in owner else numbers.shape[place - axis] for place in laid.axes[1:]]
        target = ["1" if single else owner.get(place, "1") for place in laid.axes[1:]]
        source = " ".join("1" if single else letter for letter in letters)
        weights = {"weight": Weight(argument, f"{source} -> {' '.join(target)}")}
        suffix = "" if argument == "weight" or weight is None else "shift"
        x = b.layer(WithWeight, x, weights, suffix=suffix, operation=operation, shape=shape)
    return b.laid(x, laid.axes)


def response_norm(b: Builder, input: Laid, size: int, alpha: float, beta: float, k: float) -> Laid:
    """Each number divided by a power of the squares of its neighbors in other channels."""
    x = input.as_map().tensor
    return b.laid(b.layer(ResponseNormalization, x, size=size, alpha=alpha, beta=beta, k=k))


def last_argmax(b: Builder, input: Laid, dim: int) -> Laid:
    """The place of the largest number along an axis, as a number; of equal ones, the last counts."""
    laid = input.plain()
    place, size = laid.place(dim), laid.sizes(dim)[0]
    first = ops.argmax(ops.flip(laid.tensor, axis=place), axis=place, keepdims=True)
    return b.laid(float(size - 1) - ops.cast(first, keras.config.floatx()), laid.axes)


def crop_like(b: Builder, input: Laid, like: Laid, offsets: Sequence[int]) -> Laid:
    """The window of a map that is as large as another map."""
    x, reference = input.as_map().tensor, like.as_map().tensor
    rows, columns = offsets
    if rows == columns:
        return b.laid(b.layer(CropLike, [x, reference], offset=rows))
    for axis, offset in ((1, rows), (2, columns)):
        stop = [1, axis, 1, offset]
        x = b.layer(AxisSlice, [x, reference], suffix=("", "rows", "")[axis], axis=axis, start=offset, stop=stop)
    return b.laid(x)


def caffe_interp(b: Builder, input: Laid, cut: Sequence[int], size: Any, zoom: int, shrink: int) -> Laid:
    """A map at another size, with its outermost pixels on those of the result."""
    x = input.as_map().tensor
    if any(cut):
        x = b.layer(keras.layers.Cropping2D, x, suffix="crop", cropping=((cut[0], cut[1]),) * 2)
    if size is None and zoom == shrink == 1:
        return b.laid(x)
    options: dict[str, Any] = {"interpolation": "bilinear", "align_corners": True}
    if size is not None:
        return b.laid(b.layer(Interpolate, x, sizes=list(size), **options))
    if shrink == 1:
        options = {"interpolation": "bilinear_align_corners", "scale": float(zoom), "extra": 1 - zoom}
        return b.laid(b.layer(Rescale, x, **options))
    if zoom == 1:  # (n - 1) // shrink + 1
        sizes = [[0, axis, 1, shrink - 1, shrink] for axis in (1, 2)]
        return b.laid(b.layer(Interpolate, x, sizes=sizes, **options))
    # What is left by the division counts: a map of that size tells it.
    small = b.layer(keras.layers.MaxPooling2D, x, suffix="size", pool_size=1, strides=shrink)
    sizes = [[1, axis, zoom, 1 - zoom] for axis in (1, 2)]
    return Laid(b.layer(Interpolate, [x, small], sizes=sizes, **options), MAP, b.shapes())


HANDLERS: dict[str, Handler] = {
    "channel_affine": channel_affine,
    "response_norm": response_norm,
    "last_argmax": last_argmax,
    "crop_like": crop_like,
    "caffe_interp": caffe_interp,
}
