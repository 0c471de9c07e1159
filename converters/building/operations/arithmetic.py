"""Sums, products and matrix products of tensors, and arithmetic with parameters and numbers."""

import math
import string
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.graph import Ref, Sizes
from converters.building.laid import Laid
from tfseg.layers.with_weight import WithWeight

# What a number does to a map, as Keras's Rescaling has it.
_RESCALED: dict[str, Callable[[float], dict[str, Any]]] = {
    "add": lambda number: {"scale": 1.0, "offset": number},
    "subtract": lambda number: {"scale": 1.0, "offset": -number},
    "multiply": lambda number: {"scale": number, "offset": 0.0},
}


def _binary(layer: Any, function: Any, name: str) -> Handler:
    def handler(b: Builder, input: Any, other: Any, alpha: Any = 1, rounding_mode: Any = None) -> Laid:
        if alpha != 1 or rounding_mode is not None:
            raise b.refusal("has a factor or a rounding of its own")
        if isinstance(input, Laid) and isinstance(other, Laid):
            return _two(b, layer, function, input, other)
        x, y, reverse = (input, other, False) if isinstance(input, Laid) else (other, input, True)
        reverse = reverse and name in ("subtract", "divide")
        if isinstance(y, Sizes):
            raise b.refusal("computes with the size of the image")
        if isinstance(y, np.ndarray) and y.ndim == 0:
            y = y.item()
        if isinstance(y, int | float):
            if (name == "add" and y == 0) or (name in ("multiply", "divide") and y == 1 and not reverse):
                return x
            if name in _RESCALED and not reverse:
                tensor = b.layer(keras.layers.Rescaling, x.tensor, **_RESCALED[name](float(y)))
            else:
                tensor = function(float(y), x.tensor) if reverse else function(x.tensor, float(y))
            return b.laid(tensor, x.axes, x.mixed)
        return _with_weight(b, x, y, name, reverse)

    return handler


def _two(b: Builder, layer: Any, function: Any, x: Laid, y: Laid) -> Laid:
    if x.mixed and x.mixed == y.mixed:
        return b.laid(b.layer(layer, [x.tensor, y.tensor]) if layer else function(x.tensor, y.tensor), x.axes, x.mixed)
    if x.rank != y.rank:
        raise b.refusal("combines tensors with other numbers of axes")
    x, y = x.plain(), y.plain()
    axes = x.axes if math.prod(x.shapes[0]) >= math.prod(y.shapes[0]) else y.axes
    first, second = x.arranged(axes).tensor, y.arranged(axes).tensor
    tensor = b.layer(layer, [first, second]) if layer else function(first, second)
    return b.laid(tensor, axes)


def _with_weight(b: Builder, x: Laid, value: np.ndarray, name: str, reverse: bool) -> Laid:
    """Arithmetic with a tensor of the file: a layer that owns it."""
    x = x.plain()
    if value.ndim > x.rank or (value.ndim == x.rank and value.shape[0] != 1):
        raise b.refusal("computes with a tensor that has more axes than the map")
    letters = [f"a{axis}" for axis in range(value.ndim)]
    letters = ["1" if size == 1 else letter for letter, size in zip(letters, value.shape, strict=True)]
    places = [axis - (x.rank - value.ndim) for axis in x.axes[1:]]
    target = ["1" if place < 0 else letters[place] for place in places]
    sizes = [1 if place < 0 else value.shape[place] for place in places]
    argument = next(key for key, part in b.step.arguments.items() if isinstance(part, Ref) and b.value(part) is value)
    weights = {"weight": Weight(argument, f"{' '.join(letters)} -> {' '.join(target)}")}
    config = {"operation": f"{name}_reversed" if reverse and name in ("subtract", "divide") else name}
    return b.laid(b.layer(WithWeight, x.tensor, weights, shape=sizes, **config), x.axes)


def matmul(b: Builder, input: Any, other: Any) -> Laid:
    """Matrix products."""
    if not (isinstance(input, Laid) and isinstance(other, Laid)) or input.rank != other.rank:
        raise b.refusal("multiplies matrices of other ranks")
    return b.laid(ops.matmul(input.in_order().tensor, other.in_order().tensor), range(input.rank))


