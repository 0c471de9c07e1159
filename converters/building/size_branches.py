"""Networks that take other steps at other sizes of the image, such as a resize only where a size is odd.

Where the longest program computes the same at every size, it is the program: a resize to the same size changes
nothing. Whether it does is tested: the model is compared with the network at a size of each of the other programs.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from converters.building.size_probes import numbers_in
from converters.errors import ConversionError

# What is odd at these sizes stays odd however often it is halved, rounded up (the first three) or down (the others).
_MORE = ((5, 449, 257), (7, 193, 513), (11, 257, 321), (13, 447, 255), (5, 191, 511), (7, 255, 319))
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
    name: str, export: Callable[[Shape], Any], shapes: Sequence[Shape], multiple: int, *, all_sizes: bool = False
) -> LongestPrograms:
    """Programs of several sizes with equal steps: the longest that the network has.

    Args:
        name: name of the network, for messages.
        export: gives the program of a shape.
        shapes: shapes to trace.
        multiple: sides of images must be multiples of this number.
        all_sizes: trace all shapes even if the first two say that no number depends on the size.
    Raises:
        ConversionError: too few sizes have the longest program.
    """
    traces = [(shape, export(shape)) for shape in shapes[:2]]
    if (
        not all_sizes
        and len(shapes) > 2
        and all(shape[1:] != shapes[0][1:] for shape in shapes[1:])
        and _is_free_of_sizes(traces)
    ):
        return LongestPrograms([program for _, program in traces], [])
    traces += [(shape, export(shape)) for shape in shapes[2:]]
    branches = len({_steps(program) for _, program in traces}) > 1
    for number, (batch, height, width) in enumerate(_MORE if branches else (), 1):
        shape = (batch, height // multiple * multiple, width // multiple * multiple)
        traces.append((shape, export(shape)))
        if number % _NEEDED == 0 and len(_longest(traces)) > _NEEDED:
            break
    programs = _longest(traces)
    longest = _steps(programs[0])
    if len(programs) < min(_NEEDED, len(shapes)):
        counts = ", ".join(f"{len(_steps(program))} at {h} x {w} pixels" for (_, h, w), program in traces)
        raise _refusal(name, counts)
    others = [(height, width) for (_, height, width), program in traces if _steps(program) != longest]
    return LongestPrograms(programs, others)


def _is_free_of_sizes(traces: Sequence[tuple[Shape, Any]]) -> bool:
    """Whether two programs of other sizes say the same numbers, but for the batch: then more traces tell no more."""
    batches = tuple(shape[0] for shape, _ in traces)
    graphs = [list(program.graph.nodes) for _, program in traces]
    if len({_steps(program) for _, program in traces}) > 1:
        return False
    if any(_differ(parts) for parts in zip(*(program.constants.values() for _, program in traces), strict=False)):
        return False
    if any("alias" in str(node.target) for node in graphs[0]):
        return False  # it may be a cut that takes nothing off these two
    for nodes in zip(*graphs, strict=True):
        values = [node.meta.get("val") for node in nodes]
        if all(hasattr(value, "shape") for value in values):
            axes = zip(*(tuple(value.shape)[1:] for value in values), strict=False)
            if any(tuple(axis) == batches for axis in axes):
                return False  # a size that looks like the batch
        numbers = zip(*(numbers_in((node.args, dict(node.kwargs))) for node in nodes), strict=False)
        if any(len(set(number)) > 1 and tuple(number) != batches for number in numbers):
            return False
    return True


def _differ(constants: Sequence[Any]) -> bool:
    """Whether a constant of the programs, as `torch.tensor([width])` makes it, has other numbers at another size."""
    first, *others = (getattr(part, "tolist", lambda part=part: part)() for part in constants)
    return any(str(other) != str(first) for other in others)


def _longest(traces: Sequence[tuple[Shape, Any]]) -> list[Any]:
    """The programs with most steps, all with the same ones."""
    longest = max((_steps(program) for _, program in traces), key=len)
    return [program for _, program in traces if _steps(program) == longest]


def have_equal_steps(program: Any, other: Any) -> bool:
    """Whether two programs have the same steps.

    Args:
        program: an `ExportedProgram`.
        other: another one.
    """
    return _steps(program) == _steps(other)


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
