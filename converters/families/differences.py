"""What in a file is not as in a network: blocks and layers that are missing, too many, or of another shape.

A single tensor that is missing or of another shape does not make another network: the plan of a conversion lists it.
Here a layer is missing if the file has none of its tensors. A kind of layer, such as the second convolution of a block,
has another shape if that is so in every block.
"""

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from converters.families.family import FamilyNetwork
from converters.names.tables import Table
from converters.types import Shape, Shapes

_TRUNK = re.compile(r"(conv|level)\d_")
# A place in a network of blocks, or in a VGG, whose stages are convolutions one after the other.
_BLOCK = re.compile(r"((?:conv|level)\d)_block(\d+)_(.+)")
_VGG = re.compile(r"(conv\d)_(\d+)((?:_bn)?/.+)")
# Kind of variable -> what a file has that lacks it, and what a file has that has it unexpectedly.
_KINDS = (
    (r"3_conv/kernel", "basic blocks where bottlenecks are expected", "bottlenecks where basic blocks are expected"),
    (r"se_.*", "no squeeze-and-excite", "squeeze-and-excite"),
    (r"\d_attention_.*", "no split attention", "split attention"),
    (r"(\d_conv)?/bias", "convolutions without biases", "a bias in every convolution"),
    (r"_bn/gamma", "no BatchNorm", "a BatchNorm after every convolution"),
)


class Placed(NamedTuple):
    """A variable of a file, with its place in a network.

    Attributes:
        path: path of the variable.
        key: key in the file.
        layer: name of its layer.
        counts: whether it says what network it is: a kernel, a bias or a factor.
        in_trunk: whether its layer is one of a stage.
        stage, number, kind: stage, number of the block and kind of variable in it (see `Trunk`); no stage outside the
            blocks.
    """

    path: str
    key: str
    layer: str
    counts: bool
    in_trunk: bool
    stage: str
    number: int
    kind: str


class Trunk(NamedTuple):
    """Variables of a file or of a network, sorted by their places.

    Attributes:
        blocks: stage -> number of its last block (of its last convolution in a VGG).
        kinds: kind of variable in a block ("2_conv/kernel") -> paths of that kind.
        others: paths outside the blocks, such as those of the stem.
    """

    blocks: dict[str, int]
    kinds: dict[str, list[str]]
    others: list[str]


def describe_differences(network: FamilyNetwork, shapes: Shapes) -> list[str]:
    """What in the file is not as in this network, in words; empty if the file could be the network's.

    Args:
        network: record of the network.
        shapes: key -> shape of every tensor of the file.
    """
    whole = network.whole
    if whole and any(whole.table.path(key) and not network.table.path(key) for key in shapes):
        network = whole
    placed = _placed(network.table, tuple(shapes))
    paths = {variable.path: variable.key for variable in placed}
    expected = _expected(network)
    trunk = _trunk(_counted(network, placed))
    problems = [
        *_absent_requirements(network, shapes),
        *_other_numbers(network, shapes),
        *_other_counts(expected, trunk),
        *_other_kinds(expected, trunk),
        *_other_layers(network, expected, trunk, paths, {variable.layer for variable in placed}),
    ]
    return problems or list(_other_shapes(network, expected, paths, shapes))


@functools.cache
def _expected(network: FamilyNetwork) -> Trunk:
    return _trunk(_place(path, "") for path in network.variables(1.0))


@functools.lru_cache(64)  # many networks share one table
def _placed(table: Table, keys: tuple[str, ...]) -> tuple[Placed, ...]:
    """The variables of a file, each once: of keys with one path the last one counts."""
    paths = {path: key for key in keys if (path := table.path(key))}
    return tuple(_place(path, key) for path, key in paths.items())


def _place(path: str, key: str) -> Placed:
    layer, counts = path.rpartition("/")[0], path.endswith(("/kernel", "/bias", "/gamma"))
    match = _BLOCK.fullmatch(path) or _VGG.fullmatch(path)
    stage, number, kind = match.groups() if match else ("", "0", "")
    return Placed(path, key, layer, counts, bool(_TRUNK.match(path)), stage, int(number), kind)


def _counted(network: FamilyNetwork, placed: Iterable[Placed]) -> Iterator[Placed]:
    """The variables that are compared: those that the network enumerates, and others of the same layers."""
    expected = network.variables(1.0)
    complete = re.compile(network.complete)
    for variable in placed:
        if not variable.counts:
            continue
        # Factors are enumerated only where the networks of a family differ in their BatchNorms.
        alike = variable.path[-6:] != "/gamma" and (variable.in_trunk or complete.fullmatch(variable.layer))
        if alike or variable.path in expected:
            yield variable


