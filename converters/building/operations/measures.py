"""Sizes that depend on the image, found again: which axis of which tensor of the model tells them."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from converters.building.builder import Builder
from converters.building.laid import Laid
from tfseg.layers.measures import Measure

Sides = tuple[int, ...]
"""The size of one axis, or another integer, at each traced size of the image."""

_DIVISORS = (2, 4, 8, 16, 32, 3, 6, 7, 12, 14, 64)


class _Axis(NamedTuple):
    tensor: Any
    place: int
    sizes: Sides


class Measures:
    """The inputs of a layer that takes sizes from its inputs; integers become measures of them.

    Attributes:
        inputs: the tensor at hand, and the tensors whose sizes are used.
    """

    def __init__(self, b: Builder, laid: Laid) -> None:
        self.b = b
        self.laid = laid
        self.inputs: list[Any] = [laid.tensor]

    def packed(self) -> Any:
        """What the layer is called on."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    def find(self, sides: Sides, what: str) -> Measure:
        """The measure that has these values at the traced sizes.

        Args:
            sides: the integer at each traced size.
            what: words for the refusal, such as "an axis".
        Raises:
            RefusedStep: nothing in the network tells it.
        """
        size = self.search(sides)
        if size is None:
            raise self.b.refusal(
                f"makes {what} whose size no map of the network has; give example=, an image, and the model is "
                "built for its size alone"
            )
        return size

    def search(self, sides: Sides) -> Measure | None:
        """The same; None where nothing tells it."""
        if len(set(sides)) == 1:
            return sides[0]
        for axis in self.axes():
            if axis.sizes == sides:
                return self.of(axis)
        for axis in self.axes(few=True):
            for divisor in _DIVISORS:
                if tuple(size // divisor for size in axis.sizes) == sides:
                    return self.of(axis, 1, 0, divisor)
                if tuple(-(-size // divisor) for size in axis.sizes) == sides:
                    return self.of(axis, 1, divisor - 1, divisor)
                if tuple(size * divisor for size in axis.sizes) == sides:
                    return self.of(axis, divisor)
                if tuple(-(-size // divisor) * divisor for size in axis.sizes) == sides:
                    return self.of(axis, 1, divisor - 1, divisor, 0, divisor) if _varies(axis, divisor) else None
                if tuple(size // divisor * divisor for size in axis.sizes) == sides:
                    return self.of(axis, 1, 0, divisor, 0, divisor) if _varies(axis, divisor) else None
            if tuple(max(size, min(sides)) for size in axis.sizes) == sides:
                return self.of(axis, 1, 0, 1, 0, 1, min(sides))
        for axis in self.axes(few=True):
            if terms := _affine(axis.sizes, sides):
                return self.of(axis, *terms)
        return None

    def search_rest(self, sides: Sides, axis: int) -> Measure | None:
        """A number of entries that completes an axis of the tensor at hand to a multiple; None: no multiple."""
        if len(set(sides)) == 1:
            return sides[0]
        sizes = self.laid.sizes(axis)
        for divisor in range(2, 65):
            if tuple(-size % divisor for size in sizes) == sides:
                return self.of(_Axis(self.laid.tensor, self.laid.place(axis), sizes), -1, 0, 1, divisor)
        return None

    def axes(self, few: bool = False) -> Iterator[_Axis]:
        """Axes that may tell a size: its own, then those of maps, the latest first, then others; or only a few."""
        yield from _of(self.laid)
        values = [value for value in self.b.values.values() if isinstance(value, Laid)]
        values = [value for value in values if not value.border and not value.mixed and value.tensor is not None]
        if few:
            values = values[:1]
        values.reverse()
        for value in sorted(values, key=lambda value: value.rank != 4):
            yield from _of(value)

    def of(self, axis: _Axis, *rest: int) -> Measure:
        """The measure of an axis, whose tensor becomes an input of the layer."""
        for number, tensor in enumerate(self.inputs):
            if tensor is axis.tensor:
                return [number, axis.place, *rest]
        self.inputs.append(axis.tensor)
        return [len(self.inputs) - 1, axis.place, *rest]


def _varies(axis: _Axis, divisor: int) -> bool:
    """Whether the traced sizes tell a multiple of the divisor from a constant difference: 331 to 330 may be either."""
    return len({size % divisor for size in axis.sizes}) > 1


_FACTORS = (1, -1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17)
_OVERS = (1, 2, 3, 4, 5, 8, 10, 16, 20, 32)
_TRIED = 5000  # pixels up to which a factor with decimals has to agree with Python's own product


def _affine(sizes: Sides, sides: Sides) -> tuple[int, int, int] | None:
    """`(times, plus, over)` with `sides == (sizes * times + plus) // over`, the simplest; None: there is none."""
    for over in _OVERS:
        for times in _FACTORS:
            if over > 1 and times > 1 and math.gcd(over, times) > 1:
                continue
            # Every size leaves an interval for what is added.
            low = max(over * side - times * size for size, side in zip(sizes, sides, strict=True))
            high = min(over * side - times * size for size, side in zip(sizes, sides, strict=True)) + over - 1
            usual = [plus for plus in (0, over - 1, 1, -1, over, -over) if low <= plus <= high]
            plus = usual[0] if usual else low if low == high else None
            if plus is not None and abs(plus) <= 64 and _is_exact(times, plus, over):
                return times, plus, over
    return None


def _is_exact(times: int, plus: int, over: int) -> bool:
    """Whether Python's floor of a product with the factor, which networks compute, is the quotient of integers."""
    if plus or times in (1, -1) or over == 1:
        return True
    return all(math.floor(size * (times / over)) == size * times // over for size in range(1, _TRIED))


def _of(laid: Laid) -> Iterator[_Axis]:
    for axis in range(laid.rank):
        sizes = laid.sizes(axis)
        if len(set(sizes)) > 1:
            yield _Axis(laid.tensor, laid.place(axis), sizes)
