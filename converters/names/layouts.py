"""Layouts: how the axes of a foreign tensor become the axes of a Keras variable, written as in einops.

`"o i h w -> h w i o"` turns a PyTorch convolution into a Keras one. `"o (c h w) -> h w c o"` turns a fully connected
layer after a flattened map into a convolution. `"o i -> 1 1 i o"` turns any other into a 1x1 convolution. `; h=7 w=7`
gives sizes that neither shape tells. Read from right to left, a layout is the way back.
"""

import functools
import itertools
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from converters.memory import empty
from converters.types import Shape

_BLOCK = (64, 8)  # rows and columns copied at a time: source and target lines of a block stay in the cache
_LARGE = 1 << 20  # elements; below, one plain copy is as fast


Side = tuple[tuple[str, ...], ...]


class Layout(NamedTuple):
    """A parsed layout. A side is a tuple of dimensions, and a dimension a tuple of axis names (empty: size 1).

    Attributes:
        source: dimensions of the foreign tensor.
        target: dimensions of the Keras variable.
        sizes: `(axis, size)` of the axes whose size neither shape tells.
    """

    source: Side
    target: Side
    sizes: tuple[tuple[str, int], ...] = ()

    def solve(self, source_shape: Shape, target_shape: Shape | None = None) -> dict[str, int] | None:
        """The size of every axis, or None if the shapes do not fit this layout."""
        sizes = dict(self.sizes)
        sides = [(self.source, source_shape)]
        if target_shape is not None:
            sides.append((self.target, target_shape))
        if any(len(groups) != len(shape) for groups, shape in sides):
            return None
        # Single axes first: they leave at most one unknown in the groups.
        for groups, shape in sides + sides:
            for group, size in zip(groups, shape, strict=True):
                unknown = [axis for axis in group if axis not in sizes]
                known = math.prod(sizes[axis] for axis in group if axis in sizes)
                if len(unknown) == 1 and known and size % known == 0:
                    sizes[unknown[0]] = size // known
        for groups, shape in sides:
            for group, size in zip(groups, shape, strict=True):
                if any(axis not in sizes for axis in group) or math.prod(sizes[axis] for axis in group) != size:
                    return None
        return sizes

    def target_shape(self, source_shape: Shape) -> Shape | None:
        """The shape that `apply` gives, or None if the shape does not fit or does not tell it."""
        sizes = self.solve(source_shape)
        return None if sizes is None else tuple(math.prod(sizes[axis] for axis in group) for group in self.target)

    def apply(self, array: np.ndarray, target_shape: Shape | None = None, dtype: DTypeLike | None = None) -> np.ndarray:
        """The array in the target layout, contiguous in new memory.

        Args:
            array: foreign tensor.
            target_shape: shape of the Keras variable, where the foreign shape does not tell it.
            dtype: type of the result; None: the array's.

        Raises:
            ValueError: a shape that does not fit the layout.
        """
        sizes = self.solve(array.shape, target_shape)
        if sizes is None:
            raise ValueError(f"shape {tuple(array.shape)} does not fit the layout {self}")
        source_axes, target_axes = _flat(self.source), _flat(self.target)
        view = array.reshape([sizes[axis] for axis in source_axes])
        order = [source_axes.index(axis) for axis in target_axes]
        result = _transposed(view, order, np.dtype(dtype or array.dtype))
        return result.reshape([math.prod(sizes[axis] for axis in group) for group in self.target])

    def inverse(self) -> "Layout":
        """The layout of the way back."""
        return Layout(self.target, self.source, self.sizes)

    def __str__(self) -> str:
        sides = " -> ".join(" ".join(map(_written, side)) for side in (self.source, self.target))
        return sides + (";" + "".join(f" {axis}={size}" for axis, size in self.sizes) if self.sizes else "")


@functools.cache
def parse(text: str) -> Layout:
    """The layout that a text like `"o (c h w) -> (h w c) o; h=7 w=7"` means.

    Raises:
        ValueError: a text that does not name every axis once on each side.
    """
    sides, _, sizes = text.partition(";")
    source, target = (tuple(_dimensions(side)) for side in sides.split("->"))
    layout = Layout(source, target, tuple((axis, int(size)) for axis, size in (s.split("=") for s in sizes.split())))
    if sorted(_flat(source)) != sorted(_flat(target)) or len(set(_flat(source))) != len(_flat(source)):
        raise ValueError(f"A layout names every axis once on each side. Received: {text!r}")
    return layout


def _dimensions(side: str) -> Iterator[tuple[str, ...]]:
    for piece in side.replace("(", " ( ").replace(")", " ) ").split("("):
        inside, closing, after = piece.rpartition(")")
        if closing:
            yield tuple(inside.split())
        yield from (() if axis == "1" else (axis,) for axis in after.split())


def _flat(groups: Side) -> tuple[str, ...]:
    return tuple(itertools.chain.from_iterable(groups))


def _written(group: tuple[str, ...]) -> str:
    return {0: "1", 1: "".join(group)}.get(len(group), f"({' '.join(group)})")


def _transposed(view: np.ndarray, order: list[int], dtype: np.dtype) -> np.ndarray:
    moved = view.transpose(order)
    result = empty(moved.shape, dtype)
    if view.size < _LARGE or view.ndim < 2:
        result[...] = moved
        return result
    # A plain copy of a transposed array misses the cache on one side: copy block by block, on all cores.
    back = result.transpose(np.argsort(order))
    rows, columns = _BLOCK

    def copy(row: int) -> None:
        for column in range(0, view.shape[1], columns):
            back[row : row + rows, column : column + columns] = view[row : row + rows, column : column + columns]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(copy, range(0, view.shape[0], rows)))
    return result