def _trunk(placed: Iterable[Placed]) -> Trunk:
    trunk = Trunk({}, {}, [])
    for variable in placed:
        if variable.stage:
            if variable.number > trunk.blocks.get(variable.stage, 0):
                trunk.blocks[variable.stage] = variable.number
            trunk.kinds.setdefault(variable.kind, []).append(variable.path)
        else:
            trunk.others.append(variable.path)
    return trunk


def _absent_requirements(network: FamilyNetwork, shapes: Shapes) -> Iterator[str]:
    for key, condition in network.requires.items():
        if key not in shapes and (not condition or condition in shapes):
            yield f"has no {key}"


def _other_numbers(network: FamilyNetwork, shapes: Shapes) -> Iterator[str]:
    """Numbers of classes and of channels, where a network has one of its own."""
    for number, key, axis, what in (
        (network.num_classes, network.classes, -1, "classes"),
        (network.channels, network.first, -2, "channels"),
    ):
        if number is None or key is None:
            continue
        shape = network.table.shape(key, shapes[key]) if key in shapes else None
        if not shape or shape[axis] != number:
            yield f"has {shape[axis] if shape else 'no'} {what} instead of {number}"


def _other_counts(expected: Trunk, trunk: Trunk) -> Iterator[str]:
    noun = "blocks" if any(_BLOCK.fullmatch(paths[0]) for paths in expected.kinds.values()) else "convolutions"
    for stage in sorted(expected.blocks | trunk.blocks):
        counts = trunk.blocks.get(stage, 0), expected.blocks.get(stage, 0)
        if counts[0] != counts[1] and expected.blocks:
            yield f"{stage} has {counts[0]} {noun} instead of {counts[1]}"


def _other_kinds(expected: Trunk, trunk: Trunk) -> list[str]:
    if not (expected.kinds and trunk.kinds):
        return []
    absent = [_in_words(kind, 1) for kind in expected.kinds if kind not in trunk.kinds]
    surplus = [_in_words(kind, 2) for kind in trunk.kinds if kind not in expected.kinds]
    return list(dict.fromkeys(absent + surplus))


def _in_words(kind: str, column: int) -> str:
    for row in _KINDS:
        if re.fullmatch(row[0], kind):
            return f"has {row[column]}"
    return f"has {'no ' if column == 1 else ''}{kind} in its blocks"


def _other_layers(
    network: FamilyNetwork, expected: Trunk, trunk: Trunk, paths: Mapping[str, str], layers: Collection[str]
) -> Iterator[str]:
    for path in expected.others:
        layer, _, variable = path.rpartition("/")
        if variable == "kernel" and layer not in layers and not re.fullmatch(network.optional, layer):
            yield f"has no {network.table.key(path) or layer}"
    for path in trunk.others:
        if path.endswith("/kernel") and path not in expected.others:
            yield f"has {paths[path]}, which {network.name} lacks"


def _other_shapes(network: FamilyNetwork, expected: Trunk, paths: Mapping[str, str], shapes: Shapes) -> Iterator[str]:
    """Kinds of kernels that have another shape wherever they are."""
    kernels = {
        path: network.table.shape(paths[path], shapes[paths[path]]) for path in paths if path.endswith("/kernel")
    }
    variables = network.variables(_width(network, expected, kernels))
    groups = [group for kind, group in expected.kinds.items() if kind.endswith("/kernel")]
    for group in groups + [[path] for path in expected.others]:
        present = [path for path in group if path in kernels]
        if present and all(not _alike(kernels[path], variables.get(path)) for path in present):
            first, others = present[0], len(present) - 1
            shape = kernels[first] or shapes[paths[first]]
            more = f", and {others} more like it" if others else ""
            # A shortcut that changes no number of channels is none: at some widths a network has fewer.
            usual = f" instead of {_written(variables[first])}" if first in variables else ", which has none there"
            yield f"has {paths[first]} of {_written(shape)}{usual}{more}"


def _alike(shape: Shape | None, expected: Shape | None) -> bool:
    """Whether a shape is the expected one. A tensor of another rank is of another kind of layer."""
    if shape is None or expected is None or len(shape) != len(expected):
        return False
    return all(size in (0, other) for size, other in zip(expected, shape, strict=True))


def _width(network: FamilyNetwork, expected: Trunk, kernels: Mapping[str, Shape | None]) -> float:
    """The multiplier of all channels: by the output of the first block, since stems differ; else by the first layer."""
    blocks = [
        path for paths in expected.kinds.values() for path in paths if re.match(r"\w+\d_block1_[1-9]_conv/k", path)
    ]
    ends = [path for path in blocks if path.partition("_")[0] == blocks[0].partition("_")[0]]
    path = network.widest or max(ends, default=network.table.path(network.first) or "")
    shape = kernels.get(path)
    return shape[-1] / network.variables(1.0)[path][-1] if shape and path in network.variables(1.0) else 1.0


def _written(shape: Shape) -> str:
    return "x".join(str(size) if size else "any" for size in shape)
