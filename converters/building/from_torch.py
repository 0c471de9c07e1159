"""The program of a live torch module, by `torch.export`.

The module is traced at several fixed sizes. The traces have equal steps; integers that differ depend on the image.

Reference: https://docs.pytorch.org/docs/stable/export.html
"""

import functools
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.building.graph import GraphStep, ProgramGraph, Ref, Sizes
from converters.building.mutations import plain_name, without_changes
from converters.building.size_branches import longest_programs, require_equal_steps
from converters.building.size_probes import sizes_to_compare
from converters.building.trainable import trained_names
from converters.errors import ConversionError

# Batch, height, width of the traces. 64 j + 1, 64 j - 1 and 64 j are odd and even again and again, however often they
# are halved; the fourth breaks what they agree in. No two axes agree: what depends on the size differs between traces.
_ANY = ((2, 193, 255), (3, 256, 321), (5, 319, 384), (7, 331, 203))
# Sides of every remainder by 8 that the traces lack, and small ones, at which a network may branch.
_CHECKS = ((98, 147), (52, 101), (62, 35), (48, 40))


_LONG = ((2048, 64), (64, 2048))


class Grid(NamedTuple):
    """Image sizes at which a network is traced and checked."""

    multiple: int
    traces: tuple[tuple[int, int, int], ...]
    checks: tuple[tuple[int, int], ...]


def _multiples(step: int) -> Grid:
    steps = ((2, 5, 9), (3, 8, 6), (5, 11, 7), (7, 6, 10))
    traces = tuple((batch, step * rows, step * columns) for batch, rows, columns in steps)
    return Grid(step, traces, ((step * 3, step * 4), (step * 2, step), (step * 7, step * 5))[: 2 if step > 32 else 3])


GRIDS = (Grid(1, _ANY, _CHECKS), *map(_multiples, (8, 16, 32, 64)))
_SQUARES = (224, 256, 384, 512, 518, 240, 288, 299, 320, 640)


class Traced(NamedTuple):
    """A program, and the image sizes that the network takes."""

    graph: ProgramGraph
    checks: tuple[tuple[int, int], ...]
    fixed: tuple[int, int] | None
    multiple: int


def trace(module: Any, *, channels: int | None = None) -> Traced:
    """The program of a module in evaluation mode.

    Args:
        module: live torch module that takes one image `(batch, channels, height, width)`.
        channels: channels of the image; by default those of its first convolution.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    error: Exception | None = None
    for number in dict.fromkeys([channels] if channels else [_channels(module), 3]):
        for grid in GRIDS:
            if (error := _eager_error(module, (1, number, *grid.checks[0]))) is None:
                return _traced(module, number, grid)
        for side in dict.fromkeys([*_own_sides(module), *_SQUARES]):
            if (error := _eager_error(module, (1, number, side, side))) is None:
                return _traced_square(module, number, side)
    raise ConversionError(
        f"The torch module {type(module).__name__} does not run on an image (1, channels, height, width) at any size "
        f"that was tried. torch says: {_first_line(error)}. Expected: a module whose forward takes one image. Sizes "
        "from 98 x 147 to 640 x 640 pixels were tried. Received: a module that takes something else, or another size. "
        "For another size, give an image that it takes: example=torch.zeros(1, channels, height, width). A module that "
        "takes several tensors becomes one of one image by a module around it that makes or splits them."
    )


def trace_own_size(module: Any, *, channels: int | None = None) -> Traced | None:
    """The program of a module for square images of the size that it states; None where it states none.

    Args:
        module: live torch module, as for `trace`.
        channels: channels of the image; by default those of its first convolution.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    number = channels or _channels(module)
    for side in _own_sides(module):
        if _eager_error(module, (1, number, side, side)) is None:
            return _traced_square(module, number, side)
    return None


def _traced_square(module: Any, channels: int, side: int) -> Traced:
    return trace_size(module, channels, (side, side))


def trace_size(module: Any, channels: int, size: tuple[int, int]) -> Traced:
    """The program of a module for images of one size.

    Args:
        module: live torch module, as for `trace`.
        channels: channels of the image.
        size: its height and width.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    programs = [_export(module, (batch, channels, *size)) for batch in (2, 3, 5)]
    return Traced(_aligned(module, programs), (size,), size, 1)


def trace_sizes(module: Any, channels: int, grid: Grid, allowed: Callable[[tuple[int, int]], bool]) -> Traced | None:
    """The program of a module at the sizes of a grid; None if it does not take those.

    Args:
        module: torch module, as for `trace`.
        channels: channels of the image.
        grid: sizes and batches of the traces.
        allowed: whether the module takes images of this height and width.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    sizes = [(height, width) for _, height, width in grid.traces]
    if not all(allowed(size) for size in (*grid.checks[:1], *sizes)):
        return None
    return _traced(module, channels, grid, allowed)


