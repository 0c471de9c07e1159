"""What becomes of the strides of a backbone at an output stride."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tfseg import specs
from tfseg.nets import blocks


class Step(NamedTuple):
    """Stride and dilation of one block.

    Attributes:
        strides: input pixels per output pixel.
        rate_before: dilation rate of its layers before the one that strides.
        rate: dilation rate of its layers after that one.
        freed_rate: dilation rate of the layer that strides, or that would without dilation.
    """

    strides: int
    rate_before: int
    rate: int
    freed_rate: int


def dilated(strides: Iterable[int], before: int, output_stride: int, convention: str) -> Iterator[Step]:
    """The step of each block: strides past the output stride become dilations, as in `tfseg.ResNet`.

    Args:
        strides: stride of each block without dilation.
        before: stride of the map that the first block reads.
        output_stride: largest stride that stays.
        convention: rate of the layer that lost its stride, a name of `tfseg.specs.CONVENTIONS`.
    """
    rate = 1
    for stride in strides:
        if stride == 1:
            yield Step(1, rate, rate, rate)
        elif before < output_stride:
            before *= stride
            yield Step(stride, rate, rate, rate)
        else:
            freed_rate = {"previous": rate, "new": rate * stride, "one": 1}[convention]
            rate *= stride
            yield Step(1, rate // stride, rate, freed_rate)


def check_dilation(output_stride: int, convention: str, smallest: int = 4) -> None:
    """Refuses an unknown output stride or convention.

    Args:
        output_stride: value that came.
        convention: value that came.
        smallest: smallest output stride of the network.
    Raises:
        ValueError: another value.
    """
    blocks.check_choice(
        "output_stride", output_stride, [stride for stride in specs.OUTPUT_STRIDES if stride >= smallest]
    )
    blocks.check_choice("convention", convention, specs.CONVENTIONS)
