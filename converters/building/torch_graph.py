"""Traces of `torch.export` as one program in the builder's vocabulary: integers that differ depend on the image."""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.graph import GraphStep, ProgramGraph, Ref, SizedFloat, Sizes
from converters.building.mutations import plain_name
from converters.building.size_branches import require_equal_steps
from converters.building.trainable import trained_names
from converters.building.wrapped_results import is_wrapper, without_wrapper
from converters.errors import ConversionError


def aligned(module: Any, programs: Sequence[Any]) -> ProgramGraph:
    """One program of several traces.

    Args:
        module: torch module that was traced.
        programs: an `ExportedProgram` for each size, written `without_changes`.
    Raises:
        ConversionError: traces with other steps, or a step that no program of maps has.
    """
    require_equal_steps(type(module).__name__, programs)
    graphs = [list(program.graph.nodes) for program in programs]
    first = programs[0]
    state = {**first.state_dict, **first.constants}
    tensors, keys, inputs, steps = {}, {}, [], []
    for spec in first.graph_signature.input_specs:
        if spec.target is None:
            inputs.append(spec.arg.name)
        else:
            constants = [{**program.state_dict, **program.constants}.get(spec.target) for program in programs]
            if (step := _sized_constant(spec.arg.name, constants)) is not None:
                steps.append(step)
                continue
            keys[spec.arg.name] = spec.target
            tensors[spec.arg.name] = _array(state[spec.target])
    shapes, outputs = {}, None
    for nodes in zip(*graphs, strict=True):
        node = nodes[0]
        if node.op == "output":
            outputs = _structure(first, _same([_plain(other.args[0], i) for i, other in enumerate(nodes)], node.name))
        if (traced := _shapes(nodes)) is not None:
            shapes[node.name] = traced
        if node.op == "call_function":
            steps.append(_step(nodes))
        elif node.op == "get_attr":
            tensors[node.name] = _array(getattr(first.graph_module, node.target))
            keys[node.name] = node.target
    changed = trained_names(module)
    trained = frozenset(name for name, key in keys.items() if key in changed)
    return ProgramGraph(type(module).__name__, inputs, steps, outputs, tensors, keys, shapes, trained)


def _sized_constant(name: str, tensors: Sequence[Any]) -> GraphStep | None:
    """The step that makes a constant whose numbers depend on the image, as `torch.tensor([width, height])`."""
    first = tensors[0]
    if any(not hasattr(tensor, "detach") for tensor in tensors) or all(tensor is first for tensor in tensors):
        return None
    arrays = [_array(tensor) for tensor in tensors]
    if any(array.shape != arrays[0].shape for array in arrays):
        raise ConversionError(
            f"The constant {name} has another shape at other sizes of the image: "
            f"{', '.join(str(list(array.shape)) for array in arrays)}. Make it with torch's own functions, such as "
            "torch.arange."
        )
    if all(np.array_equal(array, arrays[0], equal_nan=array.dtype.kind == "f") for array in arrays):
        return None
    values = [_same(list(entries), name) for entries in zip(*(array.ravel().tolist() for array in arrays), strict=True)]
    return GraphStep(name, "numbers", {"values": values, "shape": list(arrays[0].shape)}, "")


def _array(value: Any) -> np.ndarray:
    if not hasattr(value, "detach"):
        raise ConversionError(
            "The network has steps that torch.export keeps as a program of their own (autocast, control flow), which "
            f"have no counterpart. Received: {type(value).__name__}"
        )
    value = value.detach().cpu()
    return value.float().numpy() if value.dtype.is_floating_point else value.numpy()


def _shapes(nodes: Sequence[Any]) -> tuple[tuple[int, ...], ...] | None:
    values = [node.meta.get("val") for node in nodes]
    if not all(hasattr(value, "shape") for value in values):
        return None
    try:
        return tuple(tuple(map(int, value.shape)) for value in values)
    except Exception as error:  # torch's own: the size is no number
        raise ConversionError(
            f"The step {nodes[0].name} ({nodes[0].target}) gives as many numbers as the data say. In a Keras model, "
            f"the image alone says the size of a map.{_place(nodes[0])} Replace it by a choice that keeps the size, "
            "such as torch.where."
        ) from error


