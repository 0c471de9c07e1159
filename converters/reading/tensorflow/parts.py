"""Tensors that lie in parts: where each part belongs, and putting them together."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from converters.errors import ConversionError
from converters.reading.tensorflow.slice_keys import Extent
from converters.reading.tensors import Block, Tensor
from converters.types import Shape


def part_shape(extents: Sequence[Extent], shape: Shape) -> Shape:
    """The sizes of a part.

    Args:
        extents: what the part covers of each axis.
        shape: sizes of the whole tensor.
    Raises: ConversionError for a part that is not inside.
    """
    if len(extents) != len(shape):
        raise ConversionError(f"has a part of {len(extents)} axes of a tensor of {len(shape)}; the file is damaged.")
    sizes = tuple(size if length == -1 else length for (_, length), size in zip(extents, shape, strict=True))
    for (start, _), length, size in zip(extents, sizes, shape, strict=True):
        if start < 0 or length < 0 or start + length > size:
            raise ConversionError(
                f"has a part that begins at {start} and takes {length} of an axis of {size}; the file is damaged."
            )
    return sizes


def joined(dtype: np.dtype, shape: Shape, parts: Sequence[tuple[Sequence[Extent], Callable[[], memoryview]]]) -> Tensor:
    """A tensor from its parts, which are read when it is.

    Args:
        dtype: type of the elements.
        shape: sizes of the whole tensor.
        parts: what each part covers, and the function that reads its bytes.
    Raises: ConversionError for parts that do not make the whole.
    """
    sizes = [part_shape(extents, shape) for extents, _ in parts]
    total, stated = math.prod(shape), sum(map(math.prod, sizes))
    if stated != total:
        raise ConversionError(f"has parts of {stated} elements in all. Expected {total}; the file is damaged.")

    def read() -> memoryview:
        whole, seen = np.empty(shape, dtype), np.zeros(shape, bool)
        for (extents, data), part in zip(parts, sizes, strict=True):
            place = tuple(slice(start, start + size) for (start, _), size in zip(extents, part, strict=True))
            if seen[place].any():
                raise ConversionError("has two parts that overlap; the file is damaged.")
            seen[place] = True
            whole[place] = np.frombuffer(data(), dtype).reshape(part)
        return whole.reshape(-1).view("u1").data

    return Tensor(Block(total * dtype.itemsize, read), dtype, shape)
