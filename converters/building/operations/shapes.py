"""Axes: permuted, merged, split, cut and joined. Most of it only changes how axes are counted."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.graph import Sizes
from converters.building.laid import MAP, Laid
from converters.types import Shape
from tfseg.layers.join_weight import JoinWeight
from tfseg.layers.reshape_like import ReshapeLike

_Sides = tuple[int, ...]
"""The size of one axis at each traced size."""


def permute(b: Builder, input: Laid, dims: Sequence[int]) -> Laid:
    """Axes in another order."""
    laid = input.plain()
    dims = [dim % laid.rank for dim in dims]
    return b.laid(laid.tensor, [dims.index(axis) for axis in laid.axes])


def transpose(b: Builder, input: Laid, dim0: int, dim1: int) -> Laid:
    """Two axes exchanged."""
    dims = list(range(input.rank))
    dim0, dim1 = dim0 % input.rank, dim1 % input.rank
    dims[dim0], dims[dim1] = dim1, dim0
    return permute(b, input, dims)


def reshape(b: Builder, input: Laid, **_: Any) -> Laid:
    """Axes merged and split: `view`, `reshape`, `flatten`, `squeeze`, `unsqueeze` and their like."""
    shapes = b.shapes()
    if shapes == input.shapes:
        return input
    laid = input.plain()
    groups = _groups(_sides(laid.shapes), _sides(shapes))
    if groups is None:
        raise b.refusal("merges axes in a way that depends on the size of the image")
    if laid.axes == MAP and _is_flattened(groups, laid, shapes):
        tensor = b.layer(keras.layers.Flatten, laid.tensor)
        sizes = laid.shapes[0][1:]
        return b.laid(tensor, (0, 1), () if max(sizes[1:]) == 1 else sizes)
    order = _grouped_order(laid, groups)
    laid = laid.arranged(order)
    by_first = {source[0]: target for source, target in groups if source}
    new_axes: list[int] = []
    for axis in laid.axes:
        new_axes += by_first.get(axis, ())
    for source, target in groups:
        if not source:
            new_axes += target
    return b.laid(_reshaped(b, laid, [tuple(shape[axis] for shape in shapes) for axis in new_axes]), new_axes)


def _sides(shapes: Sequence[Shape]) -> list[_Sides]:
    return [tuple(shape[axis] for shape in shapes) for axis in range(len(shapes[0]))]


def _groups(source: list[_Sides], target: list[_Sides]) -> list[tuple[list[int], list[int]]] | None:
    """The smallest groups of axes that hold the same numbers before and after."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(source) or j < len(target):
        left: list[int] = []
        right: list[int] = []
        before: list[int] = [1] * len((source or target)[0])
        after = list(before)
        while not left or not right or before != after:
            if i < len(source) and (not left or before[0] <= after[0] or j == len(target)):
                before = [a * s for a, s in zip(before, source[i], strict=True)]
                left.append(i)
                i += 1
            elif j < len(target):
                after = [a * s for a, s in zip(after, target[j], strict=True)]
                right.append(j)
                j += 1
            else:
                break
        if before != after:
            return None
        groups.append((left, right))
    return groups


def _is_flattened(groups: Any, laid: Laid, shapes: Sequence[Shape]) -> bool:
    """Whether a map of a fixed size becomes a vector."""
    fixed = len({shape[1:] for shape in laid.shapes}) == 1
    return fixed and len(shapes[0]) == 2 and [source for source, _ in groups] == [[0], [1, 2, 3]]


def _grouped_order(laid: Laid, groups: Any) -> list[int]:
    """An order of axes in which each group is together and in the source's order: the present one if possible."""
    owner = {axis: index for index, (source, _) in enumerate(groups) for axis in source}
    large = [axis for axis in laid.axes if set(laid.sizes(axis)) != {1}]
    sequence = [owner[axis] for axis in large]
    together = all(sequence.index(group) + sequence.count(group) > place for place, group in enumerate(sequence))
    in_order = all(
        [axis for axis in large if owner[axis] == index] == sorted(axis for axis in large if owner[axis] == index)
        for index in range(len(groups))
    )
    if not (together and in_order):
        return list(range(laid.rank))
    order = list(dict.fromkeys(sequence))
    order = list(order) + [group for group in range(len(groups)) if group not in order]
    if owner.get(0) in order:  # the batch stays in front
        order.remove(owner[0])
        order.insert(0, owner[0])
    return [axis for group in order for axis in groups[group][0]]