def _place(node: Any) -> str:
    """The line of the source that a step is from, as a sentence."""
    trace = (node.meta.get("stack_trace") or "").strip().splitlines()
    return f" It is at: {' '.join(part.strip() for part in trace[-2:])}." if trace else ""


def _step(nodes: Sequence[Any]) -> GraphStep:
    node = nodes[0]
    if node.target is operator.getitem:
        op, arguments = "getitem", [{"input": n.args[0], "index": n.args[1]} for n in nodes]
    elif hasattr(node.target, "_schema"):
        op, arguments = plain_name(node.target), [_named(n) for n in nodes]
    else:
        op = getattr(node.target, "__name__", str(node.target))
        arguments = [{str(index): value for index, value in enumerate(n.args)} for n in nodes]
    merged = {
        str(name): _same([_plain(other[name], i) for i, other in enumerate(arguments)], node.name)
        for name in arguments[0]
    }
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    trace = (node.meta.get("stack_trace") or "").strip().splitlines()
    line = " ".join(part.strip() for part in trace[-2:])
    compute = functools.partial(_computed, node.target) if hasattr(node.target, "_schema") else None
    module, kind = (stack[-1][0], str(stack[-1][1])) if stack else ("", "")
    return GraphStep(node.name, op, merged, module, line, compute, kind)


def _computed(target: Any, arguments: Mapping[str, Any]) -> Any:
    """The result of an operation on arrays, as torch computes it."""
    import torch

    def tensor(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return torch.from_numpy(np.array(value))
        return [tensor(part) for part in value] if isinstance(value, list) else value

    names = [argument.name for argument in target._schema.arguments]
    positional = [tensor(arguments[a.name]) for a in target._schema.arguments if not a.kwarg_only]
    keywords = {a.name: tensor(arguments[a.name]) for a in target._schema.arguments if a.kwarg_only}
    assert set(names) == set(arguments)
    result = target(*positional, **keywords)
    if result is None:  # a step that only checks, such as _assert_tensor_metadata
        return None
    return [part.numpy() for part in result] if isinstance(result, list | tuple) else result.numpy()


def _named(node: Any) -> dict[str, Any]:
    """The arguments by the names of the schema, with its defaults."""
    arguments = {}
    for index, argument in enumerate(node.target._schema.arguments):
        if index < len(node.args):
            arguments[argument.name] = node.args[index]
        elif argument.name in node.kwargs:
            arguments[argument.name] = node.kwargs[argument.name]
        else:
            arguments[argument.name] = argument.default_value if argument.has_default_value() else None
    return arguments


def _plain(value: Any, index: int) -> Any:
    if hasattr(value, "op") and hasattr(value, "meta"):
        return Ref(value.name)
    if isinstance(value, list | tuple):
        return [_plain(part, index) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part, index) for key, part in value.items()}
    return value


def _same(values: Sequence[Any], name: str) -> Any:
    """One value of several traces: numbers that differ become `Sizes` or `SizedFloat`."""
    first = values[0]
    if all(isinstance(value, list) and len(value) == len(first) for value in values):
        return [_same(parts, name) for parts in zip(*values, strict=True)]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, Ref) for value in values):  # names may be numbered in another way
        return first
    if all(type(value) is int for value in values):
        return Sizes(tuple(values))
    if all(type(value) in (int, float) for value in values):
        return SizedFloat(tuple(map(float, values)))
    raise ConversionError(f"The step {name} has a value that depends on the size of the image: {values}.")


def _structure(program: Any, leaves: list[Any]) -> Any:
    """The result as the module returns it: dictionaries keep their keys, and one tensor has no wrapper."""
    import torch.utils._pytree as pytree

    spec = program.call_spec.out_spec
    return _simplified(without_wrapper(pytree.tree_unflatten(leaves, spec)))


def _simplified(result: Any) -> Any:
    if isinstance(result, Ref):
        return result
    if is_wrapper(result):
        return {key: _simplified(result[key]) for key in result if result[key] is not None}
    if isinstance(result, Mapping):
        return {key: _simplified(value) for key, value in result.items() if value is not None}
    if isinstance(result, list | tuple):
        return [_simplified(value) for value in result if value is not None]
    return result
