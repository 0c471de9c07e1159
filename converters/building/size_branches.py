"""Networks that take other steps at other sizes of the image, such as a resize only where a size is odd.

Where the longest program computes the same at every size, it is the program: a resize to the same size changes
nothing. Whether it does is tested: the model is compared with the network at a size of each of the other programs.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from converters.errors import ConversionError

# At these sizes, what is odd stays odd however often it is halved and rounded up, and multiples are rare.
_MORE = ((5, 326, 261), (7, 197, 389), (11, 263, 194), (13, 171, 325))
_NEEDED = 3

Shape = tuple[int, int, int]
"""Batch, height and width of a trace."""


class LongestPrograms(NamedTuple):
    """Programs that have equal steps.

    Attributes:
        programs: `ExportedProgram`s.
        others: heights and widths at which the network takes fewer steps.
    """

    programs: list[Any]
    others: list[tuple[int, int]]


def longest_programs(
    name: str, export: Callable[[Shape], Any], shapes: Sequence[Shape], multiple: int
) -> LongestPrograms:
    """Programs of several sizes with equal steps: the longest that the network has.

    Args:
        name: name of the network, for messages.
        export: gives the program of a shape.
        shapes: shapes to trace.
        multiple: sides of images must be multiples of this number.
    Raises:
        ConversionError: too few sizes have the longest program.
    """
    traces = [(shape, export(shape)) for shape in shapes]
    if len({_steps(program) for _, program in traces}) > 1:
        for batch, height, width in _MORE:
            shape = (batch, height // multiple * multiple, width // multiple * multiple)
            traces.append((shape, export(shape)))
    longest = max((_steps(program) for _, program in traces), key=len)
    programs = [program for _, program in traces if _steps(program) == longest]
    if len(programs) < min(_NEEDED, len(shapes)):
        counts = ", ".join(f"{len(_steps(program))} at {h} x {w} pixels" for (_, h, w), program in traces)
        raise _refusal(name, counts)
    others = [(height, width) for (_, height, width), program in traces if _steps(program) != longest]
    return LongestPrograms(programs[: len(shapes)], others)


def require_equal_steps(name: str, programs: Sequence[Any]) -> None:
    """Raises a ConversionError where programs of one network have other steps.

    Args:
        name: name of the network, for messages.
        programs: `ExportedProgram`s.
    """
    if len({_steps(program) for program in programs}) > 1:
        raise _refusal(name, ", ".join(str(len(_steps(program))) for program in programs) + " steps")


def _refusal(name: str, counts: str) -> ConversionError:
    return ConversionError(
        f"{name} computes other steps at other sizes of the image, and a Keras model has the same at all. "
        f"Received: {counts}. Take the branch on the size out of its forward."
    )


def _steps(program: Any) -> tuple[str, ...]:
    return tuple(f"{node.op} {node.target if node.op == 'call_function' else ''}" for node in program.graph.nodes)
