"""Axes: permuted, merged, taken apart and repeated. Most of it only changes how axes are counted."""

from collections.abc import Sequence
from typing import Any

import keras

from converters.building.builder import Builder, Handler
from converters.building.graph import GraphStep, Ref
from converters.building.laid import MAP, Laid, with_leading_axes
from converters.building.operations.measures import Measures, Sides
from converters.types import Shape
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
    if laid.axes == MAP and _is_flattened(laid, shapes):
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


def _is_flattened(laid: Laid, shapes: Sequence[Shape]) -> bool:
    """Whether a map of a fixed size becomes a vector, as one of a single pixel does after a global pooling."""
    fixed = len({shape[1:] for shape in laid.shapes}) == 1
    return fixed and len(shapes[0]) == 2 and [shape[0] for shape in shapes] == list(laid.sizes(0))


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
    input = with_leading_axes(input, len(shapes[0]))
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
    **dict.fromkeys(("mT", "adjoint", "matrix_H"), lambda b, input: transpose(b, input, -2, -1)),
    **dict.fromkeys(
        ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "reshape_as", "view_as", "_unsafe_view"),
        reshape,
    ),
    "expand": expand,
    "expand_as": expand,
    "getitem": getitem,
    **dict.fromkeys(("contiguous", "clone", "alias", "detach", "lift_fresh_copy"), _same),
}
