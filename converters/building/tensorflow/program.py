"""What a file of TensorFlow computes: its graph, its results, its image and its weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.building.tensorflow.graph_nodes import Definition


@dataclasses.dataclass(frozen=True)
class GraphProgram:
    """A graph with its weights.

    Attributes:
        name: name of the file, for messages.
        kind: what it is, such as "frozen graph".
        files: paths of its files.
        graph: the GraphDef.
        definition: its nodes and functions.
        outputs: names of its results; with the keys of a signature, where it has them.
        inputs: names of the placeholders of its signature -> their keys; empty where it has none.
        variables: name of a variable's node -> its numbers.
        keys: name of a variable's node -> its key in the checkpoint.
        notes: sentences for the receipt.
    """

    name: str
    kind: str
    files: tuple[str, ...]
    graph: Any
    definition: Definition
    outputs: Mapping[str, str]
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    variables: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
