"""Parts of tensors: joined, cut and split along an axis."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.graph import Sizes
from converters.building.laid import MAP, Laid
from converters.building.operations.measures import Measures, Sides
from converters.types import Shape
from tfseg.layers.axis_windows import AxisSlice
from tfseg.layers.join_weight import JoinWeight
from tfseg.layers.sized_constants import Repeated


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
    if len(places) > 1:
        first = tensors[places[0]]
        tensors = [part if isinstance(part, Laid) else _repeated(b, part, first, dim) for part in tensors]
        return cat(b, tensors, dim)
    (place,) = places
    names = [ref.name for ref in b.step.arguments["tensors"]]
    laid = tensors[place].plain()
    for index in [*range(place)[::-1], *range(place + 1, len(tensors))]:
        laid = _beside_weight(b, laid, tensors[index], names[index], dim, before=index < place)
    return b.laid(laid.tensor, laid.axes)


def _repeated(b: Builder, value: np.ndarray, like: Laid, dim: int) -> Laid:
    """A tensor of the file as one of the model, with its axes of one entry repeated as another tensor has them."""
    if value.ndim != like.rank or value.dtype.kind != "f" or dim % like.rank == 0:
        raise b.refusal("joins a constant of another shape")
    laid = b.lifted(value)
    sides = [like.sizes(axis) if axis != dim % like.rank else laid.sizes(axis) for axis in range(like.rank)]
    measures = Measures(b, laid)
    measures.laid = like
    dims = [measures.find(side, "a constant") for side in sides]
    return Laid(b.layer(Repeated, measures.packed(), dims=dims), laid.axes, tuple(zip(*sides, strict=True)))


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
    if start >= stop:
        return Laid(x.tensor[(*(slice(None),) * place, slice(0, 0))], x.axes, shapes)
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
    stop = None if ends == list(sizes) else _bound(measures, end, ends, starts[0] if len(set(starts)) == 1 else 0)
    options: dict[str, Any] = {"axis": laid.place(axis), "start": begin, "stop": stop, "step": step}
    return Laid(b.layer(AxisSlice, measures.packed(), **options), laid.axes, shapes)


def _bound(measures: Measures, value: Any, bounds: list[int], start: int = 0) -> Any:
    """Where a part begins or ends: a number from either end, or what the size of the image says.

    A part that begins at `start` may be as large as another map, as a crop is.
    """
    if isinstance(value, int):
        return value  # its range is checked
    size = tuple(bound - start for bound in bounds)
    if start and not _is_size(measures, tuple(bounds)) and _is_size(measures, size):
        side = measures.find(size, "a part")
        assert isinstance(side, list)  # the size of an axis
        return [*side, 1, start]
    return measures.find(tuple(bounds), "a part")


def _is_size(measures: Measures, sides: Sides) -> bool:
    """Whether numbers are the size of an axis that the network has, and no formula of one."""
    size = Measures(measures.b, measures.laid).search(sides)
    return isinstance(size, list) and len(size) == _PLAIN


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


_PLAIN = 2  # entries of a measure that is the size of an axis
_UNBOUNDED = 2**31  # what traces write for an end that is left out


def _within(value: int, sizes: Sides) -> bool:
    return all(-size <= value <= size for size in sizes)


def select(b: Builder, input: Laid, dim: int, index: int) -> Laid:
    """`x[..., index]`: one entry of an axis, which disappears."""
    laid = input.plain()
    axis = dim % laid.rank
    place = laid.place(axis)
    if len(set(laid.sizes(axis))) == 1:
        tensor = ops.take(laid.tensor, index % laid.sizes(axis)[0], axis=place)
    elif axis == 0:
        raise b.refusal("takes one image of the batch")
    elif isinstance(index, int):  # the first row, or the last one, of images of any size
        tensor = laid.tensor[(*(slice(None),) * place, index)]
    else:
        raise b.refusal("takes one entry of an axis, which the size of the image chooses")
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


HANDLERS: dict[str, Handler] = {
    "cat": cat,
    "stack": stack,
    "slice": cut,
    "select": select,
    "split": _split,
    "split_with_sizes": lambda b, input, split_sizes, dim=0: split(b, input, list(split_sizes), dim),
    "chunk": chunk,
    "unbind": unbind,
}
