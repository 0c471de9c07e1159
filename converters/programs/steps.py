"""What a network computes, whoever describes it: steps in one vocabulary, with one form for everything that is equal.

Two networks are the same function of the same weights if the steps that make their outputs have the same numbers.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tfseg.types import Size

Padding = tuple[Size, Size]
"""Pixels added `((above, below), (left, right))`."""

NO_PADDING: Padding = ((0, 0), (0, 0))

_COMMUTATIVE = {"sum", "maximum", "product"}  # operations whose inputs may be exchanged


@dataclasses.dataclass(frozen=True, eq=False)  # a leaf to keras.tree, and compared by `number`
class ProgramStep:
    """One operation on the results of other steps.

    Attributes:
        name: name of the layer where the step was read.
        op: name of the operation.
        key: name of the Keras layer whose weights the step has. "?" and the step's name where no layer is known; "" for
            a step without weights.
        facts: name of a parameter -> number, word or tuple.
        inputs: steps whose results it reads.
        size: rows and columns of its result, at the image size at which the networks are compared.
        nonnegative: whether no value of its result is below zero.
        number: equal for steps that compute the same.
    """

    name: str
    op: str
    key: str
    facts: Mapping[str, Any]
    inputs: tuple["ProgramStep", ...]
    size: Size
    nonnegative: bool
    number: int

    def cone(self) -> list["ProgramStep"]:
        """Every step that the result depends on, this one first, each once."""
        seen: dict[int, ProgramStep] = {}
        waiting = [self]
        while waiting:
            step = waiting.pop()
            if id(step) not in seen:
                seen[id(step)] = step
                waiting.extend(step.inputs)
        return list(seen.values())


class StepFactory:
    """Makes the steps of two networks and numbers them together.

    Args:
        image_size: rows and columns of the image.
        channels: channels of the image, where a description does not say.
        folded: keys of normalizations that change nothing, because the layers before have taken them over. They are no
            steps.
        free: keys of layers whose weights are not taken over. How many channels they make is not compared.
    """

    def __init__(
        self, image_size: Size, channels: int, *, folded: Collection[str] = (), free: Collection[str] = ()
    ) -> None:
        self.image_size = image_size
        self.channels = channels
        self._folded = folded
        self._free = free
        self._numbers: dict[tuple[Any, ...], int] = {}

    def image(self, name: str, channels: int | None = None) -> ProgramStep:
        """The network's input."""
        return self.step("image", (), name, size=self.image_size, channels=channels or self.channels)

    def step(
        self,
        op: str,
        inputs: Sequence[ProgramStep],
        name: str,
        key: str = "",
        *,
        size: Size | None = None,
        nonnegative: bool | None = None,
        **facts: Any,
    ) -> ProgramStep:
        """A step whose form needs no change.

        Args:
            op: name of the operation.
            inputs: steps whose results it reads.
            name: name of the layer.
            key: name of the Keras layer whose weights the step has.
            size: rows and columns of its result; by default those of its largest input.
            nonnegative: whether no value is below zero; by default whether this holds for all inputs.
            facts: parameters of the operation.
        """
        if op == "normalization" and key in self._folded:
            return inputs[0]
        if size is None:
            rows, columns = ([step.size[axis] for step in inputs] for axis in (0, 1))
            size = (max(rows, default=1), max(columns, default=1))
        numbers = [step.number for step in inputs]
        if op in _COMMUTATIVE:
            numbers.sort()
        facts = {fact: _rounded(value) for fact, value in facts.items() if fact != "outputs" or key not in self._free}
        identity = op, key, tuple(sorted(facts.items(), key=str)), tuple(numbers)
        number = self._numbers.setdefault(identity, len(self._numbers))
        if nonnegative is None:
            nonnegative = bool(inputs) and all(step.nonnegative for step in inputs)
        return ProgramStep(name, op, key, facts, tuple(inputs), size, nonnegative, number)

    def zero_padding(self, x: ProgramStep, name: str, pad: Padding) -> ProgramStep:
        """Zeros around a map."""
        if pad == NO_PADDING:
            return x
        rows, columns = (side + sum(more) for side, more in zip(x.size, pad, strict=True))
        return self.step("zero padding", [x], name, size=(rows, columns), pad=pad)

    def convolution(
        self,
        x: ProgramStep,
        name: str,
        key: str,
        *,
        kernel: Size,
        stride: Size,
        pad: Padding,
        dilation: Size,
        **facts: Any,
    ) -> ProgramStep:
        """A convolution; zeros that a padding layer has put around the map become part of its padding.

        On a map of one pixel, a kernel of one pixel is a fully connected layer.
        """
        x, pad = _absorb_padding(x, pad)
        rates = [1 if side == 1 else rate for side, rate in zip(kernel, dilation, strict=True)]
        rows, columns = (
            (side + sum(more) - rate * (window - 1) - 1) // step + 1
            for side, more, window, rate, step in zip(x.size, pad, kernel, rates, stride, strict=True)
        )
        if x.size == kernel == stride == (1, 1) and pad == NO_PADDING and facts.get("groups") == 1:
            dense = {fact: value for fact, value in facts.items() if fact != "groups"}
            return self.step("fully connected layer", [x], name, key, size=(1, 1), nonnegative=False, **dense)
        if facts.get("groups") != 1 and facts.get("groups") == facts.get("outputs"):  # a group for each channel
            facts = {fact: value for fact, value in facts.items() if fact != "outputs"}
            facts |= {"groups": "each", "multiplier": 1}
        facts |= {"kernel": kernel, "stride": stride, "pad": pad, "dilation": tuple(rates)}
        return self.step("convolution", [x], name, key, size=(rows, columns), nonnegative=False, **facts)

    def deconvolution(
        self,
        x: ProgramStep,
        name: str,
        key: str,
        *,
        kernel: Size,
        stride: Size,
        pad: Padding,
        dilation: Size,
        **facts: Any,
    ) -> ProgramStep:
        """A transposed convolution; `pad` is what it cuts off."""
        rows, columns = (
            step * (side - 1) + rate * (window - 1) + 1 - sum(less)
            for side, less, window, rate, step in zip(x.size, pad, kernel, dilation, stride, strict=True)
        )
        facts |= {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
        return self.step("transposed convolution", [x], name, key, size=(rows, columns), nonnegative=False, **facts)

    def pooling(
        self,
        x: ProgramStep,
        name: str,
        *,
        pool: str,
        kernel: Size,
        stride: Size,
        pad: Padding,
        ceil_mode: bool,
        **facts: Any,
    ) -> ProgramStep:
        """A pooling with fixed windows.

        An average counts the padding but no pixels beyond it, unless `facts` say otherwise. If no value is negative, a
        maximum is the same with zero padding and with windows that reach beyond the map: zeros change nothing.

        Args:
            x: step whose result is pooled.
            name: name of the layer.
            pool: "MAX" or "AVE".
            kernel: rows and columns of a window.
            stride: rows and columns between windows.
            pad: pixels of padding.
            ceil_mode: whether there is a last window that reaches beyond the padded map. It pools the pixels that it
                shares with the map.
            facts: further parameters.
        """
        if x.op == "zero padding" and (x.inputs[0].nonnegative if pool == "MAX" else not facts):
            x, pad = _absorb_padding(x, pad)
        if (
            pool == "MAX"
            and ceil_mode
            and all(sum(more) // 2 + step <= window for more, step, window in zip(pad, stride, kernel, strict=True))
        ):
            (above, below), (left, right) = pad
            pad = (above, below + stride[0] - 1), (left, right + stride[1] - 1)
            ceil_mode = False
        sides = list(zip(x.size, pad, kernel, stride, strict=True))
        rows, columns = (_windows(*side, ceil_mode) for side in sides)
        if pad == NO_PADDING and kernel == stride == (1, 1):
            return x
        whole_map = (rows, columns) == (1, 1) and all(window >= side for side, _, window, _ in sides)
        if pool == "AVE" and pad == NO_PADDING and whole_map:
            return self.global_pooling(x, name, pool)
        tiles = kernel == stride and all(side % window == 0 for side, _, window, _ in sides)
        if stride == (1, 1) or (pool == "AVE" and pad == NO_PADDING and tiles):
            ceil_mode = False
        facts |= {"pool": pool, "kernel": kernel, "stride": stride, "pad": pad, "ceil_mode": ceil_mode}
        return self.step("pooling", [x], name, size=(rows, columns), nonnegative=x.nonnegative, **facts)

    def global_pooling(self, x: ProgramStep, name: str, pool: str) -> ProgramStep:
        """The maximum or average of each channel."""
        return self.step("pooling of the whole map", [x], name, size=(1, 1), nonnegative=x.nonnegative, pool=pool)

    def adaptive_average(self, x: ProgramStep, name: str, bins: int) -> ProgramStep:
        """Averages over `bins` x `bins` parts: windows of one size if `bins` divides the map's size."""
        if bins == 1:
            return self.global_pooling(x, name, "AVE")
        if all(side % bins == 0 for side in x.size):
            kernel = x.size[0] // bins, x.size[1] // bins
            return self.pooling(x, name, pool="AVE", kernel=kernel, stride=kernel, pad=NO_PADDING, ceil_mode=False)
        return self.step(
            "averages of unequal parts", [x], name, size=(bins, bins), nonnegative=x.nonnegative, bins=bins
        )

    def crop(self, x: ProgramStep, reference: Size, name: str, offset: Size) -> ProgramStep:
        """The window of the size `reference` that begins `offset` pixels from the upper left corner."""
        rows, columns = (min(side - less, wanted) for side, less, wanted in zip(x.size, offset, reference, strict=True))
        if (rows, columns) == x.size and not any(offset):
            return x
        size = rows, columns
        return self.step("crop", [x], name, size=size, nonnegative=x.nonnegative, offset=offset, to=size)

    def resize(self, x: ProgramStep, name: str, size: Size, how: str) -> ProgramStep:
        """The map interpolated to a size; `how` names the interpolation."""
        if size == x.size:
            return x
        if x.size == (1, 1):
            how = "one pixel everywhere"
        return self.step("resize", [x], name, size=size, nonnegative=x.nonnegative, to=size, how=how)

    def affine(self, x: ProgramStep, name: str, scale: float, shift: float) -> ProgramStep:
        """Every number times `scale`, plus `shift`."""
        if (scale, shift) == (1, 0):
            return x
        return self.step("multiplication", [x], name, nonnegative=False, by=float(scale), plus=float(shift))

    def relu(self, x: ProgramStep, name: str) -> ProgramStep:
        """The rectified map, which is the map itself if nothing in it is below zero."""
        return x if x.nonnegative else self.step("relu", [x], name, nonnegative=True)


def _absorb_padding(x: ProgramStep, pad: Padding) -> tuple[ProgramStep, Padding]:
    """The map below a step of zero padding, and the sum of both paddings."""
    if x.op != "zero padding":
        return x, pad
    (above, below), (left, right) = pad
    (more_above, more_below), (more_left, more_right) = x.facts["pad"]
    return x.inputs[0], ((above + more_above, below + more_below), (left + more_left, right + more_right))


def _windows(side: int, pad: Size, window: int, stride: int, ceil_mode: bool) -> int:
    """The number of windows along one axis."""
    first, last = pad
    rest = side + first + last - window
    windows = (-(-rest // stride) if ceil_mode else rest // stride) + 1
    # A window that would begin after the map and its padding does not exist.
    return windows - (ceil_mode and (windows - 1) * stride >= side + first)


def _rounded(value: Any) -> Any:
    """A number to the digits that matter: 1e-5 in single precision differs from 1e-5 in double precision."""
    return float(f"{value:.5g}") if isinstance(value, float) else value
