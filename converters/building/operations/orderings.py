"""Numbers in the order of their sizes: sorted, the largest ones, the one in the middle, and numbers read by places.

Where numbers are equal, the first place comes first, as in torch's stable sort. Its other functions leave the order of
places open.
"""

from typing import Any, NamedTuple

from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import Laid
from converters.building.operations.kinds import as_numbers


class _Ordered(NamedTuple):
    """The numbers of an axis that is the last of the tensors.

    Attributes:
        values: the numbers, in order.
        places: where they were.
        axes: axes of the source, in the order of the tensors.
    """

    values: Any
    places: Any
    axes: tuple[int, ...]


def _last(b: Builder, x: Laid, dim: int) -> tuple[Laid, int]:
    """The tensor with an axis as its last one, and the number of that axis."""
    laid = as_numbers(x.plain()) if str(x.tensor.dtype) == "bool" else x.plain()
    axis = dim % laid.rank
    if axis == 0:
        raise b.refusal("orders the images of the batch by their numbers")
    return laid.arranged([*(other for other in laid.axes if other != axis), axis]), axis


def _results(b: Builder, x: Laid, axis: int, ordered: _Ordered, number: int | None) -> list[Laid]:
    """The two results of a step: numbers and places, `number` of them; None: as many as there were."""
    shapes = tuple(
        tuple(number if a == axis and number is not None else size for a, size in enumerate(shape))
        for shape in x.shapes
    )
    return [Laid(tensor, ordered.axes, shapes) for tensor in (ordered.values, ordered.places)]


def _sorted(laid: Laid, descending: bool) -> _Ordered:
    places = ops.argsort(-laid.tensor if descending else laid.tensor, axis=-1)
    return _Ordered(ops.take_along_axis(laid.tensor, places, axis=-1), places, laid.axes)


def sort(b: Builder, input: Laid, dim: int = -1, descending: bool = False, stable: Any = None) -> list[Laid]:
    """An axis in order, and where its numbers were."""
    laid, axis = _last(b, input, dim)
    return _results(b, laid, axis, _sorted(laid, descending), None)


def argsort(b: Builder, input: Laid, dim: int = -1, descending: bool = False, stable: Any = None) -> Laid:
    """The places of an axis's numbers, in their order."""
    return sort(b, input, dim, descending)[1]


def topk(b: Builder, input: Laid, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Laid]:
    """The largest or smallest numbers of an axis, and their places."""
    if not isinstance(k, int):
        raise b.refusal("takes as many numbers as the size of the image says")
    laid, axis = _last(b, input, dim)
    if len(set(laid.sizes(axis))) > 1 and k > min(laid.sizes(axis)):
        raise b.refusal("takes more numbers than the traced sizes have")
    if k == 0:
        raise b.refusal("takes no numbers")
    values, places = ops.top_k(laid.tensor if largest else -laid.tensor, k)
    return _results(b, laid, axis, _Ordered(values if largest else -values, places, laid.axes), k)


def _one(b: Builder, input: Laid, dim: int, keepdim: bool, place: int) -> list[Laid]:
    """The number at a place of the order, and where it was."""
    laid, axis = _last(b, input, dim)
    ordered = _sorted(laid, descending=False)
    results = []
    for tensor in (ordered.values, ordered.places):
        tensor = ops.take(tensor, place, axis=-1)
        left = [other for other in laid.axes if other != axis]
        if keepdim:
            shapes = tuple(tuple(1 if a == axis else size for a, size in enumerate(shape)) for shape in laid.shapes)
            results.append(Laid(ops.expand_dims(tensor, -1), laid.axes, shapes))
            continue
        shapes = tuple(tuple(size for a, size in enumerate(shape) if a != axis) for shape in laid.shapes)
        results.append(Laid(tensor, tuple(other - (other > axis) for other in left), shapes))
    return results


def kthvalue(b: Builder, input: Laid, k: Any, dim: int = -1, keepdim: bool = False) -> list[Laid]:
    """The k-th smallest number of an axis, and its place."""
    if not isinstance(k, int):
        raise b.refusal("takes the number at a place that the size of the image says")
    return _one(b, input, dim, keepdim, k - 1)


def median(b: Builder, input: Laid, dim: Any = None, keepdim: bool = False) -> list[Laid]:
    """The number in the middle of an axis, the smaller one of two, and its place."""
    if dim is None:
        raise b.refusal("takes the number in the middle of the whole batch")
    sizes = set(input.sizes(dim % input.rank))
    if len(sizes) > 1:
        raise b.refusal("takes the number in the middle of an axis whose size depends on the image")
    return _one(b, input, dim, keepdim, (sizes.pop() - 1) // 2)


def gather(b: Builder, input: Any, dim: int, index: Any, sparse_grad: bool = False) -> Laid:
    """Numbers at places that the network computes, along one axis."""
    if not isinstance(input, Laid) or not isinstance(index, Laid):
        raise b.refusal("reads a constant, or at places that are constants")
    axis = dim % input.rank
    if axis == 0:
        raise b.refusal("reads numbers of other images of the batch")
    if any(input.sizes(other) != index.sizes(other) for other in range(input.rank) if other != axis):
        raise b.refusal("reads a part of the other axes")
    laid = input.plain()
    places = index.arranged(laid.axes).tensor
    return b.laid(ops.take_along_axis(laid.tensor, places, axis=laid.place(axis)), laid.axes)


HANDLERS: dict[str, Handler] = {
    "sort": sort,
    "argsort": argsort,
    "topk": topk,
    "kthvalue": kthvalue,
    "median": median,
    "gather": gather,
}
