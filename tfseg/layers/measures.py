"""Sizes that are known only when an image comes: integers computed from the axes of a layer's inputs."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from keras import ops

from tfseg.types import Tensor

Measure: TypeAlias = int | list[int]
"""A number; or `[input, axis, times, plus, over, modulus, scale, least]`, of which the last six may be left out.

With n, the size of that axis of that input, it is `(n * times + plus) // over`; with a modulus that is not 0,
`(n * times + plus) % modulus // over`. It is multiplied by the scale, and at least the last number.
"""

_PARTS = 64  # factors of so many parts, such as 2 or 0.75, give whole parts of a pixel


def as_inputs(inputs: Any) -> list[Any]:
    """The inputs of a layer as a list."""
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def plain_measures(dims: Sequence[Any]) -> list[Measure]:
    """Measures as lists and numbers, as a configuration keeps them."""
    return [[int(part) for part in dim] if isinstance(dim, list | tuple) else int(dim) for dim in dims]


def measure(dim: Measure, inputs: Sequence[Tensor]) -> Any:
    """The integer: a number, or a tensor where the size is unknown.

    Args:
        dim: the measure.
        inputs: inputs of the layer.
    """
    return dim if isinstance(dim, int) else _evaluated(dim, ops.shape(inputs[dim[0]])[dim[1]])


def known_measure(dim: Measure, inputs: Sequence[Any]) -> int | None:
    """The integer where shapes tell it; None for one that is unknown.

    Args:
        dim: the measure.
        inputs: symbolic inputs of the layer.
    """
    if isinstance(dim, int):
        return dim
    size = inputs[dim[0]].shape[dim[1]]
    return None if size is None else int(_evaluated(dim, size))


def scaled(pixels: Any, scale: float) -> Any:
    """`floor(pixels * scale)`, as torch computes it.

    Args:
        pixels: length of an axis, as a number or a tensor of integers.
        scale: factor.
    """
    if isinstance(pixels, int):
        return math.floor(pixels * scale)
    parts = float(scale) * _PARTS
    if parts.is_integer():  # exact in integers, which LiteRT has, unlike double precision
        return pixels * int(parts) // _PARTS
    # Double precision, as in torch and for numbers: in single precision 0.7 x 90 would be 63 and not 62.
    return ops.cast(ops.floor(ops.cast(pixels, "float64") * scale), "int32")


def _evaluated(dim: Sequence[int], size: Any) -> Any:
    times, plus, over, modulus, scale, least = (*dim[2:], *(1, 0, 1, 0, 1, 0)[len(dim) - 2 :])
    value = size if times == 1 else size * times
    value = value + plus if plus else value
    value = value % modulus if modulus else value
    value = value if over == 1 else value // over
    value = value if scale == 1 else value * scale
    if not least:
        return value
    return max(value, least) if isinstance(value, int) else ops.maximum(value, least)
