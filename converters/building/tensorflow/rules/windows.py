"""Windows of convolutions and poolings: strides, dilations, and the pixels around a map."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from converters.building.graph import Sizes
from converters.building.tensorflow.call import GraphCall
from converters.building.tensorflow.values import Ordered, Spaced
from converters.types import Shape

Pads = tuple[tuple[int, int], tuple[int, int]]
"""`((above, below), (left, right))`."""


@dataclasses.dataclass(frozen=True)
class Window:
    """What a node says of its windows.

    Attributes:
        kernel: rows and columns of a window.
        stride: pixels from one window to the next.
        dilation: distance of its pixels.
        pads: pixels around the map, at each traced size.
        is_same: whether they follow TensorFlow's rule "SAME", which depends on the size of the map.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[Pads, ...]
    is_same: bool = False

    @property
    def any_pads(self) -> bool:
        """Whether there are pixels around the map."""
        return any(side for pads in self.pads for pair in pads for side in pair)

    @property
    def padding(self) -> list[int] | None:
        """The pixels on each side, where they are the same at every size and on both sides; else None."""
        sided = [rate * (size - 1) for rate, size in zip(self.dilation, self.kernel, strict=True)]
        if self.is_same:
            even = self.stride == (1, 1) and not any(side % 2 for side in sided)
            return [side // 2 for side in sided] if even else None
        alike = len(set(self.pads)) == 1 and all(before == after for before, after in self.pads[0])
        return [before for before, _ in self.pads[0]] if alike else None

    def outputs(self, sides: Sequence[int], index: int) -> tuple[int, int]:
        """Rows and columns of the result.

        Raises:
            ValueError: a window that is larger than the map.
        """
        results = []
        for axis, (size, pair) in enumerate(zip(sides, self.pads[index], strict=True)):
            extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            if size + sum(pair) < extent:
                raise ValueError(f"a window of {extent} pixels on {size}")
            results.append((size + sum(pair) - extent) // self.stride[axis] + 1)
        return results[0], results[1]


def window(call: GraphCall, x: Ordered, kernel: Sequence[int]) -> Window:
    """The windows of a node on a map.

    Args:
        call: node.
        x: map, with its channels first in the steps.
        kernel: rows and columns of a window.
    Raises:
        ConversionError: windows over channels or images.
        ValueError: what is no window.
    """
    rows = (1, 2) if call.is_channels_last else (2, 3)
    stride = _sides(call, "strides", rows)
    if call.dilated is not None:
        dilation, pads = call.dilated
        if stride != (1, 1) or call.attribute("padding") != "VALID":
            raise call.refusal("strides over, or pads, a map that SpaceToBatchND cut into blocks")
        return Window((kernel[0], kernel[1]), stride, dilation, pads)
    dilation = _sides(call, "dilations", rows)
    sides = [shape[2:] for shape in x.shapes]
    mode = call.attribute("padding", "VALID")
    same = mode == "SAME"
    if mode == "EXPLICIT":
        given = list(call.attribute("explicit_paddings", ()))
        first, second = ((given[2 * axis], given[2 * axis + 1]) for axis in rows)
        pads = ((first, second),) * len(sides)
    elif same:
        pads = tuple(same_pads(side, kernel, stride, dilation) for side in sides)
    elif mode == "VALID":
        pads = (((0, 0), (0, 0)),) * len(sides)
    else:
        raise call.refusal(f"pads by {mode!r}")
    return Window((kernel[0], kernel[1]), stride, dilation, pads, same)


def _sides(call: GraphCall, name: str, rows: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of an attribute with four numbers."""
    numbers = [int(number) for number in call.attribute(name, ()) or (1, 1, 1, 1)]
    if len(numbers) != 4 or min(numbers) < 1:
        raise ValueError(f"{name} of {numbers}")
    if any(number != 1 for axis, number in enumerate(numbers) if axis not in rows):
        raise call.refusal(f"has {name} over images or channels")
    return numbers[rows[0]], numbers[rows[1]]


def same_pads(sides: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """The pixels of TensorFlow's "SAME" around a map.

    Args:
        sides: rows and columns of the map.
        kernel, stride, dilation: rows and columns, steps and rates of the windows.
    """
    pads = []
    for size, pixels, step, rate in zip(sides, kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + rate * (pixels - 1) + 1 - size, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def padded(call: GraphCall, x: Ordered, windows: Window, value: float = 0.0) -> Ordered:
    """The map with the pixels around it, as a step of its own.

    Args:
        call: node.
        x: map.
        windows: windows, whose padding no step has as its own.
        value: the number that the pixels have.
    """
    if not windows.any_pads and not windows.is_same:
        return x
    amounts: list[Any] = []
    for axis in (1, 0):
        for side in (0, 1):
            amounts.append(Sizes(tuple(pads[axis][side] for pads in windows.pads)))
    if not windows.is_same and len(set(windows.pads)) == 1:
        amounts = [amount.values[0] for amount in amounts]
    shapes = [
        (*shape[:2], *(size + sum(pair) for size, pair in zip(shape[2:], pads, strict=True)))
        for shape, pads in zip(x.shapes, windows.pads, strict=True)
    ]
    return call.make("pad", shapes, order=x.order, input=x, pad=amounts, mode="constant", value=value)


def crops_of(call: GraphCall) -> tuple[tuple[int, int], list[Pads]]:
    """The block and the crops of BatchToSpaceND, at each traced size."""
    block = call.fixed_numbers(1, "a block")
    crops = call.numbers(2, "crops")
    if len(block) != 2 or any(len(numbers) != 4 for numbers in crops):
        raise call.refusal("joins blocks of other axes than rows and columns")
    return (block[0], block[1]), [((n[0], n[1]), (n[2], n[3])) for n in crops]


def unblocked_pads(call: GraphCall, blocks: Spaced, crops: tuple[tuple[int, int], list[Pads]]) -> tuple[Pads, ...]:
    """The padding of the dilated convolution that one between SpaceToBatchND and BatchToSpaceND is.

    Args:
        call: node that ends the blocks.
        blocks: map in blocks.
        crops: block and crops of the node.
    Raises:
        ConversionError: another block, or more cut off than was added.
    """
    block, cut = crops
    if block != blocks.block:
        raise call.refusal(f"joins blocks of {block}, and those of {blocks.block} were made")
    result: list[Any] = []
    for pads, less in zip(blocks.pads, cut, strict=True):
        sides = [(b - lb, a - la) for (b, a), (lb, la) in zip(pads, less, strict=True)]
        if min(side for pair in sides for side in pair) < 0:
            raise call.refusal("cuts off more than SpaceToBatchND added")
        result.append(tuple(sides))
    return tuple(result)
