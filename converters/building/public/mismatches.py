"""Where the tensors of a file and those of a module that its package built are not the same, in words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from converters.types import Shape, Shapes

_SHOWN = 3
_COUNTER = "num_batches_tracked"
# What the arguments for the number of classes are called.
_NUMBERS = ("num_classes", "classes", "num_labels", "n_classes", "nclass", "num_class")


class Mismatches(NamedTuple):
    """What keeps the tensors of a file from filling a module.

    Attributes:
        missing: tensors of the module that the file lacks.
        unused: tensors of the file that the module lacks.
        other_shapes: `(name, shape in the file, shape in the module)`.
    """

    missing: tuple[str, ...]
    unused: tuple[str, ...]
    other_shapes: tuple[tuple[str, Shape, Shape], ...]

    def __bool__(self) -> bool:
        return any(self)

    def __str__(self) -> str:
        shapes = [f"{name} ({list(file)} in the file, {list(built)} there)" for name, file, built in self.other_shapes]
        groups = (
            ("{} of its tensors the file lacks: {}", self.missing),
            ("{} tensors of the file it lacks: {}", self.unused),
            ("{} have another shape: {}", shapes),
        )
        return "; ".join(words.format(len(names), _some(names)) for words, names in groups if names)

    def weight(self) -> int:
        """How many tensors do not fit."""
        return len(self.missing) + len(self.unused) + len(self.other_shapes)


def compare_shapes(file: Shapes, module: Shapes, same: Mapping[str, str]) -> Mismatches:
    """The mismatches of a file and a module.

    Args:
        file: key -> shape of the file's tensors.
        module: key -> shape of the module's state dictionary.
        same: key -> another key of the module that is the same tensor.
    """
    groups: dict[str, set[str]] = {}
    for key, first in same.items():
        groups.setdefault(first, {first}).add(key)
    filled = {key for keys in groups.values() if keys & file.keys() for key in keys}
    missing = [key for key in module if key not in file and key not in filled and not key.endswith(_COUNTER)]
    unused = [key for key in file if key not in module and not key.endswith(_COUNTER)]
    shapes = [
        (key, tuple(file[key]), tuple(module[key]))
        for key in module
        if key in file and tuple(file[key]) != tuple(module[key])
    ]
    return Mismatches(tuple(missing), tuple(unused), tuple(shapes))


class Head(NamedTuple):
    """The argument that says the number of classes, and the number that a file has."""

    argument: str
    classes: int


def other_head(mismatches: Mismatches, arguments: Sequence[str]) -> Head | None:
    """The number of classes of a file, where a head of another number is all that does not fit.

    Args:
        mismatches: what does not fit.
        arguments: names of the arguments of what builds the module.
    """
    shapes = mismatches.other_shapes
    if not shapes or mismatches.missing or mismatches.unused:
        return None
    numbers = {(file[:1], built[:1]) for _, file, built in shapes}
    if len(numbers) != 1 or any(file[1:] != built[1:] or not file for _, file, built in shapes):
        return None
    ((number,), _) = numbers.pop()
    return Head(next((name for name in _NUMBERS if name in arguments), _NUMBERS[0]), number)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
