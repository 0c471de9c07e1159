"""Constants of a graph that is traced at several sizes, as the steps of a program have them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.building.graph import Sizes
from converters.building.onnx.values import Known
from converters.errors import ConversionError


def collapsed(known: Known, dtype: str = "float32") -> np.ndarray:
    """The numbers of a constant. Axes along which it repeats itself as often as the image says have one entry.

    Args:
        known: the constant.
        dtype: type of floats.
    Raises:
        ConversionError: a constant that depends on the size of the image.
    """
    if known.is_fixed:
        return weights_of(known.arrays[0], dtype)
    shapes = known.shapes
    arrays = list(known.arrays)
    if len({len(shape) for shape in shapes}) == 1:
        for axis in range(len(shapes[0])):
            if len({shape[axis] for shape in shapes}) > 1:
                arrays = [
                    array[(slice(None),) * axis + (slice(0, 1),)] if _repeats(array, axis) else array
                    for array in arrays
                ]
    if all(array.shape == arrays[0].shape and np.array_equal(array, arrays[0]) for array in arrays):
        return weights_of(arrays[0], dtype)
    raise ConversionError(
        f"the graph makes the constant {known.name!r}, whose numbers depend on the size of the image, and a step "
        f"computes with it. Received: {', '.join('x'.join(map(str, shape)) or 'a number' for shape in shapes)}. Export "
        "the network for images of one size."
    )


def _repeats(array: np.ndarray, axis: int) -> bool:
    return array.shape[axis] > 0 and (
        array.strides[axis] == 0 or bool((array == array[(slice(None),) * axis + (slice(0, 1),)]).all())
    )


def weights_of(array: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """A copy of the array; floats have the type.

    Args:
        array: numbers of a constant.
        dtype: type of floats.
    """
    return np.array(array, dtype, order="C") if array.dtype.kind == "f" else np.array(array)


def shared(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The arrays; one for all where they are equal and small.

    Args:
        arrays: numbers at each traced size.
    """
    first = arrays[0]
    small = first.size < 1024 and all(array.shape == first.shape and np.array_equal(array, first) for array in arrays)
    return (first,) * len(arrays) if small else tuple(arrays)


def integer(values: Sequence[int]) -> Any:
    """One integer, or `Sizes` where it depends on the image.

    Args:
        values: the integer at each traced size.
    """
    return int(values[0]) if len(set(values)) == 1 else Sizes(tuple(map(int, values)))
