"""Operators of ONNX that move numbers and make shapes, on arrays.

Reference: https://onnx.ai/onnx/operators
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.programs.onnx.arguments import Arguments, Unfoldable, read_tensor

LARGEST = 2**28
"""Numbers of a constant: beyond it, the graph is a trap."""


def _size(shape: np.ndarray) -> list[int]:
    sizes = [int(size) for size in shape.reshape(-1)]
    if min(sizes, default=0) < 0:
        raise ValueError("negative size")
    return sizes


def _constant_of_shape(arguments: Arguments) -> Any:
    value = arguments.attribute("value")
    number = np.zeros(1, "f4") if value is None else read_tensor(value)
    return np.broadcast_to(number.reshape(()), _size(arguments[0]))


def _unsqueeze(arguments: Arguments) -> Any:
    return np.expand_dims(arguments[0], tuple(arguments.integers(1, "axes") or ()))


def _squeeze(arguments: Arguments) -> Any:
    axes = arguments.integers(1, "axes")
    return np.squeeze(arguments[0], None if axes is None else tuple(axes))


def slices(rank: int, shape: Sequence[int], cuts: Sequence[tuple[int, int, int, int]]) -> tuple[slice, ...]:
    """NumPy's index for ONNX's slices.

    Args:
        rank: number of axes.
        shape: sizes of the axes.
        cuts: `(axis, start, end, step)`.
    """
    window = [slice(None)] * rank
    for axis, start, end, step in cuts:
        size = shape[axis]
        if step > 0:
            window[axis] = slice(start, end, step)
        else:
            start = min(start + size if start < 0 else start, size - 1)
            end = end + size if -size <= end < 0 else max(end, -1)
            window[axis] = slice(start, None if end < 0 else end, step)
    return tuple(window)


def cuts_of(arguments: Arguments, rank: int) -> list[tuple[int, int, int, int]]:
    """`(axis, start, end, step)` of each cut of a Slice."""
    starts, ends = arguments.integers(1, "starts"), arguments.integers(2, "ends")
    axes, steps = arguments.integers(3, "axes"), arguments.integers(4, "steps")
    if starts is None or ends is None:
        raise Unfoldable("Slice")
    axes = axes if axes is not None else list(range(len(starts)))
    steps = steps if steps is not None else [1] * len(starts)
    if 0 in steps:
        raise Unfoldable("Slice")
    return [(axis % rank, *rest) for axis, *rest in zip(axes, starts, ends, steps, strict=True)]  # type: ignore[misc]


def _slice(arguments: Arguments) -> Any:
    x = arguments[0]
    return x[slices(x.ndim, x.shape, cuts_of(arguments, x.ndim))]


def _reshape(arguments: Arguments) -> Any:
    x, shape = arguments[0], [int(size) for size in arguments[1]]
    if not arguments.attribute("allowzero", 0):
        shape = [x.shape[index] if size == 0 else size for index, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(arguments: Arguments) -> Any:
    x, axis = arguments[0], arguments.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _expand(arguments: Arguments) -> Any:
    x = arguments[0]
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(_size(arguments[1]))))


def _range(arguments: Arguments) -> Any:
    start, stop, step = (arguments[index].item() for index in range(3))
    if (stop - start) / step > LARGEST:
        raise ValueError("range")
    return np.arange(start, stop, step).astype(arguments[0].dtype)


def _split(arguments: Arguments) -> Any:
    x, axis = arguments[0], arguments.attribute("axis", 0)
    parts = split_sizes(arguments, x.shape[axis])
    return np.split(x, np.cumsum(parts)[:-1], axis)


def split_sizes(arguments: Arguments, size: int) -> list[int]:
    """The sizes of the parts of a Split of an axis of this size."""
    parts = arguments.integers(1, "split")
    if parts is None:
        number = arguments.attribute("num_outputs", len(arguments.node.outputs))
        step = -(-size // number)
        parts = [min(step, size - step * index) for index in range(number)]
    if sum(parts) != size or min(parts) < 0:
        raise Unfoldable("Split")
    return parts


def _gather_elements(arguments: Arguments) -> Any:
    x, indices, axis = arguments[0], arguments[1], arguments.attribute("axis", 0)
    return np.take_along_axis(x, np.where(indices < 0, indices + x.shape[axis], indices), axis)


def _gather(arguments: Arguments) -> Any:
    return np.take(arguments[0], arguments[1], arguments.attribute("axis", 0))


def _gather_nd(arguments: Arguments) -> Any:
    if arguments.attribute("batch_dims", 0):
        raise Unfoldable("GatherND")
    return arguments[0][tuple(np.moveaxis(arguments[1], -1, 0))]


def _scatter_nd(arguments: Arguments) -> Any:
    if arguments.attribute("reduction", "none") not in ("none", ""):
        raise Unfoldable("ScatterND")
    x = np.array(arguments[0])
    x[tuple(np.moveaxis(arguments[1], -1, 0))] = arguments[2]
    return x


def _pad(arguments: Arguments) -> Any:
    x = arguments[0]
    pads = arguments.integers(1, "pads") or []
    mode = arguments.attribute("mode", "constant")
    if arguments.has(3) or min(pads, default=0) < 0:
        raise Unfoldable("Pad")
    around = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    if mode != "constant":
        return np.pad(x, around, mode=mode)
    value = arguments[2].item() if arguments.has(2) else arguments.attribute("value", 0)
    return np.pad(x, around, constant_values=value)


def _transpose(arguments: Arguments) -> Any:
    return np.transpose(arguments[0], arguments.attribute("perm"))


def _trilu(arguments: Arguments) -> Any:
    k = int(arguments[1]) if arguments.has(1) else 0
    return (np.triu if arguments.attribute("upper", 1) else np.tril)(arguments[0], k)


def _one_hot(arguments: Arguments) -> Any:
    axis = arguments.attribute("axis", -1)
    indices, depth, values = arguments[0], int(arguments[1]), arguments[2]
    hot = (indices[..., None] % depth) == np.arange(depth)
    return np.moveaxis(np.where(hot, values[1], values[0]), -1, axis)


def _shape(arguments: Arguments) -> Any:
    start, end = arguments.attribute("start", 0), arguments.attribute("end")
    return np.array(arguments[0].shape[start:end], "i8")


SHAPE_RULES: dict[str, Callable[[Arguments], Any]] = {
    "ConstantOfShape": _constant_of_shape,
    "Shape": _shape,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "Concat": lambda arguments: np.concatenate(
        [arguments[index] for index in range(len(arguments.inputs))], arguments.attribute("axis", 0)
    ),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Split": _split,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Expand": _expand,
    "Tile": lambda arguments: np.tile(arguments[0], arguments[1]),
    "Range": _range,
    "Transpose": _transpose,
    "Pad": _pad,
    "Trilu": _trilu,
    "OneHot": _one_hot,
}
"""Operator -> its result, from its inputs and attributes."""
