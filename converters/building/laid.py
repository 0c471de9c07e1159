"""Tensors of the model under construction, and the order of their axes.

torch's axes are `(batch, channels, height, width)`; Keras's maps are `(batch, height, width, channels)`. A permutation
of axes is free: it is only noted here, until an operation needs another order.
"""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops

from converters.errors import ConversionError
from converters.types import Shape

MAP = (0, 2, 3, 1)  # the order of axes of a map in Keras


@dataclasses.dataclass(frozen=True)
class Border:
    """Pixels around a map whose number depends on its size.

    Attributes:
        pads: `((above, below), (left, right))` at each traced size.
        sizes: rows and columns of the map at each traced size.
        value: the number that they have.
    """

    pads: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    sizes: tuple[tuple[int, int], ...]
    value: float

    def is_same(self, kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int] = (1, 1)) -> bool:
        """Whether these are the pixels that TensorFlow's padding "same" adds for a window."""
        return all(
            pad == _same_pads(size, window, stride, rate)
            for pads, sizes in zip(self.pads, self.sizes, strict=True)
            for pad, size, window, stride, rate in zip(pads, sizes, kernel, strides, dilation, strict=True)
        )


def _same_pads(size: int, window: int, stride: int, rate: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + (window - 1) * rate + 1 - size, 0)
    return total // 2, total - total // 2


@dataclasses.dataclass(frozen=True)
class Laid:
    """A tensor of the model.

    Attributes:
        tensor: the symbolic tensor.
        axes: for each of its axes, the number of that axis in the source.
        shapes: shape in the source at each traced size.
        mixed: sizes of the source's axes that the last axis merges, where it holds them in Keras's order: channels come
            last instead of first. Empty for a tensor whose order is the source's.
        border: pixels around the map that depend on its size, which the next convolution or pooling has to add.
    """

    tensor: keras.KerasTensor
    axes: tuple[int, ...]
    shapes: tuple[Shape, ...]
    mixed: Shape = ()
    border: "Border | None" = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.axes)

    def place(self, axis: int) -> int:
        """The axis of the tensor that is this axis of the source, which may be negative."""
        return self.axes.index(axis % self.rank)

    def sizes(self, axis: int) -> tuple[int, ...]:
        """The size of an axis of the source, at each traced size."""
        return tuple(shape[axis] for shape in self.shapes)

    def arranged(self, axes: Sequence[int]) -> "Laid":
        """The same tensor with its axes in another order."""
        laid = self.plain()
        axes = tuple(axes)
        if laid.axes == axes:
            return laid
        order = [laid.axes.index(axis) for axis in axes]
        # An axis of one pixel may be moved without moving data.
        tensor = ops.transpose(laid.tensor, order)
        return Laid(tensor, axes, laid.shapes)

    def in_order(self) -> "Laid":
        """The tensor with the source's order of axes."""
        return self.arranged(range(self.rank))

    def as_map(self) -> "Laid":
        """A map of four axes with the channels last."""
        return self.arranged(MAP)

    def plain(self) -> "Laid":
        """The tensor with the source's order of numbers inside its last axis."""
        if self.border:
            raise ConversionError(
                "The network pads a map by what its size says, and neither a convolution nor a pooling follows."
            )
        if not self.mixed:
            return self
        channels, height, width = self.mixed
        x = keras.layers.Reshape((height, width, channels))(self.tensor)
        x = keras.layers.Permute((3, 1, 2))(x)
        x = keras.layers.Reshape((channels * height * width,))(x)
        return Laid(x, self.axes, self.shapes)


def with_leading_axes(laid: Laid, rank: int) -> Laid:
    """The tensor with axes of size 1 before its own, as arithmetic adds them to the one that has fewer."""
    more = rank - laid.rank
    if not more:
        return laid
    laid = laid.plain()
    tensor = ops.expand_dims(laid.tensor, tuple(range(more)))
    axes = (*range(more), *(axis + more for axis in laid.axes))
    return Laid(tensor, axes, tuple(((1,) * more + tuple(shape)) for shape in laid.shapes))


def usual_axes(rank: int) -> tuple[int, ...]:
    """The order of axes in which Keras keeps tensors of this rank."""
    return MAP if rank == 4 else tuple(range(rank))