def attention(
    b: Builder,
    query: Laid,
    key: Laid,
    value: Laid,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Laid:
    """Attention by scaled products."""
    if is_causal or enable_gqa:
        raise b.refusal("has a causal mask or grouped queries")
    rank = query.rank
    queries, keys, values = (part.in_order().tensor for part in (query, key, value))
    scale = scale if scale is not None else query.shapes[0][-1] ** -0.5
    order = [*range(rank - 2), rank - 1, rank - 2]
    queries = b.layer(keras.layers.Rescaling, queries, suffix="scale", scale=float(scale))
    scores = ops.matmul(queries, ops.transpose(keys, order))
    if attn_mask is not None:
        scores = _masked(b, scores, attn_mask, rank)
    return b.laid(ops.matmul(ops.softmax(scores, axis=-1), values), range(rank))


def einsum(b: Builder, equation: str, tensors: Any, path: Any = None) -> Laid:
    """A product over named axes."""
    if not all(isinstance(part, Laid) for part in tensors) or "." in equation:
        raise b.refusal("has constants, or axes without names")
    letters = dict.fromkeys(letter for letter in equation if letter.isalpha())  # Keras reads small letters only
    small = dict(zip(letters, string.ascii_lowercase, strict=False))
    equation = "".join(small.get(letter, letter) for letter in equation if letter != " ")
    sources, target = equation.split("->")
    parts = [part.plain() for part in tensors]
    labels = ["".join(names[axis] for axis in part.axes) for names, part in zip(sources.split(","), parts, strict=True)]
    tensor = ops.einsum(f"{','.join(labels)}->{target}", *[part.tensor for part in parts])
    return b.laid(tensor, range(len(target)))


def _masked(b: Builder, scores: Any, mask: Any, rank: int) -> Any:
    """Scores plus a bias: a table of the file, or a tensor that the network computes."""
    if isinstance(mask, Laid) and mask.rank == rank:
        return scores + mask.in_order().tensor
    is_table = isinstance(mask, np.ndarray) and mask.dtype.kind == "f" and mask.ndim == rank and mask.shape[0] == 1
    if not is_table:
        raise b.refusal("has a mask of another form than a bias of the scores")
    letters = [f"a{axis}" if size > 1 else "1" for axis, size in enumerate(mask.shape)]
    weights = {"weight": Weight("attn_mask", f"{' '.join(letters)} -> {' '.join(letters[1:])}")}
    return b.layer(WithWeight, scores, weights, suffix="bias", operation="add", shape=mask.shape[1:])


def addcmul(b: Builder, input: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    """A sum with a product."""
    if value != 1:
        raise b.refusal("has a factor of its own")
    product = HANDLERS["mul"](b, tensor1, tensor2)
    return HANDLERS["add"](b, product, input)


def power(b: Builder, input: Laid, exponent: Any) -> Laid:
    """A power of each number."""
    if not isinstance(exponent, int | float):
        raise b.refusal("has an exponent that the network computes")
    return b.laid(ops.power(input.tensor, float(exponent)), input.axes, input.mixed)


HANDLERS: dict[str, Handler] = {
    "add": _binary(keras.layers.Add, ops.add, "add"),
    "sub": _binary(keras.layers.Subtract, ops.subtract, "subtract"),
    "mul": _binary(keras.layers.Multiply, ops.multiply, "multiply"),
    "div": _binary(None, ops.divide, "divide"),
    "maximum": _binary(keras.layers.Maximum, ops.maximum, "maximum"),
    "minimum": _binary(keras.layers.Minimum, ops.minimum, "minimum"),
    "matmul": matmul,
    "bmm": lambda b, input, mat2: matmul(b, input, mat2),
    "scaled_dot_product_attention": attention,
    "pow": power,
    "einsum": einsum,
    "addcmul": addcmul,
    "rsub": lambda b, input, other, alpha=1: HANDLERS["sub"](b, other, input, alpha),
}
