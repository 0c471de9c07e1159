"""What a graph computes, by TensorFlow: the witness that a built model is compared with.

Only nodes that were checked run: those that the results need, without what merely has to happen before or after.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from converters.building.tensorflow.check_nodes import is_harmless
from converters.building.tensorflow.graph_nodes import node_of, plain_name
from converters.building.tensorflow.inputs import Image
from converters.building.tensorflow.program import GraphProgram
from converters.errors import ConversionError

Run = Callable[[np.ndarray], Any]


def runner(program: GraphProgram, image: Image, feeds: Mapping[str, np.ndarray]) -> Run:
    """A function that runs a graph on images `(batch, channels, height, width)`.

    Args:
        program: opened graph.
        image: its image.
        feeds: what inference gives its other inputs.
    Returns: function that gives the results as arrays: maps with their channels before rows and columns.
    Raises:
        ConversionError: a graph that TensorFlow does not open.
    """
    import tensorflow as tf

    outputs = list(program.outputs.values())
    graph = needed_graph(program, outputs)
    present = {node.name for node in graph.node}
    variables = {
        name: tf.Variable(array, trainable=False)
        for name, array in program.variables.items()
        if name in present and program.definition.nodes[name].op == "VarHandleOp"
    }

    def imported(images: Any) -> Any:
        given = {image.name: images, **{name: tf.constant(value) for name, value in feeds.items() if name in present}}
        graph_now = tf.compat.v1.get_default_graph()
        given |= {name: graph_now.capture(variable.handle) for name, variable in variables.items()}
        return tf.graph_util.import_graph_def(graph, given, [f"{node_of(n)}:{_place(n)}" for n in outputs], name="")

    stated = [None, None, None, image.channels] if image.channels_last else [None, image.channels, None, None]
    try:
        function = tf.compat.v1.wrap_function(imported, [tf.TensorSpec(stated, image.dtype, name="image")])
    except (ValueError, TypeError, tf.errors.OpError, KeyError) as error:
        raise ConversionError(
            f"TensorFlow does not open its graph, so that the model cannot be compared: {_first_line(error)}"
        ) from error

    def run(images: np.ndarray) -> Any:
        step = image.batch or len(images)
        results = []
        for start in range(0, len(images), step):
            part = images[start : start + step]
            missing = step - len(part)
            batch = np.concatenate([part, part[:1].repeat(missing, 0)]) if missing else part
            batch = batch.transpose(0, 2, 3, 1) if image.channels_last else batch
            values = function(tf.constant(np.ascontiguousarray(batch.astype(image.dtype))))
            results.append([value.numpy()[: step - missing] for value in values])
        arrays = [np.concatenate(parts) for parts in zip(*results, strict=True)]
        if image.channels_last:
            arrays = [value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for value in arrays]
        if len(arrays) == 1:
            return arrays[0]
        return dict(zip(program.outputs, arrays, strict=True)) if program.inputs else arrays

    return run


def needed_graph(program: GraphProgram, outputs: Iterable[str]) -> Any:
    """The part of a graph that results need, as a GraphDef of its own, without stated sizes of the image.

    Args:
        program: opened graph.
        outputs: names of the results.
    Raises:
        ConversionError: a function of the graph that does more than compute.
    """
    from tensorflow.core.framework import graph_pb2

    result = graph_pb2.GraphDef()
    result.versions.CopyFrom(program.graph.versions)
    called: list[str] = []
    for name in sorted(_needed(program.definition.nodes, [node_of(name) for name in outputs], node_of)):
        node = result.node.add()
        node.CopyFrom(program.definition.nodes[name])
        _without_control(node)
        if node.op in ("VariableV2", "Variable"):
            _as_constant(node, program.variables[name])
        called += _functions(node, program)
    kept: set[str] = set()
    while called:
        name = called.pop()
        if name in kept or name not in program.definition.functions:
            continue
        kept.add(name)
        function = result.library.function.add()
        function.CopyFrom(program.definition.functions[name])
        function.control_ret.clear()
        del function.signature.control_output[:]
        nodes = {node.name: node for node in function.node_def}
        needed = _needed(nodes, [value.partition(":")[0] for value in function.ret.values()], _inner)
        del function.node_def[:]
        for inner in sorted(needed):
            node = function.node_def.add()
            node.CopyFrom(nodes[inner])
            _without_control(node)
            if not is_harmless(node.op) and node.op not in program.definition.functions:
                raise ConversionError(f"calls the function {name!r}, whose node {inner!r}, {node.op}, is not known.")
            called += _functions(node, program)
    _rename_functions(result)
    return result


def _rename_functions(graph: Any) -> None:
    """Gives the functions new names: TensorFlow keeps all that a process ever had, perhaps with other bodies."""
    mark = uuid.uuid4().hex
    names = {function.signature.name for function in graph.library.function}
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    for function in graph.library.function:
        function.signature.name = f"{function.signature.name}_{mark}"
    for node in (node for body in bodies for node in body):
        if node.op in names:
            node.op = f"{node.op}_{mark}"
        for value in node.attr.values():
            for called in _called(value):
                if called.name in names:
                    called.name = f"{called.name}_{mark}"


def _needed(nodes: Mapping[str, Any], names: Iterable[str], source: Callable[[str], str]) -> set[str]:
    """The nodes that some of them read, directly or by others."""
    waiting = [name for name in names if name in nodes]
    needed = set(waiting)
    while waiting:
        for value in nodes[waiting.pop()].input:
            name = source(value)
            if not value.startswith("^") and name in nodes and name not in needed:
                needed.add(name)
                waiting.append(name)
    return needed


def _inner(value: str) -> str:
    return value.partition(":")[0]


def _without_control(node: Any) -> None:
    """Leaves out what has to run before a node, where it reads, and sizes that tools noted."""
    kept = [value for value in node.input if not value.startswith("^")]
    del node.input[:]
    node.input.extend(kept)
    node.device = ""
    for key in [key for key in node.attr if key.startswith("_")]:
        del node.attr[key]
    if node.op in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault") and "shape" in node.attr:
        node.attr["shape"].shape.Clear()
        node.attr["shape"].shape.unknown_rank = True


def _as_constant(node: Any, array: np.ndarray) -> None:
    """A variable of TensorFlow 1 as a constant with its numbers."""
    import tensorflow as tf

    dtype = node.attr["dtype"].type
    node.op = "Const"
    node.attr.clear()
    node.attr["dtype"].type = dtype
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))


def _functions(node: Any, program: GraphProgram) -> list[str]:
    names = [node.op] if node.op in program.definition.functions else []
    return names + [function.name for value in node.attr.values() for function in _called(value)]


def _called(value: Any) -> list[Any]:
    """The functions that an attribute names."""
    kind = value.WhichOneof("value")
    return [value.func] if kind == "func" else list(value.list.func) if kind == "list" else []


def _place(name: str) -> int:
    return int(plain_name(name).partition(":")[2] or 0)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


__all__ = ["needed_graph", "runner"]
