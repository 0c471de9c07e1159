"""Axes: permuted, merged, split, cut and joined. Most of it only changes how axes are counted."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.graph import GraphStep, Ref, Sizes
from converters.building.laid import MAP, Laid
from converters.building.operations.measures import Measures, Sides
from converters.types import Shape
from tfseg.layers.axis_windows import AxisSlice
from tfseg.layers.join_weight import JoinWeight
from tfseg.layers.reshape_like import ReshapeLike
from tfseg.layers.sized_constants import Repeated


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


def _sides(shapes: Sequence[Shape]) -> list[Sides]:
    return [tuple(shape[axis] for shape in shapes) for axis in range(len(shapes[0]))]


def _groups(source: list[Sides], target: list[Sides]) -> list[tuple[list[int], list[int]]] | None:
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
    """An order of axes in which each group is together and in the source's order: close to the present one."""
    owner = {axis: index for index, (source, _) in enumerate(groups) for axis in source}
    large = [owner[axis] for axis in laid.axes if set(laid.sizes(axis)) != {1}]
    order = list(dict.fromkeys([*large, *range(len(groups))]))
    if 0 in owner:  # the batch stays in front
        order.remove(owner[0])
        order.insert(0, owner[0])
    return [axis for group in order for axis in groups[group][0]]


def _reshaped(b: Builder, laid: Laid, sides: list[Sides]) -> Any:
    """A tensor of these sizes; those that depend on the image are taken from tensors that have them."""
    stays = sides[0] == laid.sizes(laid.axes[0]) and laid.axes[0] == 0  # the batch is the batch
    known = [side[0] if len(set(side)) == 1 else None for side in sides]
    if stays and known[1:].count(None) <= 1:
        shape = tuple(-1 if size is None else size for size in known[1:])
        return b.layer(keras.layers.Reshape, laid.tensor, target_shape=shape)
    measures = Measures(b, laid)
    dims = [None if index == 0 and stays else measures.search(side) for index, side in enumerate(sides)]
    missing = [index for index, dim in enumerate(dims) if dim is None and not (index == 0 and stays)]
    if len(missing) > 1:
        raise b.refusal("makes an axis whose size no map of the network has")
    for index in missing:
        dims[index] = -1  # what is left
    return b.layer(ReshapeLike, measures.packed(), dims=dims[1:], batch=dims[0])


def map_like(b: Builder, sides: Sequence[Sides]) -> Laid | None:
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


_BROADCASTING = frozenset(("add", "sub", "mul", "div", "maximum", "minimum"))


def expand(b: Builder, input: Laid, size: Any = None, implicit: bool = False, **_: Any) -> Laid:
    """Axes of size 1 repeated: left to the arithmetic that follows, where nothing else follows."""
    shapes = b.shapes()
    if input.rank != len(shapes[0]):
        raise b.refusal("repeats a tensor along new axes")
    if shapes == input.shapes:
        return input
    if all(_broadcasts(b, user) for user in b.users.get(b.step.name, ())):
        return input  # with its own shape
    laid = input.plain()
    measures = Measures(b, laid)
    dims = [measures.find(tuple(shape[axis] for shape in shapes), "an axis") for axis in laid.axes]
    return b.laid(b.layer(Repeated, measures.packed(), dims=dims), laid.axes)


def _broadcasts(b: Builder, user: GraphStep) -> bool:
    """Whether a step is arithmetic with a tensor that has the whole shape."""
    others = [leaf for leaf in user.arguments.values() if isinstance(leaf, Ref) and leaf.name != b.step.name]
    return user.op in _BROADCASTING and any(
        b.graph.shapes.get(other.name) == b.shapes() and _is_whole(b, other.name) for other in others
    )


def _is_whole(b: Builder, name: str) -> bool:
    value = b.values.get(name)
    return isinstance(value, Laid) and value.shapes == b.shapes()


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
    """Tensors of the file before or after another: the class token of a transformer."""
    places = [index for index, part in enumerate(tensors) if isinstance(part, Laid)]
    if len(places) != 1:
        raise b.refusal("joins several constants")
    (place,) = places
    names = [ref.name for ref in b.step.arguments["tensors"]]
    laid = tensors[place].plain()
    for index in [*range(place)[::-1], *range(place + 1, len(tensors))]:
        laid = _beside_weight(b, laid, tensors[index], names[index], dim, before=index < place)
    return b.laid(laid.tensor, laid.axes)


def _beside_weight(b: Builder, laid: Laid, value: np.ndarray, name: str, dim: int, before: bool) -> Laid:
    if value.ndim != laid.rank or value.shape[0] != 1 or dim % laid.rank == 0 or name not in b.tensors:
        raise b.refusal("joins a constant of another shape")
    letters = ["1", *(f"a{axis}" if size > 1 else "1" for axis, size in enumerate(value.shape[1:], 1))]
    target = [letters[axis] for axis in laid.axes[1:]]
    shape = [value.shape[axis] for axis in laid.axes[1:]]
    weights = {"weight": Weight(name, f"{' '.join(letters)} -> {' '.join(target)}")}
    config: dict[str, Any] = {"axis": laid.place(dim), "before": before, "shape": shape}
    return Laid(b.layer(JoinWeight, laid.tensor, weights, **config), laid.axes, laid.shapes)


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
    fixed = len(set(sizes)) == 1
    first = starts[0]
    rest = {size - stop for size, stop in zip(sizes, ends, strict=True)}
    # Where all traced sizes are odd, one entry less is as likely the largest even number.
    parity = isinstance(end, Sizes) and all(size % 2 for size in sizes)
    if laid.axes == MAP and axis in (2, 3) and len(set(starts)) == 1 and len(rest) == 1 and not parity:
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
    if fixed and len(set(starts)) == 1 and len(rest) == 1 and step == 1:
        return _part(b, laid, axis, first, ends[0], shapes)
    measures = Measures(b, laid)
    if laid.sizes(axis) == _image(b).sizes(0):
        raise b.refusal("cuts the batch")
    begin = _bound(measures, start or 0, starts)
    stop = None if ends == list(sizes) else _bound(measures, end, ends)
    options: dict[str, Any] = {"axis": laid.place(axis), "start": begin, "stop": stop, "step": step}
    return Laid(b.layer(AxisSlice, measures.packed(), **options), laid.axes, shapes)


def _bound(measures: Measures, value: Any, bounds: list[int]) -> Any:
    """Where a part begins or ends: a number from either end, or what the size of the image says."""
    if isinstance(value, int):
        return value  # its range is checked
    return measures.find(tuple(bounds), "a part")


def _image(b: Builder) -> Laid:
    return next(value for value in b.values.values() if isinstance(value, Laid))


def _bounds(b: Builder, value: Any, sizes: Sides, default: int | None) -> list[int]:
    if isinstance(value, int) and len(set(sizes)) > 1 and abs(value) < _UNBOUNDED and not _within(value, sizes):
        raise b.refusal("cuts at a place that larger images have and the traced ones lack")
    values = value.values if isinstance(value, Sizes) else [value] * len(sizes)
    bounds = []
    for bound, size in zip(values, sizes, strict=True):
        bound = (size if default is None else default) if bound is None else bound
        bounds.append(min(max(bound + size if bound < 0 else bound, 0), size))
    return bounds


_UNBOUNDED = 2**31  # what traces write for an end that is left out


def _within(value: int, sizes: Sides) -> bool:
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


HANDLERS: dict[str, Handler] = {
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
    **dict.fromkeys(("contiguous", "clone", "alias", "detach", "lift_fresh_copy"), _same),
}
