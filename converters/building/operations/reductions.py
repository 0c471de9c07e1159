"""Numbers that sum up an axis or several: means, spreads, extremes and norms."""

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import MAP, Laid
from converters.building.operations.kinds import as_numbers, check_kind
from tfseg.layers.global_average_pooling import GlobalAveragePooling

Function = Callable[..., Any]
_LONG = 2048  # numbers that one sum adds up without losing digits


def reduced(b: Builder, x: Laid, dim: Any, keepdim: bool, function: Function) -> Laid:
    """A function over axes; over all of them where `dim` is None."""
    laid = x.plain()
    dims = [dim] if isinstance(dim, int) else list(range(laid.rank) if dim is None else dim)
    dims = sorted({axis % laid.rank for axis in dims or range(laid.rank)})
    if 0 in dims and len(set(laid.sizes(0))) > 1:
        raise b.refusal("reduces the batch: what it gives for an image depends on the other images")
    if laid.rank == 4 and dims == [2, 3] and function is _by_axis(ops.mean):
        return b.laid(b.layer(GlobalAveragePooling, laid.as_map().tensor, keepdims=keepdim))
    laid = _long_axis_last(laid, dims)
    tensor = function(laid.tensor, axis=tuple(laid.place(axis) for axis in dims), keepdims=keepdim)
    return _laid(b, laid, tensor, dims, keepdim)


def _long_axis_last(laid: Laid, dims: list[int]) -> Laid:
    """The tensor with the pixels of a whole map, in one axis, as its last: TensorFlow loses digits along others."""
    is_map = laid.axes == MAP
    for axis in dims:
        sizes = set(laid.sizes(axis))
        if max(sizes) > _LONG or (len(sizes) > 1 and axis and not (is_map and axis in (2, 3))):
            return laid.arranged([*(other for other in laid.axes if other != axis), axis])
    return laid


def _laid(b: Builder, laid: Laid, tensor: Any, dims: list[int], keepdim: bool) -> Laid:
    if keepdim:
        return b.laid(tensor, laid.axes)
    left = [axis for axis in laid.axes if axis not in dims]
    return b.laid(tensor, [sum(other < axis for other in left) for axis in left])


