"""What a name of an ONNX graph stands for: a map of the image, numbers that are known, or weights."""

import dataclasses

import numpy as np

from converters.programs.steps import ProgramStep
from converters.reading.tensors import Tensor
from tfseg.types import Size

IMAGE_AXES = "nchw"
"""Axes of an image: its number, channels, rows and columns."""

_LARGEST = 2**31  # a size beyond it is none


class ImpossibleSize(Exception):
    """A size of the image that the graph does not take: maps of different sizes meet, or nothing is left of one."""


@dataclasses.dataclass(frozen=True, eq=False)
class Map:
    """A result that depends on the image.

    Attributes:
        step: step that computes it.
        shape: sizes of its axes; None where they are not known.
        axes: a letter for each axis: "nchw", another order of these, "nc" for one map made flat, or "" where it is not
            known.
    """

    step: ProgramStep
    shape: tuple[int, ...] | None
    axes: str

    def axis(self, axis: int) -> str:
        """The letter of an axis, which may be counted from the end."""
        return self.axes[axis]


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """A constant that is not read: its numbers are weights."""

    name: str
    tensor: Tensor | None


Value = Map | Weights | np.ndarray
"""What a name stands for."""


def image_axes(shape: tuple[int | None, ...] | None) -> str:
    """The letters of an image's axes: TensorFlow has the channels last.

    Args:
        shape: shape that the graph states, or None; an axis of any size is None.
    """
    if shape is None:
        return IMAGE_AXES
    if len(shape) != 4:
        return ""
    last, first = shape[3], shape[1]
    return "nhwc" if last is not None and last <= 4 and (first is None or first > 4) else IMAGE_AXES


def image_map(value: Value | None) -> Map:
    """A map with channels before rows and columns.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, Map) or value.axes != IMAGE_AXES or value.shape is None:
        raise TypeError("no map of an image")
    return value


def any_map(value: Value | None) -> Map:
    """A map.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, Map):
        raise TypeError("no map")
    return value


def channels(x: Map) -> int:
    """The number of a map's channels."""
    return (x.shape or ())[x.axes.index("c")]


def check_size(size: Size) -> None:
    """Refuses a map without rows or columns.

    Raises:
        ImpossibleSize: nothing is left of it, or it is larger than any map.
    """
    if not all(0 < side < _LARGEST for side in size):
        raise ImpossibleSize(f"a map of the size {size}")
