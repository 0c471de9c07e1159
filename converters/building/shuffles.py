"""Channel shuffles that a program writes as three steps: groups split, exchanged and joined again. They become one.

Tensors of five axes are no maps. As one step, the shuffle treats every pixel by itself, and `tfseg.dilate` knows it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from converters.building.graph import GraphStep, ProgramGraph, Ref

_RESHAPES = frozenset(("view", "reshape", "_unsafe_view", "unflatten", "flatten"))
_COPIES = frozenset(("contiguous", "clone"))
_EXCHANGES = ({"dim0": 1, "dim1": 2}, {"dim0": 2, "dim1": 1}, {"dims": [0, 2, 1, 3, 4]})


def fuse_shuffles(graph: ProgramGraph) -> ProgramGraph:
    """The program with each channel shuffle as one step.

    Args:
        graph: any program.
    """
    users: dict[str, list[GraphStep]] = {}
    for step in graph.steps:
        for name in _references([*step.arguments.values()]):
            users.setdefault(name, []).append(step)
    for name in _references(graph.outputs):
        users.setdefault(name, []).append(GraphStep("", "output", {}, ""))
    fused: dict[str, GraphStep] = {}
    dropped: set[str] = set()
    for step in graph.steps:
        parts = _shuffle(step, graph, users)
        if parts:
            *inner, last = parts
            groups = graph.shapes[step.name][0][1]
            arguments = {"input": _input(step), "groups": groups}
            fused[last.name] = dataclasses.replace(last, op="channel_shuffle", arguments=arguments, compute=None)
            dropped |= {part.name for part in inner}
    steps = [fused.get(step.name, step) for step in graph.steps if step.name not in dropped]
    return dataclasses.replace(graph, steps=steps) if fused else graph


def _shuffle(step: GraphStep, graph: ProgramGraph, users: Mapping[str, Sequence[GraphStep]]) -> list[GraphStep]:
    """The steps of a shuffle that begins here; none if there is none."""
    start = _input(step)
    if step.op not in _RESHAPES or start is None or not _splits_channels(graph, start.name, step.name):
        return []
    parts, exchanged = [step], False
    while len(following := users.get(parts[-1].name, ())) == 1:
        (following_step,) = following
        parts.append(following_step)
        if not exchanged and following_step.op in ("transpose", "permute", "swapaxes"):
            given = {key: value for key, value in following_step.arguments.items() if key not in ("input", "self")}
            exchanged = [abs(value) if isinstance(value, int) else value for value in given.values()] in [
                list(exchange.values()) for exchange in _EXCHANGES
            ]
            if not exchanged:
                return []
        elif following_step.op in _RESHAPES and exchanged:
            return parts if graph.shapes.get(following_step.name) == graph.shapes[start.name] else []
        elif following_step.op not in _COPIES:
            return []
    return []


def _splits_channels(graph: ProgramGraph, start: str, end: str) -> bool:
    """Whether a map's channels become groups, and its other axes stay."""
    before, after = graph.shapes.get(start), graph.shapes.get(end)
    if not before or not after or len(before[0]) != 4 or len(after[0]) != 5:
        return False
    return all(
        (old[0], *old[2:]) == (new[0], *new[3:]) and old[1] == new[1] * new[2] and new[1:3] == after[0][1:3]
        for old, new in zip(before, after, strict=True)
    )


def _input(step: GraphStep) -> Ref | None:
    argument = step.arguments.get("input", step.arguments.get("self"))
    return argument if isinstance(argument, Ref) else None


def _references(value: Any) -> list[str]:
    if isinstance(value, Ref):
        return [value.name]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [name for part in value for name in _references(part)] if isinstance(value, list | tuple) else []
