"""Maps of another size: interpolation, padding, and pixels moved between channels and the map."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.graph import Sizes
from converters.building.laid import Border, Laid
from converters.building.operations.shapes import map_like
from tfseg.layers import Rescale, ResizeLike
from tfseg.layers.pixel_shuffle import PixelShuffle


def _resized(b: Builder, x: Laid, how: str, scales: Any) -> Laid:
    laid = x.as_map()
    shapes = b.shapes()
    if all(old[2:] == new[2:] for old, new in zip(x.shapes, shapes, strict=True)):
        return x
    if scales:
        rows, columns = (float(scale) for scale in scales)
        whole = rows == columns == int(rows)
        if whole and how == "nearest":
            return b.laid(b.layer(keras.layers.UpSampling2D, laid.tensor, size=int(rows), interpolation="nearest"))
        if whole and how == "bilinear":
            return b.laid(b.layer(keras.layers.UpSampling2D, laid.tensor, size=int(rows), interpolation="bilinear"))
        if rows == columns:
            return b.laid(b.layer(Rescale, laid.tensor, scale=rows, interpolation=how))
        raise b.refusal("has two scales")
    sides = [tuple(shape[axis] for shape in shapes) for axis in (2, 3)]
    reference = map_like(b, sides)
    if reference is not None:
        return b.laid(b.layer(ResizeLike, [laid.tensor, reference.as_map().tensor], interpolation=how))
    factor = _factor(x, sides)
    if factor:
        return b.laid(b.layer(Rescale, laid.tensor, scale=factor, interpolation=how))
    raise b.refusal("makes a size that no map of the network has")


def _factor(x: Laid, sides: Sequence[tuple[int, ...]]) -> int | None:
    """The integer by which both axes grow at every traced size."""
    factors = {
        new / old
        for axis, side in zip((2, 3), sides, strict=True)
        for new, old in zip(side, x.sizes(axis), strict=True)
    }
    factor = next(iter(factors))
    return int(factor) if len(factors) == 1 and factor == int(factor) else None


def nearest(b: Builder, input: Laid, output_size: Any = None, scale_factors: Any = None) -> Laid:
    """torch's "nearest"."""
    return _resized(b, input, "nearest", scale_factors)


def bilinear(b: Builder, input: Laid, output_size: Any, align_corners: bool, scale_factors: Any = None) -> Laid:
    """Bilinear interpolation, with corners aligned or not."""
    return _resized(b, input, "bilinear_align_corners" if align_corners else "bilinear", scale_factors)


def pad(b: Builder, input: Laid, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Laid:
    """Pixels around a map."""
    if not all(isinstance(size, int) for size in pad):
        return _border(b, input, pad, mode, value)
    laid = input.plain()
    around = [(0, 0)] * laid.rank
    for index in range(len(pad) // 2):
        around[laid.place(laid.rank - 1 - index)] = (pad[2 * index], pad[2 * index + 1])
    if any(size < 0 for pair in around for size in pair):
        if laid.rank != 4 or mode != "constant":
            raise b.refusal("cuts")
        laid = laid.as_map()
        left, right, above, below = (*pad, 0, 0, 0, 0)[:4]
        if min(left, right, above, below) < 0 < max(left, right, above, below):
            raise b.refusal("cuts on one side and pads on another")
        crop = ((-above, -below), (-left, -right))
        return b.laid(b.layer(keras.layers.Cropping2D, laid.tensor, cropping=crop))
    if mode == "constant" and not value and laid.rank == 4 and laid.axes == (0, 2, 3, 1) and around[3] == (0, 0):
        return b.laid(b.layer(keras.layers.ZeroPadding2D, laid.tensor, padding=(around[1], around[2])))
    if mode == "constant":
        return b.laid(ops.pad(laid.tensor, around, constant_values=float(value or 0)), laid.axes)
    if mode == "reflect":
        return b.laid(ops.pad(laid.tensor, around, mode="reflect"), laid.axes)
    raise b.refusal(f"pads in the mode {mode}")


def _border(b: Builder, x: Laid, pad: Sequence[Any], mode: str, value: Any) -> Laid:
    """The map, with pixels around it that the next step has to add."""
    if mode != "constant" or x.rank != 4 or len(pad) != 4:
        raise b.refusal("pads by what the size of the image says")
    number = len(x.shapes)
    left, right, above, below = (size.values if isinstance(size, Sizes) else (size,) * number for size in pad)
    pads = tuple(((above[index], below[index]), (left[index], right[index])) for index in range(number))
    sizes = tuple((shape[2], shape[3]) for shape in x.shapes)
    laid = x.as_map()
    return Laid(laid.tensor, laid.axes, b.shapes(), border=Border(pads, sizes, float(value or 0)))


def pixel_shuffle(b: Builder, input: Laid, upscale_factor: int) -> Laid:
    """Channels that become pixels."""
    return b.laid(b.layer(PixelShuffle, input.as_map().tensor, factor=upscale_factor))


HANDLERS: dict[str, Handler] = {
    "upsample_nearest2d": nearest,
    "upsample_bilinear2d": bilinear,
    "pad": pad,
    "constant_pad_nd": lambda b, input, pad_, value=0: pad(b, input, pad_, "constant", value),
    "pixel_shuffle": pixel_shuffle,
}
