"""BatchNorm and the factors of its channels, which Caffe has as two layers: one step."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from converters.building.graph import GraphStep, ProgramGraph, Ref


def fuse_norms(graph: ProgramGraph) -> ProgramGraph:
    """The program with each BatchNorm and what scales and shifts its channels as one step.

    Args:
        graph: program of a Caffe network.
    """
    users: dict[str, int] = {}
    for step in graph.steps:
        for name in _names(list(step.arguments.values())):
            users[name] = users.get(name, 0) + 1
    for name in _names(graph.outputs):
        users[name] = users.get(name, 0) + 1
    steps: dict[str, GraphStep] = {}
    for step in graph.steps:
        source = steps.get(step.arguments["input"].name) if step.op == "channel_affine" else None
        if source is not None and users[source.name] == 1 and _fits(graph, source, step.arguments):
            arguments = dict(source.arguments)
            arguments |= {key: step.arguments[key] for key in ("weight", "bias") if step.arguments[key] is not None}
            del steps[source.name]
            steps[step.name] = dataclasses.replace(source, name=step.name, arguments=arguments)
        else:
            steps[step.name] = step
    return dataclasses.replace(graph, steps=list(steps.values()))


def _fits(graph: ProgramGraph, norm: GraphStep, affine: Mapping[str, Any]) -> bool:
    """Whether a BatchNorm can have the factors and shifts: one for each channel, and it has none that come later."""
    if norm.op != "batch_norm" or affine["axis"] != 1 or norm.arguments["bias"] is not None:
        return False
    if affine["weight"] is not None and norm.arguments["weight"] is not None:
        return False
    mean = graph.tensors[norm.arguments["running_mean"].name].shape
    return all(affine[key] is None or graph.tensors[affine[key].name].shape == mean for key in ("weight", "bias"))


def _names(value: Any) -> list[str]:
    if isinstance(value, Ref):
        return [value.name]
    parts: Sequence[Any] = value if isinstance(value, list) else []
    return [name for part in parts for name in _names(part)]
