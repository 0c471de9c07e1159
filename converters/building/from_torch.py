"""The program of a live torch module, by `torch.export`.

The module is traced at several fixed sizes. The traces have equal steps; integers that differ depend on the image.

Reference: https://docs.pytorch.org/docs/stable/export.html
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from converters.building.computed_numbers import computes_numbers, further_shapes
from converters.building.graph import ProgramGraph
from converters.building.module_inputs import ModuleInputs, one_image, require_one_input
from converters.building.mutations import without_changes
from converters.building.size_branches import have_equal_steps, longest_programs
from converters.building.size_probes import may_have_equal_steps, sizes_to_compare
from converters.building.stated_sizes import stated_sizes
from converters.building.torch_graph import aligned
from converters.errors import ConversionError

# Batch, height, width of the traces. 64 j + 1, 64 j - 1 and 64 j are odd and even again and again, however often they
# are halved; the fourth breaks what they agree in, and is one less than a multiple of 84: a sixth of the image and a
# third of half of it differ there. No two axes agree: what depends on the size differs between traces.
_ANY = ((2, 193, 255), (3, 256, 321), (5, 319, 384), (7, 419, 251))
# Sides of every remainder by 8 that the traces lack, and small ones, at which a network may branch; each side also the
# longer one by far, where min(height, 3 * width) is no longer the height.
_CHECKS = ((98, 147), (36, 317), (222, 35), (48, 40))


_FEW_PIXELS, _MOST_PIXELS = 30_000, 150_000
_LONG = ((2048, 64), (64, 2048))


class Grid(NamedTuple):
    """Image sizes at which a network is traced and checked."""

    multiple: int
    traces: tuple[tuple[int, int, int], ...]
    checks: tuple[tuple[int, int], ...]


def _multiples(step: int) -> Grid:
    steps = ((2, 5, 9), (3, 8, 6), (5, 11, 7), (7, 6, 10))
    traces = tuple((batch, step * rows, step * columns) for batch, rows, columns in steps)
    return Grid(step, traces, ((step * 3, step * 4), (step, step * 6), (step * 7, step * 2))[: 2 if step > 32 else 3])


GRIDS = (Grid(1, _ANY, _CHECKS), *map(_multiples, (8, 16, 32, 64)))
_SQUARES = (224, 256, 384, 512, 518, 240, 288, 299, 320, 640)


class Traced(NamedTuple):
    """A program, and the image sizes that the network takes."""

    graph: ProgramGraph
    checks: tuple[tuple[int, int], ...]
    fixed: tuple[int, int] | None
    multiple: int
    inputs: ModuleInputs


def trace(module: Any, inputs: ModuleInputs | None = None) -> Traced:
    """The program of a module in evaluation mode.

    Args:
        module: live torch module that takes an image `(batch, channels, height, width)`.
        inputs: tensors that it takes; by default one image of as many channels as its first convolution has.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    error: Exception | None = None
    if inputs is None:
        require_one_input(module)
    for taken in [inputs] if inputs else _guesses(module):
        for grid in GRIDS:
            if (error := _eager_error(module, taken, grid.checks[0])) is None:
                return _traced(module, taken, grid)
        for size in dict.fromkeys([*stated_sizes(module), *((side, side) for side in _SQUARES)]):
            if (error := _eager_error(module, taken, size)) is None:
                return trace_size(module, taken, size)
    raise ConversionError(
        f"The torch module {type(module).__name__} does not run on an image (1, channels, height, width) at any size "
        f"that was tried. torch says: {_first_line(error)}. Expected: a module whose forward takes one image. Sizes "
        "from 98 x 147 to 640 x 640 pixels were tried. Received: a module that takes something else, or another size. "
        "For another size, give an image that it takes: example=torch.zeros(1, channels, height, width). For several "
        "inputs, give a tensor for each: example=(tensor, tensor), or a dictionary of them by name."
    )


def trace_own_size(module: Any) -> Traced | None:
    """The program of a module for images of the size that it states; None where it states none.

    Args:
        module: live torch module that takes one image.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    inputs = _guesses(module)[0]
    for size in stated_sizes(module):
        if _eager_error(module, inputs, size) is None:
            return trace_size(module, inputs, size)
    return None


def trace_size(module: Any, inputs: ModuleInputs, size: tuple[int, int]) -> Traced:
    """The program of a module for images of one size.

    Args:
        module: live torch module, as for `trace`.
        inputs: tensors that it takes.
        size: height and width of the image.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    if error := _eager_error(module, inputs, size):
        raise ConversionError(
            f"{type(module).__name__} does not run on {_words(inputs, 1, size)}. torch says: {_first_line(error)}. "
            "Give an example that it takes: example="
        )
    programs = [_export(module, inputs, batch, size) for batch in (2, 3, 5)]
    graph = _program(module, inputs, without_changes(type(module).__name__, programs))
    return Traced(graph, (size,), size, 1, inputs)


def trace_sizes(
    module: Any, inputs: ModuleInputs, grid: Grid, allowed: Callable[[tuple[int, int]], bool]
) -> Traced | None:
    """The program of a module at the sizes of a grid; None if it does not take those.

    Args:
        module: torch module, as for `trace`.
        inputs: tensors that it takes.
        grid: sizes and batches of the traces.
        allowed: whether the module takes images of this height and width.
    Raises:
        ConversionError: the module cannot be traced; with torch's own reason.
    """
    sizes = [(height, width) for _, height, width in grid.traces]
    if not all(allowed(size) for size in (*grid.checks[:1], *sizes)):
        return None
    return _traced(module, inputs, grid, allowed)


