"""Matrix products, attention, and sums of products over named axes."""

import string
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import Laid
from tfseg.layers.with_weight import WithWeight


def matmul(b: Builder, input: Any, other: Any) -> Laid:
    """Matrix products. A matrix of the file on the right is a fully connected layer."""
    if isinstance(other, np.ndarray) and other.ndim == 2:
        axes = input.axes if input.axes[-1] == input.rank - 1 else tuple(range(input.rank))
        x = input.arranged(axes).tensor
        weights = {"kernel": Weight("other" if "other" in b.step.arguments else "mat2", "i o -> i o")}
        return b.laid(b.layer(keras.layers.Dense, x, weights, units=other.shape[1], use_bias=False), axes)
    first, second = (b.lifted(part) if isinstance(part, np.ndarray) else part for part in (input, other))
    if min(first.rank, second.rank) < 2:
        raise b.refusal("multiplies vectors")
    rank = max(first.rank, second.rank)
    return b.laid(ops.matmul(first.in_order().tensor, second.in_order().tensor), range(rank))


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
    training_dropout: float = 0.0,
) -> Laid:
    """Attention by scaled products; training drops some of their softmax."""
    if is_causal or enable_gqa:
        raise b.refusal("has a causal mask or grouped queries")
    if dropout_p:
        raise b.refusal("drops numbers at random in evaluation mode, too")
    query, key, value = (b.lifted(part) if isinstance(part, np.ndarray) else part for part in (query, key, value))
    rank = query.rank
    queries, keys, values = (part.in_order().tensor for part in (query, key, value))
    scale = scale if scale is not None else query.shapes[0][-1] ** -0.5
    order = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
    queries = b.layer(keras.layers.Rescaling, queries, suffix="scale", scale=float(scale))
    scores = ops.matmul(queries, ops.transpose(keys, order))
    if attn_mask is not None:
        scores = _masked(b, scores, attn_mask, rank)
    shares = ops.softmax(scores, axis=-1)
    if training_dropout:
        shares = b.layer(keras.layers.Dropout, shares, suffix="dropout", rate=training_dropout)
    return b.laid(ops.matmul(shares, values), range(rank))


def _masked(b: Builder, scores: Any, mask: Any, rank: int) -> Any:
    """Scores plus a bias: a table of the file, or a tensor that the network computes."""
    if isinstance(mask, np.ndarray) and mask.dtype.kind == "b" and mask.all():
        return scores  # nothing is masked
    is_table = isinstance(mask, np.ndarray) and mask.dtype.kind == "f"
    if is_table and mask.ndim == rank and mask.shape[0] == 1:
        letters = [f"a{axis}" if size > 1 else "1" for axis, size in enumerate(mask.shape)]
        weights = {"weight": Weight("attn_mask", f"{' '.join(letters)} -> {' '.join(letters[1:])}")}
        return b.layer(WithWeight, scores, weights, suffix="bias", operation="add", shape=mask.shape[1:])
    mask = b.lifted(mask) if is_table else mask
    if not isinstance(mask, Laid) or "float" not in mask.tensor.dtype:
        raise b.refusal("has a mask of another form than a bias of the scores")
    return scores + mask.in_order().tensor


def einsum(b: Builder, equation: str, tensors: Any, path: Any = None) -> Laid:
    """A sum of products over named axes."""
    if "." in equation:
        raise b.refusal("has axes without names")
    letters = dict.fromkeys(letter for letter in equation if letter.isalpha())  # Keras reads small letters only
    small = dict(zip(letters, string.ascii_lowercase, strict=False))
    equation = "".join(small.get(letter, letter) for letter in equation if letter != " ")
    sources, arrow, target = equation.partition("->")
    if not arrow:
        raise b.refusal("does not say its result")
    parts = [b.lifted(part) if isinstance(part, np.ndarray) else part.plain() for part in tensors]
    labels = ["".join(names[axis] for axis in part.axes) for names, part in zip(sources.split(","), parts, strict=True)]
    sizes: dict[str, Any] = {}
    for names, part in zip(labels, parts, strict=True):
        for name, axis in zip(names, part.axes, strict=True):
            if sizes.setdefault(name, part.sizes(axis)) != part.sizes(axis):
                raise b.refusal("repeats axes of size 1")  # torch does, Keras does not
    tensor = ops.einsum(f"{','.join(labels)}->{target}", *[part.tensor for part in parts])
    return b.laid(tensor, range(len(target)))


HANDLERS: dict[str, Handler] = {
    "matmul": matmul,
    "bmm": lambda b, input, mat2: matmul(b, input, mat2),
    "scaled_dot_product_attention": attention,
    "einsum": einsum,
}
