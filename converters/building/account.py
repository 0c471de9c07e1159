"""The account of a model that was built from a program, whichever front-end the program came from."""

from collections.abc import Mapping
from typing import Any

import keras

from converters.building.builder import Builder
from converters.building.graph import ProgramGraph
from converters.weights.receipts import Receipt

_UNREAD = "read by no step"
_BEFOREHAND = "computed beforehand, from parameters alone"
_UNLAYERED = "moves no number: axes are counted in another way, or the layer of the next step does it"


def account(
    graph: ProgramGraph,
    builder: Builder,
    model: keras.Model,
    *,
    source: str,
    family: str,
    tensors: Mapping[str, str],
    sizes: str = "",
) -> Receipt:
    """The receipt: every tensor of the source and the variable that it fills, and what was computed beforehand.

    Args:
        graph: program that was built.
        builder: what built it.
        model: the result.
        source: name of what was read.
        family: what a receipt calls models of this front-end.
        tensors: key of each tensor of the source -> why no step may need it; "" where a step should.
        sizes: which images the network takes, as a sentence; "" if it takes any.
    """
    receipt = Receipt(source, model.name, family, graph.name, dtype=keras.config.floatx())
    filled = set()
    for layer, variable, tensor, layout in builder.origins:
        folded = tensor in builder.parents
        for parent in builder.parents.get(tensor, [tensor]):
            key, value = graph.keys[parent], graph.tensors[parent]
            filled.add(key)
            receipt.tensors.append(
                {
                    "key": key,
                    "shape": list(value.shape),
                    "dtype": str(value.dtype),
                    "path": f"{layer.name}/{variable}",
                    "layout": f"{tensor}, computed beforehand; {layout}" if folded else str(layout),
                }
            )
    receipt.ignored |= {key: why or _UNREAD for key, why in tensors.items() if key not in filled}
    for step in graph.steps:
        row: dict[str, Any] = {"step": step.name, "operation": step.op, "module": step.module}
        layers = builder.calls.names.get(step.name, [])
        if not layers:
            row["why"] = _BEFOREHAND if step.name in builder.folded else _UNLAYERED
        receipt.steps.append(row | {"layers": layers})
    receipt.notes.append(f"built from the source's own program: {len(graph.steps)} steps")
    receipt.notes += [sizes] if sizes else []
    if builder.folded:
        receipt.notes.append(f"computed beforehand, from parameters alone: {len(builder.folded)} steps")
    return receipt
