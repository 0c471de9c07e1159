"""A program of `torch.export.save` (.pt2) in, a Keras model of the same steps out.

The program becomes a module again and is traced at several sizes, as a live module is. Where the file has one size, so
has the model, unless each step means the same at every size.
"""

import io
import os
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from converters.building.from_torch import GRIDS, Grid, Traced, trace_sizes
from converters.building.module_inputs import InputForm, ModuleInputs, sides_of
from converters.building.mutations import plain_name
from converters.building.sizeless_steps import is_sizeless
from converters.errors import ConversionError
from converters.proof.module_arguments import Arguments
from converters.reading.files import naming
from converters.reading.pytorch.exported_program import check_exported_program
from converters.types import Path

_FREE = (
    "to export it for any size: torch.export.export(module, (image,), dynamic_shapes=({0: torch.export.Dim.AUTO, "
    "2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},))"
)
# Sizes of images for programs that take no large ones.
_SMALL = Grid(1, ((2, 97, 127), (3, 128, 113), (5, 111, 96), (7, 121, 107)), ((98, 75), (84, 117)))
_IMAGE_RANK = 4


class ExportedModule(NamedTuple):
    """A program of a file, as a module.

    Attributes:
        module: torch module that computes it, without guards where it is traced beyond the file's size.
        traced: its program at several sizes.
        batch: number of images that it takes; None: any.
        notes: sentences for the receipt.
    """

    module: Any
    traced: Traced
    batch: int | None
    notes: list[str]


def open_exported(path: Path) -> ExportedModule:
    """The program of a file of `torch.export.save`.

    Args:
        path: where the file lies.
    Raises:
        ConversionError: torch is not installed; a file that is damaged or would run code; a program in training mode,
            or of something else than images.
    """
    try:
        import torch
    except ImportError as error:
        raise ConversionError(
            f"{path}: is a program of torch.export (.pt2), which only torch can read, and torch is not installed: "
            'pip install "tfseg[torch]".'
        ) from error
    for pickle in check_exported_program(path):
        _check_pickle(path, pickle)
    with naming(os.path.basename(path)), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = _load(path)
        _refuse_training(program)
        inputs = _file_inputs(program)
        _refuse_precision(program)
        guarded, bare = program.module(), _unguarded(program)
        for module in (guarded, bare):
            type(module).__name__ = _class_name(program)
        return _traced(guarded, bare, inputs, is_sizeless(program))


