"""Products with a matrix that the size of the image makes: a map is resized, or averaged, along one axis.

So `tfseg.export` writes `ResizeLike` and `AdaptiveAveragePooling`, and so does whoever interpolates by matrices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.constants import integer
from converters.building.onnx.rules.shapes import reshaped
from converters.building.onnx.values import Computed, Known

_NEAR = 1e-4  # single precision loses as much of a place on a large map; the built model is compared more closely
_LAST, _BACK = (0, 3, 1, 2), (0, 2, 3, 1)  # channels before rows and columns, and after them again


class _Kind(NamedTuple):
    """What a matrix may do: the step, its further arguments, and the matrix `(outputs, pixels)`."""

    op: str
    given: dict[str, Any]
    matrix: Callable[[int, int], np.ndarray]


def _interpolation(places: np.ndarray, pixels: int) -> np.ndarray:
    """The matrix that reads at places between pixels."""
    places = np.clip(places, 0, pixels - 1)
    first = np.floor(places).astype("int64")
    second = np.minimum(first + 1, pixels - 1)
    result = np.zeros((len(places), pixels))
    rows = np.arange(len(places))
    np.add.at(result, (rows, first), 1 - (places - first))
    np.add.at(result, (rows, second), places - first)
    return result


def _half_pixel(outputs: int, pixels: int) -> np.ndarray:
    return _interpolation((np.arange(outputs) + 0.5) * pixels / outputs - 0.5, pixels)


def _aligned(outputs: int, pixels: int) -> np.ndarray:
    return _interpolation(np.arange(outputs) * ((pixels - 1) / max(outputs - 1, 1)), pixels)


def _averages(outputs: int, pixels: int) -> np.ndarray:
    result = np.zeros((outputs, pixels))
    for row in range(outputs):
        start, stop = row * pixels // outputs, -(-(row + 1) * pixels // outputs)
        result[row, start:stop] = 1 / (stop - start)
    return result


_KINDS = (
    _Kind("upsample_bilinear2d", {"align_corners": False}, _half_pixel),
    _Kind("upsample_bilinear2d", {"align_corners": True}, _aligned),
    _Kind("adaptive_avg_pool2d", {}, _averages),
)


def along_axis(call: Call, matrix: Known, x: Computed) -> Computed | None:
    """The step that the product of a matrix and a map is; None for any other matrix.

    Args:
        call: node.
        matrix: matrix at each traced size.
        x: map `(batch, rows, columns, channels)`, whose columns change; or one with columns and channels in one axis,
            whose rows do.
    """
    kind = next((kind for kind in _KINDS if all(_fits(kind, array) for array in matrix.arrays)), None)
    if kind is None:
        return None
    sizes = [shape[0] for shape in matrix.shapes]
    if x.rank == 4:
        return _changed(call, kind, x, [(shape[1], size) for shape, size in zip(x.shapes, sizes, strict=True)])
    if x.rank != 3:
        return None
    whole = x.base
    if whole is None or whole.rank != 4 or whole.sizes(1) != x.sizes(1):
        whole = reshaped(call, x, [(*shape[:2], 1, shape[2]) for shape in x.shapes])
    rows = _changed(call, kind, whole, [(size, shape[2]) for shape, size in zip(whole.shapes, sizes, strict=True)])
    return reshaped(call, rows, [(shape[0], shape[1], shape[2] * shape[3]) for shape in rows.shapes])


def _fits(kind: _Kind, array: np.ndarray) -> bool:
    return array.ndim == 2 and bool(np.abs(kind.matrix(*array.shape) - array).max() < _NEAR)


def _changed(call: Call, kind: _Kind, x: Computed, sides: list[tuple[int, int]]) -> Computed:
    """A map `(batch, rows, columns, channels)` with other rows or columns."""
    first = call.emit("permute", [tuple(shape[axis] for axis in _LAST) for shape in x.shapes], input=x, dims=[*_LAST])
    shapes = [(*shape[:2], *side) for shape, side in zip(first.shapes, sides, strict=True)]
    size = [integer([side[axis] for side in sides]) for axis in (0, 1)]
    result = call.emit(kind.op, shapes, input=first, output_size=size, **kind.given)
    return call.emit("permute", [tuple(shape[axis] for axis in _BACK) for shape in shapes], input=result, dims=[*_BACK])