def _reshaped(b: Builder, laid: Laid, sides: list[_Sides]) -> Any:
    """A tensor of these sizes; those that depend on the image are taken from maps that have them."""
    known = [side[0] if len(set(side)) == 1 else None for side in sides]
    if sides[0] == laid.sizes(laid.axes[0]) and laid.axes[0] == 0:  # the batch is the batch
        if known[1:].count(None) <= 1:
            shape = tuple(-1 if size is None else size for size in known[1:])
            return b.layer(keras.layers.Reshape, laid.tensor, target_shape=shape)
        references: list[Any] = [laid.tensor]
        dims: list[Any] = []
        for side, size in zip(sides[1:], known[1:], strict=True):
            if size is not None:
                dims.append(size)
                continue
            reference = reference_for(b, side)
            if reference is None:
                raise b.refusal("makes an axis whose size no map of the network has")
            tensor, axis = reference
            if not any(tensor is other for other in references):
                references.append(tensor)
            dims.append([next(i for i, other in enumerate(references) if other is tensor), axis])
        if len(references) == 1:
            references.append(laid.tensor)
        return b.layer(ReshapeLike, references, dims=dims)
    if known.count(None) <= 1:
        return ops.reshape(laid.tensor, tuple(-1 if size is None else size for size in known))
    raise b.refusal("merges the batch with axes that depend on the size of the image")


def reference_for(b: Builder, side: _Sides) -> tuple[Any, int] | None:
    """A tensor that exists, and its axis that has these sizes: maps first, the latest of them."""
    values = [value for value in reversed(list(b.values.values())) if isinstance(value, Laid) and not value.border]
    for value in sorted(values, key=lambda value: value.rank != 4):
        for axis in range(1, value.rank):
            if not value.mixed and value.sizes(axis) == side:
                return value.tensor, value.place(axis)
    return None