def _traced(module: Any, channels: int, grid: Grid, allowed: Callable[[tuple[int, int]], bool] | None = None) -> Traced:
    def export(shape: tuple[int, int, int]) -> Any:
        batch, height, width = shape
        return _export(module, (batch, channels, height, width))

    takes = allowed or (lambda size: _eager_error(module, (1, channels, *size)) is None)

    def unlike(shapes: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]] | None:
        sizes = [(height, width) for _, height, width in shapes]
        return sizes_to_compare(module, channels, sizes, grid.multiple, takes)

    name = type(module).__name__
    programs, fewer = longest_programs(name, export, grid.traces, grid.multiple)
    others = unlike(grid.traces[: len(programs)])
    if others is None and len(programs) == 2:  # two traces alone do not tell
        programs, fewer = longest_programs(name, export, grid.traces, grid.multiple, all_sizes=True)
    graph = _aligned(module, programs)
    # A slice that cuts nothing off the traced sizes, as x[:, :, :400], is traced as "alias": longer images tell.
    checks = (*grid.checks, *_LONG) if any(step.op == "alias" for step in graph.steps) else grid.checks
    checks = (*checks, *fewer, *(others or []))
    runs = [size for size in checks if takes(size)]
    return Traced(graph, tuple(runs), None, grid.multiple)


def _channels(module: Any) -> int:
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            return int(part.in_channels)
    return 3


def _own_sides(module: Any) -> list[int]:
    """Sides of the square images that a network of a fixed size may want, by its own attributes."""
    sides = []
    config = getattr(module, "config", None)  # transformers' networks keep it there
    stated = getattr(config, "image_size", None)
    sides += [stated] if isinstance(stated, int) and 0 < stated <= 2048 else []
    for part in module.modules():
        for attribute in ("img_size", "image_size"):
            value = getattr(part, attribute, None)
            side = value[0] if isinstance(value, tuple | list) and value else value
            if isinstance(side, int) and 0 < side <= 2048:
                sides.append(side)
    return list(dict.fromkeys(sides))


def _eager_error(module: Any, shape: Sequence[int]) -> Exception | None:
    """What the module raises on an image of this shape; None if it runs."""
    import torch

    parameter = next(iter(module.parameters()), torch.zeros(()))
    image = torch.zeros(tuple(shape), dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module(image)
    except Exception as error:  # any class of error: the module's code is not ours
        return error
    return None


def _first_line(error: Exception | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _export(module: Any, shape: Sequence[int]) -> Any:
    import torch

    parameter = next(iter(module.parameters()), torch.zeros(()))
    image = torch.zeros(tuple(shape), dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, (image,), strict=False)
    except Exception as error:
        raise ConversionError(
            f"torch.export cannot trace {type(module).__name__} on an image {tuple(shape)}: {_first_line(error)}. A "
            "forward that branches on values of the data has no fixed program: take the branch out, or export the part "
            "that has none."
        ) from error


def _aligned(module: Any, programs: Sequence[Any]) -> ProgramGraph:
    """One program of several traces."""
    programs = without_changes(type(module).__name__, programs)
    require_equal_steps(type(module).__name__, programs)
    graphs = [list(program.graph.nodes) for program in programs]
    first = programs[0]
    state = {**first.state_dict, **first.constants}
    tensors, keys, inputs = {}, {}, []
    for spec in first.graph_signature.input_specs:
        if spec.target is None:
            inputs.append(spec.arg.name)
        else:
            keys[spec.arg.name] = spec.target
            tensors[spec.arg.name] = _array(state[spec.target])
    steps, shapes, outputs = [], {}, None
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
    """One value of several traces: integers that differ become `Sizes`."""
    first = values[0]
    if all(isinstance(value, list) and len(value) == len(first) for value in values):
        return [_same(parts, name) for parts in zip(*values, strict=True)]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, Ref) for value in values):  # names may be numbered in another way
        return first
    if all(type(value) is int for value in values):
        return Sizes(tuple(values))
    raise ConversionError(f"The step {name} has a value that depends on the size of the image: {values}.")


def _structure(program: Any, leaves: list[Any]) -> Any:
    """The result as the module returns it: dictionaries keep their keys."""
    import torch.utils._pytree as pytree

    spec = program.call_spec.out_spec
    result = pytree.tree_unflatten(leaves, spec)
    return _simplified(result)


def _simplified(result: Any) -> Any:
    if isinstance(result, Ref):
        return result
    if hasattr(result, "to_tuple") and hasattr(result, "keys"):  # transformers' outputs
        return {key: _simplified(result[key]) for key in result}
    if isinstance(result, Mapping):
        return {key: _simplified(value) for key, value in result.items() if value is not None}
    if isinstance(result, list | tuple):
        return [_simplified(value) for value in result if value is not None]
    return result
