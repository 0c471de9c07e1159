"""Axes: exchanged, merged, split, cut and joined; sizes; and branches on what is known."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.building.onnx.constants import integer
from converters.building.onnx.values import Known
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.values import CHANNELS_LAST, Meaning, Ordered, inverse
from converters.types import Shape

_INTEGERS = {3: "i4", 9: "i8"}  # DT_INT32, DT_INT64
_NO_END = 2**31


def shape(call: GraphCall) -> Known:
    """The shape of a tensor, which is known at each traced size."""
    kind = _INTEGERS.get(int(call.attribute("out_type", 3)), "i4")
    return Known(call.node.name, tuple(np.array(sizes, kind) for sizes in call.computed().seen))


def size(call: GraphCall) -> Known:
    """The number of a tensor's numbers."""
    return Known(call.node.name, tuple(np.array(math.prod(sizes), "i4") for sizes in call.computed().seen))


def rank(call: GraphCall) -> Known:
    """The number of a tensor's axes."""
    return Known(call.node.name, (np.array(call.computed().rank, "i4"),) * len(call.tracer.images))


def zeros(value: float) -> Rule:
    """A constant in the shape of a tensor.

    Args:
        value: the number.
    """

    def rule(call: GraphCall) -> Known:
        x = call.computed()
        return Known(call.node.name, tuple(np.broadcast_to(np.float32(value), sizes) for sizes in x.seen))

    return rule


def reshaped(call: GraphCall, x: Ordered, shapes: Sequence[Shape], order: Sequence[int] = ()) -> Ordered:
    """The same numbers in another shape; several reshapes after each other are one.

    Args:
        call: node.
        x: tensor, with its axes in TensorFlow's order.
        shapes: its new shape at each traced size, in the order of the step.
        order: the axis of the step that each new axis is.
    Raises:
        ValueError: another number of numbers.
    """
    base = x.base if isinstance(x.base, Ordered) and not x.order else x
    for old, new in zip(base.shapes, shapes, strict=True):
        if math.prod(old) != math.prod(new):
            raise ValueError(f"{'x'.join(map(str, old))} is not {'x'.join(map(str, new))}")
    if tuple(shapes) == base.shapes and not base.order:
        return base
    return call.make("reshape", shapes, x.kind, order=order, base=base, input=base)


def reshape(call: GraphCall) -> Ordered:
    """Another shape, with TensorFlow's minus one."""
    x = call.computed()
    wanted = call.numbers(1, "a shape")
    literal = len({tuple(sizes) for sizes in wanted}) == 1
    shapes = [
        _resolved(call, sizes, asked, index, literal)
        for index, (sizes, asked) in enumerate(zip(x.seen, wanted, strict=True))
    ]
    if tuple(shapes) == x.seen:
        return x
    return reshaped(call, call.plain(x), shapes)


