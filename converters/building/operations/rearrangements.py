"""Numbers in other places: axes moved, reversed, repeated, read in another order, and windows side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import Laid, with_leading_axes
from converters.building.operations.convolutions import pair
from converters.building.operations.measures import Measures
from converters.building.operations.parts import cut
from converters.building.operations.shapes import expand, permute
from converters.types import Shape
from tfseg.layers.overlaid import Overlaid
from tfseg.layers.pixel_shuffle import PixelShuffle, PixelUnshuffle
from tfseg.layers.reshape_like import ReshapeLike
from tfseg.layers.shuffle_channels import ShuffleChannels
from tfseg.layers.side_by_side import SideBySide


def flip(b: Builder, input: Laid, dims: Any) -> Laid:
    """Axes in the reverse order."""
    laid = input.plain()
    axes = [dims] if isinstance(dims, int) else list(dims)
    if any(axis % laid.rank == 0 for axis in axes):
        raise b.refusal("reverses the batch")
    return b.laid(ops.flip(laid.tensor, axis=tuple(laid.place(axis) for axis in axes)), laid.axes)


def rot90(b: Builder, input: Laid, k: int = 1, dims: Sequence[int] = (0, 1)) -> Laid:
    """A quarter turn, `k` times, from the first axis to the second."""
    laid = input.plain()
    first, second = (axis % laid.rank for axis in dims)
    if 0 in (first, second):
        raise b.refusal("turns the batch")
    order = list(range(laid.rank))
    if k % 2:
        order[first], order[second] = second, first
    turned = [(), (first,), (first, second), (second,)][k % 4]
    # The axes are exchanged first, and then reversed.
    shapes = tuple(tuple(shape[axis] for axis in order) for shape in laid.shapes)
    exchanged = Laid(laid.tensor, tuple(order.index(axis) for axis in laid.axes), shapes)
    if not turned:
        return exchanged
    return b.laid(ops.flip(exchanged.tensor, axis=tuple(map(exchanged.place, turned))), exchanged.axes)


def roll(b: Builder, input: Laid, shifts: Any, dims: Any = ()) -> Laid:
    """Numbers moved around along axes."""
    laid = input.plain()
    axes = [dims] if isinstance(dims, int) else list(dims)
    steps = [shifts] if isinstance(shifts, int) else list(shifts)
    if not axes or any(axis % laid.rank == 0 for axis in axes):
        raise b.refusal("moves numbers from one image of the batch to another")
    if not all(isinstance(step, int) for step in steps):
        raise b.refusal("moves numbers by what the size of the image says")
    x = laid.tensor
    for step, axis in zip(steps, axes, strict=True):
        x = ops.roll(x, step, axis=laid.place(axis))
    return b.laid(x, laid.axes)


def movedim(b: Builder, input: Laid, source: Any, destination: Any) -> Laid:
    """Axes taken out and put in elsewhere."""
    sources, targets = ([part] if isinstance(part, int) else list(part) for part in (source, destination))
    rank = input.rank
    order: dict[int, int] = {t % rank: s % rank for s, t in zip(sources, targets, strict=True)}
    left = iter(axis for axis in range(rank) if axis not in order.values())
    return permute(b, input, [order[place] if place in order else next(left) for place in range(rank)])


def taken(b: Builder, input: Laid, axis: int, index: np.ndarray) -> Laid:
    """Entries of an axis, by their numbers."""
    laid = input.plain()
    sizes = laid.sizes(axis)
    if axis % laid.rank == 0:
        raise b.refusal("chooses images of the batch")
    if len(set(sizes)) > 1 and (index < 0).any():
        raise b.refusal("counts from the end of an axis whose size depends on the image")
    if len(set(sizes)) > 1 and index.size and index.max() >= min(sizes):
        raise b.refusal("takes entries that the traced sizes lack")
    index = np.where(index < 0, index + sizes[0], index).astype("int32")
    return b.laid(ops.take(laid.tensor, ops.convert_to_tensor(index), axis=laid.place(axis)), laid.axes)


def index_select(b: Builder, input: Laid, dim: int, index: Any) -> Laid:
    """Entries of an axis, by their numbers."""
    if isinstance(index, Laid):
        raise b.refusal("chooses entries by numbers that the network computes")
    return taken(b, input, dim, np.asarray(index))


def index(b: Builder, input: Laid, indices: Sequence[Any]) -> Laid:
    """`x[:, [2, 0]]`: entries of one axis, by constant numbers."""
    chosen = [(axis, part) for axis, part in enumerate(indices) if part is not None]
    if not isinstance(input, Laid) or len(chosen) != 1 or not isinstance(chosen[0][1], np.ndarray):
        raise b.refusal("chooses entries by numbers that the network computes, or of several axes")
    axis, numbers = chosen[0]
    if numbers.dtype.kind not in "iu":
        raise b.refusal("chooses entries by a mask")
    if numbers.ndim == 1:
        return taken(b, input, axis, numbers)
    laid = input.in_order()
    if axis == 0 or len(set(laid.sizes(axis))) > 1:
        raise b.refusal("reads a table of places on an axis whose size depends on the image")
    places = numbers % laid.sizes(axis)[0]
    rank = laid.rank + numbers.ndim - 1
    return b.laid(ops.take(laid.tensor, places.astype("int32"), axis=laid.place(axis)), range(rank))


def channel_shuffle(b: Builder, input: Laid, groups: int) -> Laid:
    """Channels of groups, one of each in turn."""
    if input.rank == 4:
        laid = input.as_map()
        return b.laid(b.layer(ShuffleChannels, laid.tensor, groups=groups), laid.axes)
    channels = input.sizes(1)[0]
    return taken(b, input, 1, np.arange(channels).reshape(groups, -1).T.ravel())


def repeat(b: Builder, input: Laid, repeats: Sequence[Any]) -> Laid:
    """A tensor several times along its axes."""
    laid = with_leading_axes(input, len(repeats)).plain()
    repeated = [axis for axis, number in enumerate(repeats) if number != 1]
    if all(set(laid.sizes(axis)) == {1} for axis in repeated):
        return expand(b, laid)
    if not all(isinstance(number, int) for number in repeats):
        raise b.refusal("repeats several entries as often as the size of the image says")
    if repeats[0] != 1:
        raise b.refusal("repeats the batch")
    return b.laid(ops.tile(laid.tensor, [repeats[axis] for axis in laid.axes]), laid.axes)


def repeat_interleave(b: Builder, input: Laid, repeats: Any, dim: Any = None, output_size: Any = None) -> Laid:
    """Each entry of an axis several times; those of one image stay together."""
    laid = input.plain()
    if dim is None or not isinstance(repeats, int):
        raise b.refusal("repeats all numbers, or entries in different numbers")
    return b.laid(ops.repeat(laid.tensor, repeats, axis=laid.place(dim)), laid.axes)


def pixel_shuffle(b: Builder, input: Laid, upscale_factor: int) -> Laid:
    """Channels that become pixels."""
    _check_map(b, input)
    return b.laid(b.layer(PixelShuffle, input.as_map().tensor, factor=upscale_factor))


def pixel_unshuffle(b: Builder, input: Laid, downscale_factor: int) -> Laid:
    """Pixels that become channels."""
    _check_map(b, input)
    return b.laid(b.layer(PixelUnshuffle, input.as_map().tensor, factor=downscale_factor))


def _check_map(b: Builder, x: Laid) -> None:
    if x.rank != 4:
        raise b.refusal("works on something else than a map")


def unfold(b: Builder, input: Laid, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Laid:
    """Windows of a map, side by side in the channels, as columns."""
    _check_map(b, input)
    x = b.layer(
        SideBySide,
        input.as_map().tensor,
        kernel_size=pair(kernel_size),
        strides=pair(stride),
        padding=pair(padding),
        dilation_rate=pair(dilation),
    )
    rows = b.layer(ReshapeLike, x, suffix="columns", dims=[-1, b.shapes()[0][1]])
    return b.laid(rows, (0, 2, 1))


def fold(
    b: Builder, input: Laid, output_size: Sequence[Any], kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Laid:
    """Columns put together to a map; where their windows overlap, they are added."""
    kernel = pair(kernel_size)
    shapes = b.shapes()
    divided = all(size % side == 0 for shape in shapes for size, side in zip(shape[2:], kernel, strict=True))
    plain = pair(stride) == kernel and pair(padding) == (0, 0) and pair(dilation) == (1, 1)
    if input.rank != 3:
        raise b.refusal("puts columns without a batch together")
    laid = input.arranged((0, 2, 1))
    measures = Measures(b, laid)
    if not plain or kernel[0] != kernel[1] or not divided:
        windows = _windows(shapes, kernel, pair(stride), pair(padding), pair(dilation))
        sides = [*windows, *(tuple(shape[axis] for shape in shapes) for axis in (2, 3))]
        places = [measures.find(side, "a map") for side in sides]
        options: dict[str, Any] = {"kernel_size": kernel, "strides": pair(stride), "padding": pair(padding)}
        options |= {"dilation_rate": pair(dilation), "dims": places}
        return b.laid(b.layer(Overlaid, measures.packed(), **options))
    sides = [tuple(shape[axis] // kernel[0] for shape in shapes) for axis in (2, 3)]
    dims = [measures.find(side, "a map") for side in sides]
    x = b.layer(ReshapeLike, measures.packed(), suffix="map", dims=[*dims, laid.shapes[0][1]])
    return b.laid(b.layer(PixelShuffle, x, factor=kernel[0]))


def _windows(
    shapes: Sequence[Shape],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> list[tuple[int, ...]]:
    """The number of windows down and across, at each traced size."""
    settings = zip((2, 3), kernel, strides, padding, dilation, strict=True)
    return [
        tuple((shape[axis] + 2 * pad - rate * (size - 1) - 1) // stride + 1 for shape in shapes)
        for axis, size, stride, pad, rate in settings
    ]


def narrow(b: Builder, input: Laid, dim: int, start: Any, length: Any) -> Laid:
    """So many entries of an axis, from one of them on."""
    if not isinstance(start, int) or not isinstance(length, int):
        raise b.refusal("takes as many entries as the size of the image says")
    return cut(b, input, dim, start, start + length)


HANDLERS: dict[str, Handler] = {
    "narrow": narrow,
    "flip": flip,
    "fliplr": lambda b, input: flip(b, input, 1),
    "rot90": rot90,
    "roll": roll,
    **dict.fromkeys(("movedim", "moveaxis"), movedim),
    "index_select": index_select,
    "index": index,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channel_shuffle),
    **dict.fromkeys(("repeat", "tile"), lambda b, input, repeats=None, dims=None: repeat(b, input, repeats or dims)),
    "repeat_interleave": repeat_interleave,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "im2col": unfold,
    "col2im": fold,
}
