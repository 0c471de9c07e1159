"""The record that a built model carries, so that its weights can be written back and its layers compared by module."""

from collections.abc import Mapping

import keras
import numpy as np

from converters.building.builder import Builder
from converters.building.graph import ProgramGraph
from converters.building.laid import Laid
from converters.types import Shape
from converters.weights.built_record import BuiltRecord, LayerModule, Place, SourceTensor, digest

_KEPT = 1 << 20  # bytes of small tensors that a model carries although no variable holds them


def make_record(
    graph: ProgramGraph,
    builder: Builder,
    *,
    family: str,
    state: Mapping[str, np.ndarray],
    same: Mapping[str, str],
    dtypes: Mapping[str, str],
) -> BuiltRecord:
    """What a built model remembers of its source.

    Args:
        graph: program that was built.
        builder: what built it.
        family: what a receipt calls models of this front-end.
        state: key -> tensor of the source's state dictionary.
        same: key -> the other key that has the same tensor.
        dtypes: key -> name of its type in the source.
    """
    places: dict[str, list[Place]] = {}
    folded: dict[str, dict[str, str]] = {}
    shapes: dict[str, Shape] = {}
    for layer, variable, tensor, layout in builder.origins:
        path = f"{layer.name}/{variable}"
        if tensor not in builder.parents:
            key = graph.keys[tensor]
            key = same.get(key, key)
            shapes[key] = graph.tensors[tensor].shape
            places.setdefault(key, []).append(Place(path, str(layout)))
            continue
        mark = digest(layout.apply(builder.tensors[tensor]))
        for parent in builder.parents[tensor]:
            key = graph.keys[parent]
            folded.setdefault(same.get(key, key), {})[path] = mark
    tensors = {
        key: SourceTensor(tuple(shapes[key]), dtypes.get(key, "float32"), tuple(dict.fromkeys(rows)))
        for key, rows in places.items()
        if key in state
    }
    held = {place.path for tensor in tensors.values() for place in tensor.places}
    held |= {path for digests in folded.values() for path in digests}
    constants = dict.fromkeys(f"{row.layer.name}/{row.variable}" for row in builder.origins)
    kept, left, room = {}, {}, _KEPT
    for key in sorted(state, key=lambda key: state[key].nbytes):
        if key in tensors or key in same:
            continue
        if state[key].nbytes <= room:
            kept[key] = state[key]
            room -= state[key].nbytes
        elif key not in folded:
            left[key] = "read by no step, so that the model does not hold it"
    return BuiltRecord(
        family=family,
        network=graph.name,
        tensors=tensors,
        same={key: other for key, other in same.items() if other in tensors},
        folded=folded,
        kept=kept,
        left=left,
        constants=tuple(path for path in constants if path not in held),
        modules=_modules(graph, builder),
    )


def _modules(graph: ProgramGraph, builder: Builder) -> dict[str, LayerModule]:
    """The layers whose result is the result of a module: the last step of a module that has no parts."""
    last = {step.module: step for step in graph.steps if isinstance(builder.values.get(step.name), Laid)}
    rows: dict[str, LayerModule] = {}
    for module, step in last.items():
        value = builder.values[step.name]
        if not module or value.mixed or value.border or any(other.startswith(f"{module}.") for other in last):
            continue
        layer = value.tensor._keras_history.operation
        single = isinstance(layer, keras.layers.Layer) and len(layer._inbound_nodes) == 1
        if single and module in {part.module for part in builder.layers.get(layer.name, ())}:
            rows.setdefault(layer.name, LayerModule(module, value.axes))
    return rows
