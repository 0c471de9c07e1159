"""What the names of a TensorFlow graph mean while it is traced, beside constants."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from converters.building.onnx.values import Computed, Known
from converters.types import Shape

CHANNELS_LAST = (0, 2, 3, 1)
"""The axis of a map of the steps, whose channels come first, that each axis of TensorFlow's map is."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ordered(Computed):
    """A result that depends on the image. Its shapes are those of the step.

    Attributes:
        order: the axis of the step's result that each of TensorFlow's axes is; empty where they are the same.
    """

    order: tuple[int, ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """The axis of the step's result that each of TensorFlow's axes is."""
        return self.order or tuple(range(self.rank))

    @property
    def seen(self) -> tuple[Shape, ...]:
        """The shape at each traced size, in TensorFlow's order of axes."""
        return tuple(tuple(shape[axis] for axis in self.axes) for shape in self.shapes)

    @property
    def is_map(self) -> bool:
        """Whether it is a map whose channels TensorFlow has last, and the steps first."""
        return self.axes == CHANNELS_LAST

    def axis(self, place: int) -> int:
        """The axis of the step's result that an axis of TensorFlow, which may be negative, is.

        Raises:
            ValueError: no such axis.
        """
        if not -self.rank <= place < self.rank:
            raise ValueError(f"the axis {place} of {self.rank}")
        return self.axes[place]


@dataclasses.dataclass(frozen=True, eq=False)
class Random:
    """Random numbers of an interval, as dropout draws them: what is known of them may suffice.

    Attributes:
        low, high: the interval; the upper end is not in it.
        like: the shape at each traced size.
    """

    low: float
    high: float
    like: tuple[Shape, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Dead:
    """The result of a branch that is not taken."""


@dataclasses.dataclass(frozen=True, eq=False)
class Spaced:
    """A map between SpaceToBatchND and BatchToSpaceND: the steps between are a dilated convolution.

    Attributes:
        x: map before.
        block: rows and columns of a block, which become the dilation.
        pads: `((above, below), (left, right))` at each traced size.
        nodes: names of the nodes since then, the convolution first.
    """

    x: Ordered
    block: tuple[int, int]
    pads: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    nodes: tuple[str, ...] = ()


Meaning = Ordered | Known | Random | Dead | Spaced


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes another one."""
    return tuple(int(place) for place in np.argsort(order))
