"""The variables of a graph and their numbers, from the checkpoint beside it.

What a graph's own Saver says is the truth: it restores a variable from a key, which may be another name. Programs of
TensorFlow 2 have objects instead, whose record in the checkpoint tells the keys.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.building.tensorflow.graph_nodes import CALLS, Definition, node_of, tensor_of
from converters.errors import ConversionError
from converters.reading.files import naming
from converters.reading.tensorflow.checkpoint import read_variables

KINDS = frozenset(("VariableV2", "Variable", "VarHandleOp"))
_PASSING = frozenset(("Identity", "ReadVariableOp"))


def graph_variables(meta: Any, definition: Definition, prefix: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The variables of a graph.

    Args:
        meta: MetaGraphDef.
        definition: its nodes.
        prefix: prefix of the checkpoint's files.
    Returns: name of a variable's node -> its numbers; name of the node -> key in the checkpoint.
    Raises:
        ConversionError: a checkpoint that is missing, or that lacks a variable.
    """
    nodes = {name: node for name, node in definition.nodes.items() if node.op in KINDS}
    if not nodes:
        return {}, {}
    if not os.path.exists(f"{prefix}.index") and not os.path.exists(prefix):
        raise ConversionError(
            f"the files of its weights are missing: {os.path.basename(prefix)}.index and .data-*. Put them "
            f"{'into its folder variables' if prefix.endswith('variables/variables') else 'beside it'}."
        )
    known, record = read_variables(prefix)
    objects = _of_objects(record)
    saver = _of_saver(definition)
    arrays: dict[str, np.ndarray] = {}
    keys: dict[str, str] = {}
    for name, node in nodes.items():
        shared = node.attr["shared_name"].s.decode("utf-8", "replace")
        choices = (saver.get(name), objects.get(shared), objects.get(name), shared, name)
        key = next((key for key in choices if key and key in known), None)
        tensor = known[key] if key is not None else None
        if key is None or tensor is None:
            continue  # of an optimizer, or a counter: where a result needs it, the tracer says that it is missing
        with naming(os.path.basename(prefix)), naming(f"the variable {key!r}"):
            arrays[name] = tensor.read()
        keys[name] = key
        _check_shape(name, node, arrays[name])
    return arrays, keys


def _check_shape(name: str, node: Any, array: np.ndarray) -> None:
    """Refuses a variable of another shape in the checkpoint.

    Raises:
        ConversionError: naming it, with both shapes.
    """
    shape = node.attr["shape"].shape
    if shape.unknown_rank:
        return
    stated = tuple(int(axis.size) for axis in shape.dim)
    if stated and -1 not in stated and stated != array.shape:
        raise ConversionError(
            f"its graph and its checkpoint disagree: the variable {name!r} is {'x'.join(map(str, stated))} in the "
            f"graph. Received: {'x'.join(map(str, array.shape))}. Were files of two networks mixed?"
        )


def _of_objects(record: bytes | None) -> dict[str, str]:
    """Full name of a variable -> its key, in a checkpoint of TensorFlow 2's objects; names of two are left out."""
    if record is None:
        return {}
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    try:
        graph.ParseFromString(record)
    except Exception as error:  # protobuf's own, whose package TensorFlow brings
        raise ConversionError(f"the record of its objects cannot be read ({error}); the file is damaged.") from error
    keys: dict[str, set[str]] = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            if attribute.full_name:
                keys.setdefault(attribute.full_name, set()).add(attribute.checkpoint_key)
    return {name: matches.pop() for name, matches in keys.items() if len(matches) == 1}


def _of_saver(definition: Definition) -> dict[str, str]:
    """Name of a variable's node -> the key from which the graph's own Saver restores it."""
    keys = _restored(definition.nodes)
    for call in definition.nodes.values():
        function = definition.functions.get(call.attr["f"].func.name) if call.op in CALLS else None
        if function is None:
            continue
        given = [node_of(name) for name in call.input if not name.startswith("^")]
        arguments = {argument.name: name for argument, name in zip(function.signature.input_arg, given, strict=True)}
        inner = _restored({node.name: node for node in function.node_def})
        keys |= {arguments[name]: key for name, key in inner.items() if name in arguments}
    return keys


def _restored(nodes: Mapping[str, Any]) -> dict[str, str]:
    """Name of what is assigned -> the key of the tensor that it gets, among the nodes of a graph or of a function."""
    keys: dict[str, str] = {}
    for node in nodes.values():
        if node.op not in ("Assign", "AssignVariableOp") or len(node.input) < 2:
            continue
        value = node.input[1]
        for _ in range(4):
            source = nodes.get(node_of(value))
            if source is None or source.op not in _PASSING:
                break
            value = source.input[0]
        restore = nodes.get(node_of(value))
        if restore is None or restore.op != "RestoreV2":
            continue
        names, slices = (nodes.get(node_of(restore.input[place])) for place in (1, 2))
        if names is None or slices is None or names.op != "Const" or slices.op != "Const":
            continue
        last = value.rpartition(":")[2]
        index = int(last) if last.isdigit() and ":" in value else 0
        texts, parts = (tensor_of(part.attr["value"].tensor).reshape(-1) for part in (names, slices))
        if parts[index]:
            raise ConversionError(
                f"has the variable {node_of(node.input[0])!r} in pieces, which are not joined here. Save the network "
                "without partitioned variables."
            )
        keys[node_of(node.input[0])] = texts[index].decode("utf-8", "replace")
    return keys
