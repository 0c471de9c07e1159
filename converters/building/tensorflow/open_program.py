"""Opens a program of TensorFlow: a frozen graph, a SavedModel, or a MetaGraph with its checkpoint."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from converters.building.tensorflow.graph_nodes import Definition, node_of, opened, plain_name
from converters.building.tensorflow.program import GraphProgram
from converters.building.tensorflow.variables import graph_variables
from converters.errors import ConversionError
from converters.reading.tensorflow.graph_file import META_GRAPH, SAVED_MODEL, graph_kind, saved_model_folder
from converters.types import Path

_DEFAULT = "serving_default"
_INITIALIZER = "__saved_model_init_op"
# What ends a graph and is no result of a network.
_NO_RESULTS = frozenset(
    "NoOp Assert Print PrintV2 Placeholder PlaceholderV2 Const VariableV2 Variable VarHandleOp SaveV2 Save RestoreV2 "
    "RestoreSlice Assign AssignVariableOp AssignAdd AssignSub MergeSummary ScalarSummary HistogramSummary "
    "ImageSummary TensorSummary ShardedFilename MergeV2Checkpoints IsVariableInitialized VarIsInitializedOp "
    "QueueEnqueueV2 QueueCloseV2 QueueDequeueV2 QueueSizeV2".split()
)
_DTYPE_LIMIT = 100  # types from here on are references to variables


def open_program(
    path: Path, *, signature: str | None = None, outputs: Sequence[str] = (), inputs: Sequence[str] = ()
) -> GraphProgram:
    """The program of a file or folder.

    Args:
        path: path of a frozen graph, a SavedModel or a MetaGraph (`.meta`).
        signature: key of a signature of a SavedModel; by default "serving_default" or the only one.
        outputs: names of nodes or tensors that are the results; by default the signature's, or those that no other
            node reads.
        inputs: names of nodes whose results the caller gives, instead of the graph's placeholders.
    Raises:
        ConversionError: a file that cannot be read, no such signature, or no such node.
    """
    program = _opened(path, signature, outputs)
    return replace(program, definition=given(program.definition, inputs)) if inputs else program


def _opened(path: Path, signature: str | None, outputs: Sequence[str]) -> GraphProgram:
    kind = graph_kind(path)
    if kind == SAVED_MODEL:
        return _saved_model(saved_model_folder(path), signature, outputs)
    if signature is not None:
        raise ConversionError(f"has no signatures: it is no SavedModel. Received: signature={signature!r}")
    if kind == META_GRAPH:
        return _meta_graph(os.fspath(path), outputs)
    from tensorflow.core.framework import graph_pb2

    graph = parsed(graph_pb2.GraphDef(), os.fspath(path))
    definition = opened(graph)
    if variables := sorted(node.name for node in graph.node if node.op in ("VariableV2", "VarHandleOp", "Variable")):
        raise ConversionError(
            f"is a graph without its weights: they are variables ({', '.join(variables[:3])}), which a checkpoint "
            "holds. Freeze it: tf.compat.v1.graph_util.convert_variables_to_constants(session, graph_def, "
            "[output names])."
        )
    return GraphProgram(
        os.path.basename(os.fspath(path)),
        "frozen graph",
        (os.fspath(path),),
        graph,
        definition,
        _results(definition, outputs),
    )


def given(definition: Definition, names: Sequence[str]) -> Definition:
    """A graph in which some nodes are placeholders.

    Args:
        definition: the graph.
        names: names of the nodes.
    Raises:
        ConversionError: no such node, or a further result of one.
    """
    from tensorflow.core.framework import node_def_pb2

    nodes = dict(definition.nodes)
    for name in map(plain_name, names):
        _require_node(definition, name, "inputs", names)
        if ":" in name:
            raise ConversionError(f"can be given the first result of a node alone. Received: inputs={list(names)!r}")
        old = nodes[name]
        new = node_def_pb2.NodeDef(name=name, op="Placeholder")
        kinds = [old.attr[key].type for key in ("dtype", "DstT", "T") if key in old.attr]
        new.attr["dtype"].type = kinds[0] if kinds else 1
        new.attr["shape"].shape.unknown_rank = True
        if "_output_shapes" in old.attr:
            new.attr["_output_shapes"].CopyFrom(old.attr["_output_shapes"])
        nodes[name] = new
    return replace(definition, nodes=nodes)


def parsed(message: Any, path: str) -> Any:
    """A message of protocol buffers with the content of a file.

    Raises:
        ConversionError: a file that cannot be read as one.
    """
    try:
        with open(path, "rb") as file:
            message.ParseFromString(file.read())
    except Exception as error:  # of a class of protocol buffers
        raise ConversionError(
            f"{os.path.basename(path)} cannot be read as a {type(message).__name__} of TensorFlow "
            f"({str(error)[:100]}). The file is truncated or damaged; copy or download it again."
        ) from error
    return message


def _results(definition: Definition, outputs: Sequence[str]) -> dict[str, str]:
    """The results that are asked for, or those that no node reads, by their names."""
    if outputs:
        for name in outputs:
            _require_node(definition, name, "outputs", outputs)
        return {plain_name(name): plain_name(name) for name in outputs}
    ends = _ends(definition)
    if not ends:
        raise ConversionError(
            "has no node that ends it and depends on an image. Name the results: outputs=['node'] (--outputs=node)."
        )
    return {name: name for name in ends}


def _require_node(definition: Definition, name: str, option: str, names: Sequence[str]) -> None:
    """Refuses the name of a node that a graph lacks.

    Raises:
        ConversionError: naming similar ones.
    """
    if node_of(name) not in definition.nodes:
        near = sorted(node for node in definition.nodes if node_of(name).rpartition("/")[2] in node)[:5]
        raise ConversionError(
            f"has no node {node_of(name)!r}. Received: {option}={list(names)!r}; "
            f"{'similar: ' + ', '.join(near) if near else 'ends: ' + ', '.join(_ends(definition)[:5])}"
        )


def _ends(definition: Definition) -> list[str]:
    """The nodes that no other one reads and that depend on a placeholder, in order."""
    read = {node_of(name) for node in definition.nodes.values() for name in node.input if not name.startswith("^")}
    fed = _dependents(definition.nodes)
    return [
        name
        for name, node in definition.nodes.items()
        if name not in read and name in fed and node.op not in _NO_RESULTS
    ]


def _dependents(nodes: Mapping[str, Any]) -> set[str]:
    """The nodes that depend on a placeholder."""
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        for name in node.input:
            if not name.startswith("^"):
                readers.setdefault(node_of(name), []).append(node.name)
    waiting = [name for name, node in nodes.items() if node.op in ("Placeholder", "PlaceholderV2")]
    dependents = set(waiting)
    while waiting:
        for reader in readers.get(waiting.pop(), ()):
            if reader not in dependents:
                dependents.add(reader)
                waiting.append(reader)
    return dependents


def _saved_model(folder: str, signature: str | None, outputs: Sequence[str]) -> GraphProgram:
    from tensorflow.core.protobuf import saved_model_pb2

    path = os.path.join(folder, "saved_model.pb")
    saved = parsed(saved_model_pb2.SavedModel(), path)
    meta = _served(saved.meta_graphs)
    key = _signature(meta, signature, outputs)
    definition = opened(meta.graph_def)
    prefix = os.path.join(folder, "variables", "variables")
    variables, keys = graph_variables(meta, definition, prefix)
    files = [path, *(os.path.join(folder, "variables", name) for name in sorted(_listed(folder)))]
    inputs: dict[str, str] = {}
    results = _results(definition, outputs) if outputs else {}
    if key:
        stated = meta.signature_def[key]
        inputs = {plain_name(info.name): name for name, info in sorted(stated.inputs.items())}
        results = results or {name: plain_name(info.name) for name, info in sorted(stated.outputs.items())}
    name = os.path.basename(os.path.abspath(folder))
    notes = (f"the signature {key!r} of the SavedModel",) if key else ()
    graph = meta.graph_def
    return GraphProgram(name, "SavedModel", tuple(files), graph, definition, results, inputs, variables, keys, notes)


def _listed(folder: str) -> Iterable[str]:
    variables = os.path.join(folder, "variables")
    return os.listdir(variables) if os.path.isdir(variables) else ()


def _served(metas: Sequence[Any]) -> Any:
    """The graph for serving.

    Raises:
        ConversionError: there is none.
    """
    served = [meta for meta in metas if "serve" in meta.meta_info_def.tags]
    if served:
        return served[0]
    if len(metas) == 1:
        return metas[0]
    tags = "; ".join(", ".join(meta.meta_info_def.tags) or "no tag" for meta in metas) or "no graph"
    raise ConversionError(f"has no graph with the tag 'serve'. Received: {tags}. Save the network for serving.")


def _signature(meta: Any, asked: str | None, outputs: Sequence[str]) -> str:
    """The key of the signature; "" where results are named and no signature is needed.

    Raises:
        ConversionError: no signature, or several and none is asked for.
    """
    keys = sorted(key for key in meta.signature_def if key != _INITIALIZER)
    if asked is not None:
        if asked not in keys:
            raise ConversionError(f"has no signature {asked!r}. Expected one of: {', '.join(keys) or 'none is there'}")
        return asked
    if _DEFAULT in keys:
        return _DEFAULT
    if len(keys) == 1:
        return keys[0]
    if outputs:
        return ""
    if keys:
        raise ConversionError(
            f"has {len(keys)} signatures: {', '.join(keys)}. Choose one: signature={keys[0]!r} (--signature={keys[0]})."
        )
    raise ConversionError(
        "has no signature, which says what its results are. Name them: outputs=['node'] (--outputs=node)."
    )


def _meta_graph(path: str, outputs: Sequence[str]) -> GraphProgram:
    from tensorflow.core.protobuf import meta_graph_pb2

    meta = parsed(meta_graph_pb2.MetaGraphDef(), path)
    prefix = path.removesuffix(".meta")
    definition = opened(meta.graph_def)
    variables, keys = graph_variables(meta, definition, prefix)
    inputs: dict[str, str] = {}
    stated = meta.signature_def.get(_DEFAULT)
    if stated is not None and not outputs:
        results = {name: plain_name(info.name) for name, info in sorted(stated.outputs.items())}
        inputs = {plain_name(info.name): name for name, info in sorted(stated.inputs.items())}
    else:
        results = _results(definition, outputs)
        if len(results) > 1 and not outputs:
            raise ConversionError(
                f"has {len(results)} nodes that end its graph, as the one of a training has: "
                f"{', '.join(list(results)[:6])}. Name the results: outputs=['node'] (--outputs=node)."
            )
    directory, base = os.path.split(prefix)
    beside = [
        name for name in os.listdir(directory or ".") if name.startswith(f"{base}.") and not name.endswith(".meta")
    ]
    files = (path, *(os.path.join(directory, name) for name in sorted(beside)))
    return GraphProgram(
        os.path.basename(path), "MetaGraph", files, meta.graph_def, definition, results, inputs, variables, keys
    )
