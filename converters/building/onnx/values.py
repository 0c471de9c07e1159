"""What the names of an ONNX graph mean while it is traced."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from converters.errors import ConversionError
from converters.types import Shape

PLACES = "p"
"""Kind of the places of maxima, which only an unpooling reads."""


class OtherSize(ConversionError):
    """The graph does not take images of the traced sizes, or depends on the size that it was exported for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """Numbers that are known before any image comes: weights, constants, and what is computed from sizes.

    Attributes:
        name: name of the value.
        arrays: the numbers at each traced size. Where no size matters it is the same array.
        parents: names of the initializers that they are computed from.
    """

    name: str
    arrays: tuple[np.ndarray, ...]
    parents: tuple[str, ...] = ()

    @property
    def is_fixed(self) -> bool:
        """Whether the numbers are the same at all traced sizes."""
        first = self.arrays[0]
        return all(array is first for array in self.arrays) or all(
            array.shape == first.shape and np.array_equal(array, first) for array in self.arrays
        )

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape at each traced size."""
        return tuple(array.shape for array in self.arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class Computed:
    """A result that depends on the image.

    Attributes:
        name: name of the step's result.
        shapes: shape at each traced size.
        kind: "f" for floats, "i" for integers, "b" for truth values, or `PLACES`.
        base: what it is another shape of; None where it is no reshape. For places: the map that was pooled.
    """

    name: str
    shapes: tuple[Shape, ...]
    kind: str = "f"
    base: "Computed | None" = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shapes[0])

    def sizes(self, axis: int) -> tuple[int, ...]:
        """The size of an axis at each traced size."""
        return tuple(shape[axis] for shape in self.shapes)

    def is_free(self, axis: int) -> bool:
        """Whether the size of an axis depends on the image or on the batch."""
        return len(set(self.sizes(axis))) > 1


Value = Known | Computed


def same_rank(shapes: Sequence[Shape]) -> bool:
    """Whether all shapes have as many axes."""
    return len({len(shape) for shape in shapes}) == 1