def _traced(
    module: Any, inputs: ModuleInputs, grid: Grid, allowed: Callable[[tuple[int, int]], bool] | None = None
) -> Traced:
    def export(shape: tuple[int, int, int]) -> Any:
        batch, height, width = shape
        return _export(module, inputs, batch, (height, width))

    takes = allowed or (lambda size: _eager_error(module, inputs, size) is None)

    def unlike(shapes: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]] | None:
        sizes = [(height, width) for _, height, width in shapes]
        return sizes_to_compare(module, inputs, sizes, grid.multiple, takes)

    name = type(module).__name__
    programs, fewer = longest_programs(name, export, grid.traces, grid.multiple)
    others = unlike(grid.traces[: len(programs)])
    if others is None and len(programs) == 2:  # two traces alone do not tell
        programs, fewer = longest_programs(name, export, grid.traces, grid.multiple, all_sizes=True)
    written = without_changes(name, programs)
    graph = _program(module, inputs, written)
    if computes_numbers(graph):
        alike = _alike(module, inputs, grid, fewer)
        if further := _further(export, grid, programs[0], allowed, takes, alike):
            graph = _program(module, inputs, [*written, *without_changes(name, further, programs[0])])
    # A slice that cuts nothing off the traced sizes, as x[:, :, :400], is traced as "alias": longer images tell.
    checks = (*grid.checks, *_LONG) if any(step.op == "alias" for step in graph.steps) else grid.checks
    checks = (*checks, *fewer, *(others or []))
    runs = [size for size in checks if takes(size)]
    return Traced(graph, tuple(runs), None, grid.multiple, inputs)


def _alike(
    module: Any, inputs: ModuleInputs, grid: Grid, fewer: Sequence[tuple[int, int]]
) -> Callable[[tuple[int, int]], bool]:
    """Whether a module is worth a trace at a size: not where it surely takes other steps than in its program.

    Args:
        module: live torch module.
        inputs: tensors that it takes.
        grid: sizes at which it was traced.
        fewer: sizes at which it takes fewer steps than its program has; where there are none, any size is.
    """
    longest = [(height, width) for _, height, width in grid.traces if (height, width) not in fewer]
    return may_have_equal_steps(module, inputs, longest[0]) if fewer and longest else lambda size: True


def _further(
    export: Callable[[tuple[int, int, int]], Any],
    grid: Grid,
    program: Any,
    allowed: Callable[[tuple[int, int]], bool] | None,
    takes: Callable[[tuple[int, int]], bool],
    alike: Callable[[tuple[int, int]], bool],
) -> list[Any]:
    """Programs of the same steps at more sizes, where the module takes them."""
    batches = {batch for batch, _, _ in grid.traces}
    programs = []
    for batch, height, width in further_shapes(grid.multiple):
        size, pixels = (height, width), height * width
        if not alike(size):
            continue
        if allowed is not None and (pixels > _MOST_PIXELS or not allowed(size)):  # it is run there
            continue
        if allowed is None and pixels <= _FEW_PIXELS and not takes(size):  # torch logs what cannot be traced
            continue
        try:
            further = export((batch if len(batches) > 1 else min(batches), height, width))
        except ConversionError:  # too small for its windows, or too large for what it keeps
            continue
        if have_equal_steps(program, further):
            programs.append(further)
    return programs


def _program(module: Any, inputs: ModuleInputs, programs: Sequence[Any]) -> ProgramGraph:
    graph = aligned(module, programs)
    traced = [len(graph.shapes[name][0]) for name in graph.inputs]
    if traced != [1 + len(form.sides) for form in inputs.forms]:  # torch has reordered or left out some
        raise ConversionError(
            f"{type(module).__name__} was traced with {len(traced)} inputs, of {len(inputs.forms)} that were given."
        )
    return graph


def _guesses(module: Any) -> list[ModuleInputs]:
    return [one_image(number) for number in dict.fromkeys([_channels(module), 3])]


def _channels(module: Any) -> int:
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            return int(part.in_channels)
    return 3


def _eager_error(module: Any, inputs: ModuleInputs, size: tuple[int, int]) -> Exception | None:
    """What the module raises on an image of this size; None if it runs."""
    import torch

    args, kwargs = inputs.zeros(module, 1, size)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module(*args, **kwargs)
    except Exception as error:  # any class of error: the module's code is not ours
        return error
    return None


def _first_line(error: Exception | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _export(module: Any, inputs: ModuleInputs, batch: int, size: tuple[int, int]) -> Any:
    import torch

    args, kwargs = inputs.zeros(module, batch, size)
    name = type(module).__name__
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, args, kwargs, strict=False)
    except Exception as error:
        raise ConversionError(
            f"torch.export cannot trace {name} on {_words(inputs, batch, size)}: {_first_line(error)}. "
            "A forward that branches on values of the data has no fixed program: take the branch out, or export the "
            "part that has none."
        ) from error


def _words(inputs: ModuleInputs, batch: int, size: tuple[int, int]) -> str:
    shapes = inputs.shapes(batch, size)
    return f"an image {shapes[0]}" if len(shapes) == 1 else f"tensors {', '.join(map(str, shapes))}"