def _handler(function: Function, *, counts: bool = False) -> Handler:
    """A reduction; with `counts`, truth values and integers are taken as numbers."""

    def handler(b: Builder, input: Laid, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Laid:
        check_kind(b, dtype)
        return reduced(b, as_numbers(input) if counts else input, dim, keepdim, function)

    return handler


@functools.cache
def _by_axis(function: Function) -> Function:
    """The function over one axis after the other: over many numbers at once, TensorFlow loses digits."""

    def result(x: Any, axis: Any, keepdims: bool) -> Any:
        for place in sorted(axis, reverse=True):
            x = function(x, axis=place, keepdims=keepdims)
        return x

    return result


def _number(x: Any, axis: Any) -> Any:
    """How many numbers the axes hold."""
    return ops.sum(ops.ones_like(x), axis=axis, keepdims=True)


def _variance(x: Any, axis: Any, keepdims: bool, correction: float = 1.0) -> Any:
    distance = ops.square(x - _by_axis(ops.mean)(x, axis, True))
    if not correction:
        return _by_axis(ops.mean)(distance, axis, keepdims)
    result = _by_axis(ops.sum)(distance, axis, True) / (_number(x, axis) - correction)
    return result if keepdims else ops.squeeze(result, axis=axis)


def _deviation(x: Any, axis: Any, keepdims: bool, correction: float = 1.0) -> Any:
    return ops.sqrt(_variance(x, axis, keepdims, correction))


def _correction(unbiased: Any, correction: Any) -> float:
    if unbiased is not None:
        return 1.0 if unbiased else 0.0
    return 1.0 if correction is None else float(correction)


def _spread(function: Function) -> Handler:
    def handler(
        b: Builder, input: Laid, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None
    ) -> Laid:
        chosen = functools.partial(function, correction=_correction(unbiased, correction))
        return reduced(b, input, dim, keepdim, chosen)

    return handler


def _spread_and_mean(function: Function) -> Handler:
    def handler(
        b: Builder, input: Laid, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None
    ) -> list[Laid]:
        chosen = functools.partial(function, correction=_correction(unbiased, correction))
        return [several(b, input, dim, keepdim, part) for part in (chosen, _by_axis(ops.mean))]

    return handler


def several(b: Builder, input: Laid, dim: Any, keepdim: bool, function: Function) -> Laid:
    """One of several results of a step, for which the trace keeps no shape."""
    laid = input.plain()
    dims = [dim] if isinstance(dim, int) else list(range(laid.rank) if dim is None else dim)
    dims = sorted({axis % laid.rank for axis in dims or range(laid.rank)})
    if 0 in dims and len(set(laid.sizes(0))) > 1:
        raise b.refusal("reduces the batch: what it gives for an image depends on the other images")
    laid = _long_axis_last(laid, dims)
    tensor = function(laid.tensor, axis=tuple(laid.place(axis) for axis in dims), keepdims=keepdim)
    left = [axis for axis in range(laid.rank) if axis not in dims]
    if keepdim:
        shapes = tuple(tuple(1 if a in dims else size for a, size in enumerate(shape)) for shape in laid.shapes)
        return Laid(tensor, laid.axes, shapes)
    shapes = tuple(tuple(shape[axis] for axis in left) for shape in laid.shapes)
    return Laid(tensor, tuple(left.index(axis) for axis in laid.axes if axis in left), shapes)


def _extreme(function: Function, place: Function) -> Handler:
    """`max` and `min`: of all numbers, along an axis with the places, or of two tensors."""

    def handler(b: Builder, input: Laid, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        if other is not None:
            return b.handlers["maximum" if function is ops.max else "minimum"](b, input, other)
        if dim is None:
            return reduced(b, input, None, False, function)

        def at(x: Any, axis: Any, keepdims: bool) -> Any:
            return place(x, axis=axis[0], keepdims=keepdims)

        return [several(b, input, dim, keepdim, part) for part in (function, at)]

    return handler


def _place(function: Function) -> Handler:
    def handler(b: Builder, input: Laid, dim: Any = None, keepdim: bool = False) -> Laid:
        if dim is None:
            raise b.refusal("takes a place among all numbers of all axes")
        laid = input.plain()
        dims = [dim % laid.rank]
        if dims == [0]:
            raise b.refusal("reduces the batch: what it gives for an image depends on the other images")
        return _laid(b, laid, function(laid.tensor, axis=laid.place(dim), keepdims=keepdim), dims, keepdim)

    return handler


def _norm(x: Any, axis: Any, keepdims: bool, order: float = 2.0) -> Any:
    if order == 2:
        return ops.sqrt(_by_axis(ops.sum)(ops.square(x), axis, keepdims))
    if order == 1:
        return _by_axis(ops.sum)(ops.abs(x), axis, keepdims)
    if order == float("inf"):
        return ops.max(ops.abs(x), axis=axis, keepdims=keepdims)
    return ops.power(_by_axis(ops.sum)(ops.power(ops.abs(x), order), axis, keepdims), 1 / order)


def vector_norm(
    b: Builder, input: Laid, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Laid:
    """The length of vectors over axes."""
    check_kind(b, dtype)
    order = 2.0 if ord is None else ord
    if not isinstance(order, int | float) or order <= 0:
        raise b.refusal("is a norm of an unusual order")
    return reduced(b, input, dim, keepdim, functools.partial(_norm, order=float(order)))


def linalg_norm(
    b: Builder, input: Laid, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Laid:
    """The length of vectors; of matrices only the square root of the sum of squares."""
    dims = [dim] if isinstance(dim, int) else dim
    if ord is not None and ord != "fro" and (dims is None or len(dims) != 1):
        raise b.refusal("is a norm of matrices")
    return vector_norm(b, input, 2 if ord == "fro" else ord, dims, keepdim, dtype)


def cosine_similarity(b: Builder, x1: Laid, x2: Laid, dim: int = 1, eps: float = 1e-8) -> Laid:
    """The cosine of the angle between vectors."""
    if not isinstance(x1, Laid) or not isinstance(x2, Laid) or x1.shapes != x2.shapes:
        raise b.refusal("compares tensors of other shapes, or constants")
    first, second = as_numbers(x1.plain()), as_numbers(x2.plain())
    if dim % first.rank == 0:
        raise b.refusal("reduces the batch: what it gives for an image depends on the other images")
    second = second.arranged(first.axes)
    place = first.place(dim)
    parts = [part.tensor / ops.maximum(_norm(part.tensor, (place,), True), eps) for part in (first, second)]
    return _laid(b, first, ops.sum(parts[0] * parts[1], axis=place), [dim % first.rank], False)


def _logarithm_of_sum(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.logsumexp(x, axis=axis, keepdims=keepdims)


def _any(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.any(ops.not_equal(x, 0) if x.dtype != "bool" else x, axis=axis, keepdims=keepdims)


def _all(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.all(ops.not_equal(x, 0) if x.dtype != "bool" else x, axis=axis, keepdims=keepdims)


HANDLERS: dict[str, Handler] = {
    "mean": _handler(_by_axis(ops.mean), counts=True),
    "sum": _handler(_by_axis(ops.sum), counts=True),
    "prod": _handler(ops.prod),
    "amax": _handler(ops.max),
    "amin": _handler(ops.min),
    "any": _handler(_any),
    "all": _handler(_all),
    "logsumexp": _handler(_logarithm_of_sum),
    "max": _extreme(ops.max, ops.argmax),
    "min": _extreme(ops.min, ops.argmin),
    "argmax": _place(ops.argmax),
    "argmin": _place(ops.argmin),
    "var": _spread(_variance),
    "std": _spread(_deviation),
    "var_mean": _spread_and_mean(_variance),
    "std_mean": _spread_and_mean(_deviation),
    "linalg_vector_norm": vector_norm,
    "linalg_norm": linalg_norm,
    "cosine_similarity": cosine_similarity,
    "norm": lambda b, input, p=2, dim=None, keepdim=False, dtype=None: vector_norm(b, input, p, dim, keepdim, dtype),
}
