"""Whether a program computes numbers from the size of the image, such as `1 / max(height, 600)`.

A few traces show a number at a few sizes, where many laws agree: `min(height, 3 * width)` is the height at most.
A size of a map shows in the map; a number that is multiplied with one has to be traced at more sizes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from converters.building.graph import ProgramGraph, SizedFloat, Sizes
from converters.building.operations.sized_numbers import OF_NUMBERS

_CONSTANTS = frozenset("full new_full full_like arange linspace scalar_tensor numbers".split())
# Both sides small and large, and each the longer one.
_FURTHER = (
    (2, 530, 85),
    (3, 37, 641),
    (11, 1203, 52),
    (5, 98, 147),
    (13, 75, 1111),
    (2, 2048, 64),
    (3, 62, 5000),
    (5, 17, 23),
    (7, 9, 200),
    (2, 2100, 1990),
)


def further_shapes(multiple: int) -> list[tuple[int, int, int]]:
    """Batch, height and width of traces that tell the law of a number.

    Args:
        multiple: sides of images must be multiples of this number.
    """

    def fitted(side: int) -> int:
        return max(side // multiple, 1) * multiple

    return [(batch, fitted(height), fitted(width)) for batch, height, width in _FURTHER]


def computes_numbers(graph: ProgramGraph) -> bool:
    """Whether a step computes with a number that the size of the image decides, or that no map before it has as a size.

    Args:
        graph: the program, traced at several sizes.
    """
    known = {side for name in graph.inputs for side in _sides(graph, name)}
    for step in graph.steps:
        numbers = list(_numbers(step.arguments))
        if numbers and (step.op in OF_NUMBERS or step.op in _CONSTANTS):
            return True
        if any(isinstance(number, SizedFloat) or number.values not in known for number in numbers):
            return True
        known.update(_sides(graph, step.name))
    return False


def _sides(graph: ProgramGraph, name: str) -> Iterator[tuple[int, ...]]:
    """The sizes of the axes of a result, at all traced sizes."""
    shapes = graph.shapes.get(name, ())
    return zip(*shapes, strict=True) if len({len(shape) for shape in shapes}) == 1 else iter(())


def _numbers(value: Any) -> Iterator[Sizes | SizedFloat]:
    if isinstance(value, Sizes | SizedFloat):
        yield value
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part)