def map_like(b: Builder, sides: Sequence[_Sides]) -> Laid | None:
    """A map that exists and has these rows and columns; the image first, then the latest."""
    values = [value for value in b.values.values() if isinstance(value, Laid) and value.rank == 4]
    for value in [*values[:1], *reversed(values)]:
        if [value.sizes(2), value.sizes(3)] == list(sides):
            return value
    image = values[0]
    for step in (2, 4, 8, 16, 32):  # the image itself, smaller: rounded down, or up
        for window, rounded in (
            (step, lambda size, step=step: size // step),
            (1, lambda size, step=step: -(-size // step)),
        ):
            if [tuple(map(rounded, image.sizes(axis))) for axis in (2, 3)] == list(sides):
                x = b.layer(keras.layers.MaxPooling2D, image.tensor, suffix="size", pool_size=window, strides=step)
                shapes = tuple(
                    (*shape[:2], *side) for shape, side in zip(image.shapes, zip(*sides, strict=True), strict=True)
                )
                return Laid(x, image.axes, shapes)
    return None


def expand(b: Builder, input: Laid, size: Any = None, implicit: bool = False, **_: Any) -> Laid:
    """Axes of size 1 repeated: left to the arithmetic that follows."""
    if input.rank == len(b.shapes()[0]):
        return input  # with its own shape: arithmetic broadcasts, and a step that does not is refused
    raise b.refusal("repeats axes of size 1")


def cat(b: Builder, tensors: Sequence[Any], dim: int = 0) -> Laid:
    """Tensors joined along an axis."""
    tensors = [part for part in tensors if not (isinstance(part, np.ndarray) and part.size == 0)]
    if any(isinstance(part, np.ndarray) for part in tensors):
        return _cat_weight(b, tensors, dim)
    parts = [part for part in tensors if not any(0 in shape for shape in part.shapes)]
    if len(parts) == 1:
        return parts[0]
    axes, axis = parts[0].plain().axes, dim % parts[0].rank
    if any(part.sizes(other) != parts[0].sizes(other) for part in parts for other in range(part.rank) if other != axis):
        raise b.refusal("joins tensors whose axes of size 1 are repeated")
    tensors = [part.arranged(axes).tensor for part in parts]
    if dim % len(axes) == 0:
        raise b.refusal("joins batches")
    return b.laid(b.layer(keras.layers.Concatenate, tensors, axis=axes.index(dim % len(axes))), axes)


def _cat_weight(b: Builder, tensors: Sequence[Any], dim: int) -> Laid:
    """A tensor of the file before or after another: the class token of a transformer."""
    if len(tensors) != 2 or not any(isinstance(part, Laid) for part in tensors):
        raise b.refusal("joins several constants")
    before = isinstance(tensors[0], np.ndarray)
    laid, value = (tensors[1], tensors[0]) if before else tensors
    laid = laid.plain()
    if value.ndim != laid.rank or value.shape[0] != 1 or dim % laid.rank == 0:
        raise b.refusal("joins a constant of another shape")
    name = next(ref.name for ref in b.step.arguments["tensors"] if ref.name in b.tensors)
    letters = ["1", *(f"a{axis}" if size > 1 else "1" for axis, size in enumerate(value.shape[1:], 1))]
    target = [letters[axis] for axis in laid.axes[1:]]
    shape = [value.shape[axis] for axis in laid.axes[1:]]
    weights = {"weight": Weight(name, f"{' '.join(letters)} -> {' '.join(target)}")}
    config = {"axis": laid.place(dim), "before": before, "shape": shape}
    return b.laid(b.layer(JoinWeight, laid.tensor, weights, **config), laid.axes)


def stack(b: Builder, tensors: Sequence[Any], dim: int = 0) -> Laid:
    """Tensors joined along a new axis."""
    if not all(isinstance(part, Laid) for part in tensors):
        raise b.refusal("joins a constant")
    parts = [part.in_order() for part in tensors]
    return b.laid(ops.stack([part.tensor for part in parts], axis=dim), range(parts[0].rank + 1))


def _part(b: Builder, x: Laid, axis: int, start: int, stop: int, shapes: tuple[Shape, ...]) -> Laid:
    """A part of an axis of known size."""
    place, size = x.place(axis), x.sizes(axis)[0]
    cuts = [cut for cut in (start, stop) if 0 < cut < size]
    if not cuts:
        return x
    pieces = ops.split(x.tensor, cuts, axis=place)
    return Laid(pieces[0 if start == 0 else 1], x.axes, shapes)


def cut(b: Builder, input: Laid, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Laid:
    """`x[..., start:end:step]`."""
    laid, shapes = input.plain(), b.shapes()
    axis = dim % laid.rank
    sizes = laid.sizes(axis)
    starts, ends = _bounds(b, start, sizes, 0), _bounds(b, end, sizes, None)
    if starts == [0] * len(sizes) and ends == list(sizes) and step == 1:
        return laid
    if len(set(starts)) != 1:
        raise b.refusal("begins where the size of the image says")
    first = starts[0]
    fixed = len(set(sizes)) == 1
    if laid.rank == 4 and axis in (2, 3) and not (fixed and axis == 1):
        rest = {size - stop for size, stop in zip(sizes, ends, strict=True)}
        if len(rest) == 1:
            crop = [(0, 0), (0, 0)]
            crop[axis - 2] = (first, rest.pop())
            x = laid.as_map().tensor
            if any(map(any, crop)):
                x = b.layer(keras.layers.Cropping2D, x, cropping=tuple(crop))
            if step > 1:
                steps = [1, 1]
                steps[axis - 2] = step
                x = b.layer(keras.layers.MaxPooling2D, x, suffix="stride", pool_size=1, strides=tuple(steps))
            return Laid(x, MAP, shapes)
    if not fixed:
        raise b.refusal("cuts an axis whose size depends on the image")
    if step == 1:
        return _part(b, laid, axis, first, ends[0], shapes)
    index = [slice(None)] * laid.rank
    index[laid.place(axis)] = slice(first, ends[0], step)
    return Laid(laid.tensor[tuple(index)], laid.axes, shapes)


def _bounds(b: Builder, value: Any, sizes: _Sides, default: int | None) -> list[int]:
    if isinstance(value, int) and len(set(sizes)) > 1 and abs(value) < _UNBOUNDED and not _within(value, sizes):
        raise b.refusal("cuts at a place that larger images have and the traced ones lack")
    values = value.values if isinstance(value, Sizes) else [value] * len(sizes)
    bounds = []
    for bound, size in zip(values, sizes, strict=True):
        bound = (size if default is None else default) if bound is None else bound
        bounds.append(min(max(bound + size if bound < 0 else bound, 0), size))
    return bounds


_UNBOUNDED = 2**31  # what traces write for an end that is left out


def _within(value: int, sizes: _Sides) -> bool:
    return all(-size <= value <= size for size in sizes)


def select(b: Builder, input: Laid, dim: int, index: int) -> Laid:
    """`x[..., index]`: one entry of an axis, which disappears."""
    laid = input.plain()
    axis = dim % laid.rank
    if len(set(laid.sizes(axis))) != 1:
        raise b.refusal("takes one entry of an axis whose size depends on the image")
    index %= laid.sizes(axis)[0]
    place = laid.place(axis)
    tensor = ops.take(laid.tensor, index, axis=place)
    left = [other for other in laid.axes if other != axis]
    return b.laid(tensor, [other - (other > axis) for other in left])


def split(b: Builder, input: Laid, parts: list[int], axis: int) -> list[Laid]:
    """An axis in parts of these sizes."""
    laid = input.plain()
    axis %= laid.rank
    if len(set(laid.sizes(axis))) != 1:
        raise b.refusal("splits an axis whose size depends on the image")
    cuts = [sum(parts[: index + 1]) for index in range(len(parts) - 1)]
    pieces = ops.split(laid.tensor, cuts, axis=laid.place(axis)) if cuts else [laid.tensor]
    results = []
    for piece, size in zip(pieces, parts, strict=True):
        shapes = tuple((*shape[:axis], size, *shape[axis + 1 :]) for shape in laid.shapes)
        results.append(Laid(piece, laid.axes, shapes))
    return results


def _split(b: Builder, input: Laid, split_size: int, dim: int = 0) -> list[Laid]:
    size = input.sizes(dim % input.rank)[0]
    parts = [min(split_size, size - start) for start in range(0, size, split_size)]
    return split(b, input, parts, dim)


def chunk(b: Builder, input: Laid, chunks: int, dim: int = 0) -> list[Laid]:
    """An axis in so many equal parts."""
    size = input.sizes(dim % input.rank)[0]
    return _split(b, input, -(-size // chunks), dim)


def unbind(b: Builder, input: Laid, dim: int = 0) -> list[Laid]:
    """Each entry of an axis, which disappears."""
    laid = input.plain()
    axis = dim % laid.rank
    place, number = laid.place(axis), laid.sizes(axis)[0]
    left = [other for other in laid.axes if other != axis]
    axes = tuple(other - (other > axis) for other in left)
    shapes = tuple((*shape[:axis], *shape[axis + 1 :]) for shape in laid.shapes)
    return [Laid(ops.take(laid.tensor, index, axis=place), axes, shapes) for index in range(number)]


def getitem(b: Builder, input: Any, index: int) -> Any:
    """One of several results."""
    return input[index]


def _same(b: Builder, input: Laid, **_: Any) -> Laid:
    return input


def roll(b: Builder, input: Laid, shifts: Any, dims: Any = ()) -> Laid:
    """Numbers moved around along axes."""
    laid = input.plain()
    dims = [dims] if isinstance(dims, int) else list(dims)
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    x = laid.tensor
    for shift, dim in zip(shifts, dims, strict=True):
        x = ops.roll(x, shift, axis=laid.place(dim))
    return b.laid(x, laid.axes)


def constant_like(b: Builder, **_: Any) -> Any:
    """Zeros or ones in the shape of a map: known beforehand where that shape is fixed."""
    shapes = b.shapes()
    if len(set(shapes)) != 1:
        raise b.refusal("makes a constant whose shape depends on the size of the image or of the batch")
    return np.full(shapes[0], 0 if "zeros" in b.step.op else 1, "float32")


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("new_zeros", "zeros_like", "new_ones", "ones_like"), constant_like),
    "permute": permute,
    "transpose": transpose,
    "swapaxes": lambda b, input, axis0, axis1: transpose(b, input, axis0, axis1),
    "t": lambda b, input: transpose(b, input, 0, 1),
    **dict.fromkeys(
        ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "reshape_as", "view_as", "_unsafe_view"),
        reshape,
    ),
    "expand": expand,
    "expand_as": expand,
    "cat": cat,
    "stack": stack,
    "slice": cut,
    "select": select,
    "split": _split,
    "split_with_sizes": lambda b, input, split_sizes, dim=0: split(b, input, list(split_sizes), dim),
    "chunk": chunk,
    "unbind": unbind,
    "getitem": getitem,
    "roll": roll,
    **dict.fromkeys(("contiguous", "clone", "alias", "detach", "to", "_to_copy", "lift_fresh_copy"), _same),
}