def _check_pickle(path: Path, pickle: bytes) -> None:
    """Refuses a pickle that torch can open only by running its code."""
    import torch

    try:
        torch.load(io.BytesIO(pickle), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConversionError(
            f"{os.path.basename(path)}: holds a pickle that only running its code can open. Expected tensors alone. "
            f"Export the network again with torch.export.save. torch says: {str(error).strip()[:150]}"
        ) from error


def _load(path: Path) -> Any:
    import torch

    try:
        return torch.export.load(path)
    except Exception as error:  # torch's own, of many classes
        raise ConversionError(
            f"cannot be read by torch {torch.__version__}: {str(error).strip()[:200]}. A newer torch may have written "
            "it: install that one, or export the network again with this one."
        ) from error


def _refuse_training(program: Any) -> None:
    """Refuses what was exported in training mode, or in lower precision than the file says."""
    for node in _nodes(program.graph_module):
        name = plain_name(node.target) if node.op == "call_function" else ""
        schema = getattr(node.target, "_schema", None)
        names = [argument.name for argument in schema.arguments] if schema else []
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        if name.startswith("_native_batch_norm_legit") and not name.endswith("no_training"):
            given["training"] = True
        if given.get("training") is True or (name.endswith("dropout") and given.get("train") is True):
            raise ConversionError(
                f"was exported in training mode: its step {name} uses the batch, or random numbers. Export it in "
                "evaluation mode: torch.export.export(module.eval(), ...)."
            )
        if "autocast" in str(node.target):
            raise ConversionError(
                "computes a part in autocast, at half precision, which rounds in its own way. Export the network "
                "without torch.autocast."
            )
        kind = str(given.get("dtype"))
        if name in ("to", "_to_copy", "type_as") and kind in ("torch.float16", "torch.bfloat16"):
            raise ConversionError(
                f"computes a part in {kind}, which rounds in its own way. Export the network in float32."
            )


def _refuse_precision(program: Any) -> None:
    """Refuses weights of another precision than the model's."""
    kinds = {str(value.dtype) for value in program.state_dict.values() if value.is_floating_point()}
    if kinds - {"torch.float32"}:
        raise ConversionError(
            f"has weights in {', '.join(sorted(kinds))}. Export it in float32: "
            "torch.export.export(module.float(), ...)."
        )


def _nodes(graph_module: Any) -> list[Any]:
    import torch

    parts = [part for part in graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    return [node for part in parts for node in part.graph.nodes]


class _FileInputs(NamedTuple):
    """What a program of a file takes.

    Attributes:
        inputs: its tensors.
        batch: images in the batch that it was exported with.
        size: height and width of the image.
        free: whether batch, height and width are free.
    """

    inputs: ModuleInputs
    batch: int
    size: tuple[int, int]
    free: tuple[bool, bool, bool]


def _file_inputs(program: Any) -> _FileInputs:
    import torch.utils._pytree as pytree

    names = list(program.graph_signature.user_inputs)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    tensors = [values.get(name) for name in names]
    shapes = [tuple(getattr(tensor, "shape", ())) for tensor in tensors]
    images = [shape for shape in shapes if len(shape) == _IMAGE_RANK]
    whole = [tensor for tensor in tensors if not getattr(getattr(tensor, "dtype", None), "is_floating_point", False)]
    if not images or whole:
        words = ", ".join(
            f"{name} {list(shape) if shape else 'no tensor'}" for name, shape in zip(names, shapes, strict=True)
        )
        raise ConversionError(
            "takes something else than images (batch, channels, height, width) of floats. Export a module whose "
            f"forward takes one image, or several tensors of floats with an image among them. "
            f"Received: {words or 'no input'}"
        )
    if program.graph_signature.user_inputs_to_mutate:
        raise ConversionError("writes into the image that it is given. A Keras model cannot do that.")
    known = [tuple(map(_hint, shape)) for shape in shapes]
    image = max(images, key=lambda shape: _hint(shape[2]) * _hint(shape[3]))
    batch, _, height, width = map(_hint, image)
    if any(shape[0] != batch for shape in known):
        words = ", ".join(f"{name} {list(shape)}" for name, shape in zip(names, known, strict=True))
        raise ConversionError(
            "takes tensors whose first axis is not the batch of the image. Export a module whose forward takes "
            f"batches. Received: {words}"
        )
    forms = tuple(InputForm(name, sides_of(shape, (height, width))) for name, shape in zip(names, known, strict=True))
    spec = program.call_spec.in_spec

    def arrange(given: Sequence[Any]) -> Arguments:
        args, kwargs = pytree.tree_unflatten(list(given), spec)
        return Arguments(tuple(args), dict(kwargs))

    free = [not isinstance(image[axis], int) for axis in (0, 2, 3)]
    return _FileInputs(ModuleInputs(forms, arrange), batch, (height, width), (free[0], free[1], free[2]))


def _hint(size: Any) -> int:
    """A size, or the one of the example for a free one."""
    return size if isinstance(size, int) else int(size.node.hint or 0)


def _unguarded(program: Any) -> Any:
    """The program as a module that takes images of every size that its steps take."""
    try:
        module = program.module(check_guards=False)
    except TypeError:  # a torch before guards
        module = program.module()
    module._forward_pre_hooks.clear()  # they compare the image's shape with the file's
    return module


def _class_name(program: Any) -> str:
    """The class of the module that was exported, as the program's steps remember it."""
    for node in program.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            if path == "":
                return str(kind).rpartition(".")[2] or "Network"
    return "Network"


def _traced(guarded: Any, bare: Any, taken: _FileInputs, sizeless: bool) -> ExportedModule:
    inputs, batch, stated, free = taken
    batch_free = free[0] or _takes_batches(bare, taken)
    own_batch = None if batch_free else batch
    everything = all(free)
    module = guarded if everything else bare
    own_size = not (sizeless or (free[1] and free[2]))
    if not own_size:
        judge = guarded if free[1] and free[2] else bare  # guards say which sizes are allowed
        probe = 2 if free[0] or (judge is bare and batch_free) else batch
        for grid in (GRIDS[0], _SMALL, *GRIDS[1:]):
            if grid.multiple > 1 and all(_runs(judge, inputs, probe, size) for size in _odd(grid)):
                break  # it takes other sizes than multiples: those of the grids above are too large or too small
            fitted = grid if own_batch is None else _with_batch(grid, own_batch)
            traced = trace_sizes(module, inputs, fitted, lambda size: _runs(judge, inputs, probe, size))
            if traced is not None:
                notes = [] if everything else [_size_note(own_batch, None, sizeless and not free[1])]
                notes += _refused_sizes(fitted, judge, bare, inputs, probe)
                return ExportedModule(module, traced, own_batch, notes)
    batches = (2, 3, 5) if own_batch is None else (own_batch,)
    grid = Grid(1, tuple((number, *stated) for number in batches), (stated,))
    traced = trace_sizes(bare, inputs, grid, lambda size: _runs(bare, inputs, batches[0], size))
    if traced is None:
        raise ConversionError(
            f"does not run on tensors of {inputs.shapes(batch, stated)}, for which it was exported. Export it again "
            "with this torch."
        )
    fixed = traced._replace(fixed=stated, checks=(stated,))
    return ExportedModule(bare, fixed, own_batch, [_size_note(own_batch, stated, False)])


def _refused_sizes(grid: Grid, judge: Any, bare: Any, inputs: ModuleInputs, batch: int) -> list[str]:
    """A note on sizes that the guards of the file refuse and its steps take: there, they may be another network's."""
    sizes = [size for size in grid.checks if not _runs(judge, inputs, batch, size) and _runs(bare, inputs, batch, size)]
    words = ", ".join(f"{height} x {width}" for height, width in sizes)
    return [f"the file refuses images such as {words} pixels, and the model does not: do not use it there"] * bool(
        sizes
    )


def _odd(grid: Grid) -> list[tuple[int, int]]:
    """Sizes that are no multiples. A program of multiples may run at some of them: maps of 47 and 48 may agree."""
    height, width = grid.checks[0]
    return [(height - less, width - fewer) for less, fewer in ((1, 1), (3, 5), (5, 3))]


def _size_note(batch: int | None, size: tuple[int, int] | None, sizeless: bool) -> str:
    images = "any number of images" if batch is None else f"{batch} image{'s' if batch > 1 else ''} at a time"
    if size is None:
        what = "one size, and none of its steps says it" if sizeless else "a fixed number of images"
        return f"the file was exported for {what}: the model takes {images}, and any size"
    return f"the file was exported for one size: the model takes {images} of {size[0]} x {size[1]} pixels; {_FREE}"


def _with_batch(grid: Grid, batch: int) -> Grid:
    return grid._replace(traces=tuple((batch, height, width) for _, height, width in grid.traces))


def _runs(module: Any, inputs: ModuleInputs, batch: int, size: tuple[int, int]) -> bool:
    args, kwargs = inputs.zeros(module, batch, size)
    try:
        module(*args, **kwargs)
    except Exception:  # a guard, or a step that cannot
        return False
    return True


def _takes_batches(module: Any, taken: _FileInputs) -> bool:
    """Whether a program of a fixed batch computes each image by itself in other batches, too."""
    import torch
    import torch.utils._pytree as pytree

    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=generator) for shape in taken.inputs.shapes(3, taken.size)]

    def leaves(given: list[Any]) -> list[Any]:
        args, kwargs = taken.inputs.arrange(given)
        return pytree.tree_leaves(module(*args, **kwargs))

    try:
        together = leaves(tensors)
        single = [leaves([tensor[index : index + 1] for tensor in tensors]) for index in range(3)]
    except Exception:
        return False
    for index, result in enumerate(together):
        alone = [results[index] for results in single]
        if not hasattr(result, "shape") or result.dim() == 0 or any(part.shape[:1] != (1,) for part in alone):
            return False
        joined, result = torch.cat(alone).double(), result.double()  # masks of bool have no distance
        if joined.shape != result.shape or not torch.isfinite(joined).all():  # of NaN nothing can be told
            return False
        scale = float(joined.abs().max()) if joined.numel() else 0.0
        if not torch.allclose(joined, result, rtol=0, atol=1e-4 * scale):
            return False
    return True
