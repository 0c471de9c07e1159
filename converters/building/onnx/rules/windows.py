"""Windows of convolutions and poolings: strides, dilations, and the pixels around a map."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from converters.building.graph import Sizes
from converters.building.onnx.call import Call
from converters.building.onnx.constants import integer
from converters.building.onnx.values import Computed
from converters.types import Shape

Pads = tuple[tuple[int, int], ...]
"""`(before, after)` of each axis."""


class Window(NamedTuple):
    """What a convolution or a pooling says of its windows, axis by axis.

    Attributes:
        kernel: pixels of a window.
        stride: pixels from one window to the next.
        dilation: distance of its pixels.
        pads: pixels around the map, at each traced size.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[Pads, ...]

    @property
    def is_even(self) -> bool:
        """Whether as many pixels stand before as after, at all sizes."""
        return len(set(self.pads)) == 1 and all(before == after for before, after in self.pads[0])

    @property
    def padding(self) -> list[int]:
        """The pixels before each axis."""
        return [before for before, _ in self.pads[0]]

    @property
    def any_pads(self) -> bool:
        """Whether there are pixels around the map."""
        return any(side for pads in self.pads for pair in pads for side in pair)

    def sides(self, shape: Shape, index: int) -> list[int]:
        """Rows and columns with the pixels around them."""
        return [size + sum(pair) for size, pair in zip(shape[2:], self.pads[index], strict=True)]

    def outputs(self, shape: Shape, index: int, ceil_mode: bool = False) -> list[int]:
        """Rows and columns of the result."""
        results = []
        for axis, side in enumerate(self.sides(shape, index)):
            extent, step = self.dilation[axis] * (self.kernel[axis] - 1) + 1, self.stride[axis]
            if side < extent:
                raise ValueError(f"a window of {extent} pixels on {side}")
            size = (-(-(side - extent) // step) if ceil_mode else (side - extent) // step) + 1
            # The last window begins on the map or on the pixels before it.
            if ceil_mode and (size - 1) * step >= shape[2 + axis] + self.pads[index][axis][0]:
                size -= 1
            results.append(size)
        return results


def window(call: Call, x: Computed, kernel: Sequence[int]) -> Window:
    """The windows of a node on a map.

    Args:
        call: node.
        x: map.
        kernel: rows and columns of a window.
    Raises:
        ValueError: lists of other lengths than the map has axes.
    """
    rank = x.rank - 2
    stride = tuple(call.attribute("strides", (1,) * rank))
    dilation = tuple(call.attribute("dilations", (1,) * rank))
    if not len(stride) == len(dilation) == len(kernel) == rank or min((*stride, *dilation, *kernel), default=1) < 1:
        raise ValueError(f"windows of {len(kernel)} axes on {rank}")
    given = tuple(call.attribute("pads", (0,) * (2 * rank)))
    mode = call.attribute("auto_pad", "NOTSET")
    pads = []
    for shape in x.shapes:
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            pads.append(_same(shape[2:], kernel, stride, dilation, lower=mode == "SAME_LOWER"))
        elif mode == "VALID":
            pads.append(((0, 0),) * rank)
        elif mode in ("NOTSET", ""):
            pads.append(tuple(zip(given[:rank], given[rank:], strict=True)))
        else:
            raise call.refusal(f"pads by {mode}")
    return Window(tuple(kernel), stride, dilation, tuple(pads))


def _same(sides: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], *, lower: bool) -> Pads:
    pads = []
    for size, pixels, step, rate in zip(sides, kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + rate * (pixels - 1) + 1 - size, 0)
        half = total // 2
        pads.append((total - half, half) if lower else (half, total - half))
    return tuple(pads)


def padded(call: Call, x: Computed, pads: Sequence[Pads], value: float = 0.0) -> Computed:
    """The map with pixels around it, as a step of its own.

    Args:
        call: node.
        x: map `(batch, channels, ...)`.
        pads: pixels around each axis after the channels, at each traced size.
        value: the number that they have.
    """
    amounts: list[Any] = []
    for axis in reversed(range(x.rank - 2)):
        for side in (0, 1):
            amounts.append(integer([pad[axis][side] for pad in pads]))
    shapes = [
        (*shape[:2], *(size + sum(pair) for size, pair in zip(shape[2:], pad, strict=True)))
        for shape, pad in zip(x.shapes, pads, strict=True)
    ]
    if all(isinstance(amount, int) and amount == 0 for amount in amounts):
        return x
    if any(isinstance(amount, Sizes) for amount in amounts):
        amounts = [amount if isinstance(amount, Sizes) else Sizes((amount,) * len(x.shapes)) for amount in amounts]
    return call.emit("pad", shapes, input=x, pad=amounts, mode="constant", value=value)


def check_literal_pads(call: Call, x: Computed, windows: Window) -> None:
    """In a file of one size, pixels on one side alone may be what TensorFlow's "same" wants at that size.

    Raises:
        OtherSize: in a trace at other sizes.
    """
    uneven = any(before != after for pads in windows.pads for before, after in pads)
    if call.attribute("auto_pad", "NOTSET") in ("NOTSET", "") and uneven and max(windows.stride) > 1:
        call.literal("pads one side of the map more than the other, as the size may say")
