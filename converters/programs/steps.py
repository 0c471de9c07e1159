"""What a network computes, whoever describes it: steps in one vocabulary, brought to one form where forms are equal.

Two networks are the same function of the same weights if the steps that make their outputs have one number.
"""

import dataclasses

# Whose inputs may be exchanged.
_COMMUTATIVE = {"sum", "maximum", "product"}


@dataclasses.dataclass(frozen=True, eq=False)  # a leaf to keras.tree, and compared by `number`
class Step:
    """One operation on what other steps make.

    Attributes:
        name: of the layer, where it was read.
        op: what it does.
        key: the Keras layer whose weights it has; with "?" and its own name where there is none; "" without weights.
        facts: name -> number, word or tuple.
        inputs: steps.
        size: rows and columns of what it makes, at the size of image that the networks are compared at.
        positive: whether nothing that it makes is below zero.
        number: the same for steps that compute the same.
    """

    name: str
    op: str
    key: str
    facts: dict
    inputs: tuple
    size: tuple
    positive: bool
    number: int

    def cone(self):
        """Every step that this one rests upon, itself included, each once."""
        found, waiting = {}, [self]
        while waiting:
            step = waiting.pop()
            if id(step) not in found:
                found[id(step)] = step
                waiting.extend(step.inputs)
        return list(found.values())


class Steps:
    """Makes the steps of two networks and numbers them together.

    Args:
        pixels: rows and columns of the image.
        channels: of the image, where a description does not tell.
    """

    def __init__(self, pixels, channels):
        self.pixels = pixels
        self.channels = channels
        self._numbers = {}

    def image(self, name, channels=None):
        return self.step("image", (), name, size=self.pixels, channels=channels or self.channels)

    def step(self, op, inputs, name, key="", *, size=None, positive=None, **facts):
        """A step that is in its one form already; by default of its largest input's size, of any sign."""
        if size is None:
            size = tuple(map(max, zip(*(one.size for one in inputs), strict=True))) if inputs else (1, 1)
        numbers = [one.number for one in inputs]
        if op in _COMMUTATIVE:
            numbers.sort()
        facts = {fact: _rounded(value) for fact, value in facts.items()}
        identity = op, key, tuple(sorted(facts.items(), key=str)), tuple(numbers)
        number = self._numbers.setdefault(identity, len(self._numbers))
        positive = bool(inputs) and all(one.positive for one in inputs) if positive is None else positive
        return Step(name, op, key, facts, tuple(inputs), size, positive, number)

    def pad(self, x, name, pad):
        """Zeros about a map: `((above, below), (left, right))`."""
        if pad == ((0, 0), (0, 0)):
            return x
        size = tuple(side + sum(more) for side, more in zip(x.size, pad, strict=True))
        return self.step("zero padding", [x], name, size=size, pad=pad)

    def convolution(self, x, name, key, *, kernel, stride, pad, dilation, **facts):
        """The padding as of `pad`; zeros that a layer of their own has put about the map are of it."""
        x, pad = _taken(x, pad)
        dilation = tuple(1 if side == 1 else rate for side, rate in zip(kernel, dilation, strict=True))
        size = tuple(
            (side + sum(more) - rate * (window - 1) - 1) // step + 1
            for side, more, window, rate, step in zip(x.size, pad, kernel, dilation, stride, strict=True)
        )
        window = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
        return self.step("convolution", [x], name, key, size=size, positive=False, **window, **facts)

    def deconvolution(self, x, name, key, *, kernel, stride, pad, dilation, **facts):
        size = tuple(
            step * (side - 1) + rate * (window - 1) + 1 - sum(less)
            for side, less, window, rate, step in zip(x.size, pad, kernel, dilation, stride, strict=True)
        )
        window = {"kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation}
        return self.step("transposed convolution", [x], name, key, size=size, positive=False, **window, **facts)

    def pooling(self, x, name, *, pool, kernel, stride, pad, up, **facts):
        """`up`: whether a last window that reaches beyond the padded map is one, of what it has of the map.

        An average counts the padding and not what lies beyond, unless `facts` say otherwise. Under a maximum of what is
        not below zero, padding and reaching beyond are the same: zeros change nothing.
        """
        if x.op == "zero padding" and (x.inputs[0].positive if pool == "MAX" else not facts):
            x, pad = _taken(x, pad)
        if (
            pool == "MAX"
            and up
            and all(sum(more) // 2 + step <= window for more, step, window in zip(pad, stride, kernel, strict=True))
        ):
            pad = tuple((first, last + step - 1) for (first, last), step in zip(pad, stride, strict=True))
            up = False
        sides = list(zip(x.size, pad, kernel, stride, strict=True))
        size = tuple(_pooled(*side, up) for side in sides)
        padless = pad == ((0, 0), (0, 0))
        if padless and kernel == stride == (1, 1):
            return x
        if pool == "AVE" and padless and size == (1, 1) and all(window >= side for side, _, window, _ in sides):
            return self.whole(x, name, pool)
        tiles = kernel == stride and all(side % window == 0 for side, _, window, _ in sides)
        if stride == (1, 1) or (pool == "AVE" and padless and tiles):
            up = False
        facts |= {"pool": pool, "kernel": kernel, "stride": stride, "pad": pad}
        return self.step("pooling", [x], name, size=size, positive=x.positive, up=up, **facts)

    def whole(self, x, name, pool):
        """The maximum or average of each channel."""
        return self.step("pooling of the whole map", [x], name, size=(1, 1), positive=x.positive, pool=pool)

    def grid(self, x, name, bins):
        """Averages over `bins` x `bins` parts, which are windows of one size where that divides the map's."""
        if bins == 1:
            return self.whole(x, name, "AVE")
        if all(side % bins == 0 for side in x.size):
            kernel = tuple(side // bins for side in x.size)
            return self.pooling(x, name, pool="AVE", kernel=kernel, stride=kernel, pad=((0, 0), (0, 0)), up=False)
        return self.step("averages of unequal parts", [x], name, size=(bins, bins), positive=x.positive, bins=bins)

    def crop(self, x, reference, name, offset):
        """The window of the size `reference` that begins `offset` pixels in."""
        rest = (side - less for side, less in zip(x.size, offset, strict=True))
        size = tuple(map(min, rest, reference))
        if size == x.size and not any(offset):
            return x
        return self.step("crop", [x], name, size=size, positive=x.positive, offset=offset, to=size)

    def resize(self, x, name, size, how):
        if tuple(size) == x.size:
            return x
        return self.step("resize", [x], name, size=tuple(size), positive=x.positive, to=tuple(size), how=how)

    def affine(self, x, name, scale, shift):
        """Every number times `scale`, plus `shift`."""
        if (scale, shift) == (1, 0):
            return x
        return self.step("multiplication", [x], name, positive=False, by=float(scale), plus=float(shift))

    def relu(self, x, name):
        return x if x.positive else self.step("relu", [x], name, positive=True)


def _taken(x, pad):
    """The map below a layer of zeros, and the padding with these."""
    if x.op != "zero padding":
        return x, pad
    return x.inputs[0], tuple(
        (one + first, other + last) for (one, other), (first, last) in zip(pad, x.facts["pad"], strict=True)
    )


def _pooled(side, pad, window, stride, up):
    first, last = pad
    rest = side + first + last - window
    windows = (-(-rest // stride) if up else rest // stride) + 1
    # A window that would begin behind the map and its padding is none.
    return windows - (up and (windows - 1) * stride >= side + first)


def _rounded(value):
    """A number as far as it counts: 1e-5 is in single precision another number than in double."""
    return float(f"{value:.5g}") if isinstance(value, float) else value