def _resolved(call: GraphCall, old: Shape, asked: Sequence[int], index: int, literal: bool) -> Shape:
    """The new shape. In a graph for a batch of one size, its first axis may have the batch as a number."""
    sizes, total = list(asked), math.prod(old)
    stated, batch = call.tracer.batch, call.tracer.batches[index]
    if stated and literal and sizes and sizes[0] > 0 and sizes[0] % stated == 0 and stated != batch:
        of_batch = [sizes[0] // stated * batch, *sizes[1:]]
        if -1 in sizes or math.prod(of_batch) == total:
            sizes = of_batch
    rest = math.prod(part for part in sizes if part != -1)
    if sizes.count(-1) > 1 or (-1 in sizes and (rest == 0 or total % rest)):
        raise ValueError(f"{'x'.join(map(str, old))} does not become {sizes}")
    return tuple(total // rest if part == -1 else part for part in sizes)


def squeeze(call: GraphCall) -> Ordered:
    """Axes of size 1 left out."""
    x = call.computed()
    given = [int(axis) for axis in call.attribute("squeeze_dims", ())]
    seen = x.seen
    places = [place % x.rank for place in given] or [p for p in range(x.rank) if {s[p] for s in seen} == {1}]
    if any(sizes[place] != 1 for sizes in seen for place in places):
        raise ValueError("an axis that is larger than 1")
    if not places:
        return x
    x = call.plain(x)  # so that what is left of a map of one pixel is its last axis
    return reshaped(call, x, [tuple(n for at, n in enumerate(sizes) if at not in places) for sizes in x.shapes])


def expand(call: GraphCall) -> Ordered:
    """A new axis of size 1."""
    x = call.plain(call.computed())
    (place,) = call.fixed_numbers(1, "an axis")
    place %= x.rank + 1
    return reshaped(call, x, [(*sizes[:place], 1, *sizes[place:]) for sizes in x.shapes])


def transpose(call: GraphCall) -> Ordered:
    """Axes in another order, which only is noted."""
    x = call.computed()
    dims = call.fixed_numbers(1, "an order")
    if sorted(dims) != list(range(x.rank)):
        raise ValueError(f"an order {dims} of {x.rank} axes")
    order = tuple(x.axes[place] for place in dims)
    return Ordered(x.name, x.shapes, x.kind, None, () if order == tuple(range(x.rank)) else order)


def concat(call: GraphCall) -> Meaning:
    """Tensors joined along an axis."""
    last = call.node.type == "ConcatV2"
    values = call.inputs[:-1] if last else call.inputs[1:]
    (place,) = call.fixed_numbers(len(call.inputs) - 1 if last else 0, "an axis")
    first = next(value for value in values if isinstance(value, Ordered))
    order, axis = first.axes, first.axis(place)
    parts: list[Any] = []
    for value in values:
        if isinstance(value, Ordered):
            parts.append(call.ordered(value, order))
            continue
        if not value.is_fixed:
            parts.append(_filled(call, value, order))
            continue
        array = value.arrays[0].transpose(inverse(order))
        parts.append(call.made(np.ascontiguousarray(array), f"turned{len(parts)}", value.parents))
    shapes = []
    for index, sizes in enumerate(first.shapes):
        for part in parts:
            other = part.shapes[index]
            if any(a != b for at, (a, b) in enumerate(zip(other, sizes, strict=True)) if at != axis):
                raise ValueError(f"{'x'.join(map(str, other))} beside {'x'.join(map(str, sizes))}")
        shapes.append((*sizes[:axis], sum(part.shapes[index][axis] for part in parts), *sizes[axis + 1 :]))
    if len(parts) == 1:
        return first
    return call.make("cat", shapes, first.kind, order=order, tensors=parts, dim=axis)


def _filled(call: GraphCall, value: Known, order: tuple[int, ...]) -> Ordered:
    """A constant of one number whose size depends on the image."""
    number = value.arrays[0].reshape(-1)[0]
    if not all((array == number).all() for array in value.arrays):
        raise call.refusal("joins a constant whose size depends on the image")
    shapes = [tuple(sizes[place] for place in inverse(order)) for sizes in value.shapes]
    size = [integer(sizes) for sizes in zip(*shapes, strict=True)]
    return call.make("full", shapes, order=order, size=size, fill_value=float(number))


def pack(call: GraphCall) -> Ordered:
    """Tensors joined along a new axis."""
    parts = [call.plain(call.computed(index)) for index in range(len(call.inputs))]
    place = int(call.attribute("axis", 0)) % (parts[0].rank + 1)
    shapes = [(*sizes[:place], len(parts), *sizes[place:]) for sizes in parts[0].shapes]
    if len(parts) == 1:
        return reshaped(call, parts[0], shapes)
    return call.make("stack", shapes, parts[0].kind, tensors=parts, dim=place)


def tile(call: GraphCall) -> Ordered:
    """Axes repeated as a whole; those of size 1 as often as the size of the image says."""
    x = call.computed()
    repeats = call.numbers(1, "repeats")
    seen = [
        tuple(a * b for a, b in zip(sizes, times, strict=True)) for sizes, times in zip(x.seen, repeats, strict=True)
    ]
    if tuple(seen) == x.seen:
        return x
    shapes = [tuple(sizes[place] for place in inverse(x.axes)) for sizes in seen]
    changed = [a for a in range(x.rank) if [s[a] for s in shapes] != list(x.sizes(a))]
    if all(set(x.sizes(axis)) == {1} for axis in changed):
        size = [integer(sizes) for sizes in zip(*shapes, strict=True)]
        return call.make("expand", shapes, x.kind, order=x.axes, input=x, size=size)
    for axis in changed:
        times = {new[axis] // old[axis] for new, old in zip(shapes, x.shapes, strict=True)}
        if len(times) != 1 or axis == 0:
            raise call.refusal("repeats the batch, or as often as the size of the image says")
        number = times.pop()
        wide = [(*sizes[:axis], sizes[axis] * number, *sizes[axis + 1 :]) for sizes in x.shapes]
        x = call.make("cat", wide, x.kind, order=x.axes, tensors=[x] * number, dim=axis)
    return x


def depth_to_space(call: GraphCall) -> Ordered:
    """Channels that become pixels: TensorFlow has those of one pixel together, torch those of one channel."""
    x, side = call.map(), int(call.attribute("block_size", 1))
    channels = x.sizes(1)[0]
    if channels % side**2:
        raise ValueError(f"{channels} channels in blocks of {side}")
    shapes = [(batch, number // side**2, rows * side, columns * side) for batch, number, rows, columns in x.shapes]
    if channels > side**2:
        places = np.arange(channels).reshape(side, side, channels // side**2).transpose(2, 0, 1).reshape(-1)
        order = [int(place) for place in places]
        x = call.make("index_select", x.shapes, order=x.axes, input=x, dim=1, index=order)
    return call.make("pixel_shuffle", shapes, order=call.map_order, input=x, upscale_factor=side)


def space_to_depth(call: GraphCall) -> Ordered:
    """Pixels that become channels."""
    x, side = call.map(), int(call.attribute("block_size", 1))
    if any(part % side for axis in (2, 3) for part in x.sizes(axis)):
        raise ValueError(f"a map that blocks of {side} do not tile")
    shapes = [(b, c * side**2, rows // side, columns // side) for b, c, rows, columns in x.shapes]
    parts = [(b, c, h // side, side, w // side, side) for b, c, h, w in x.shapes]
    x = call.make("reshape", parts, input=x)
    dims = (0, 3, 5, 1, 2, 4)
    x = call.make("permute", [tuple(sizes[axis] for axis in dims) for sizes in parts], input=x, dims=list(dims))
    return call.make("reshape", shapes, order=CHANNELS_LAST if call.is_channels_last else (), input=x)


RULES: dict[str, Rule] = {
    "Shape": shape,
    "Size": size,
    "Rank": rank,
    "ZerosLike": zeros(0.0),
    "OnesLike": zeros(1.0),
    "Reshape": reshape,
    "Squeeze": squeeze,
    "ExpandDims": expand,
    "Transpose": transpose,
    "ConcatV2": concat,
    "Concat": concat,
    "Pack": pack,
    "Tile": tile,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
