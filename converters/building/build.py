"""A live torch module in, a Keras model of the same steps out: built from its program, and compared with the module.

So is a program in a file of `torch.export.save`.
"""

import copy
import hashlib
import os
from collections.abc import Collection
from typing import Any

from converters.building.assemble import Assembly, BuiltProgram, assemble, finish
from converters.building.builder import UnknownStep
from converters.building.exported_program import open_exported
from converters.building.from_torch import Traced, trace, trace_own_size, trace_size
from converters.building.hooks import hook_note, hooked_modules
from converters.building.module_inputs import (
    ModuleInputs,
    example_inputs,
    one_image,
    require_traceable,
    results_kept,
)
from converters.building.stochastic_depth import RandomDepth, mark_depths
from converters.building.training_form import read_program_form, read_training_form, still_parts
from converters.building.verify import TOLERANCE
from converters.errors import ConversionError
from converters.types import Path

__all__ = ["FAMILY", "PROGRAM", "BuiltProgram", "build_from_exported", "build_from_module"]

FAMILY = "torch module"
"""What a receipt calls the family of a model that was built from a live module's own program."""

PROGRAM = "torch.export program"
"""The same for a program in a file."""


def build_from_module(
    module: Any, *, channels: int | None = None, example: Any = None, tolerance: float = TOLERANCE
) -> BuiltProgram:
    """A Keras model that computes what a live torch module computes in evaluation mode.

    The module is traced at several sizes of the image. The model is built step by step and compared with the module at
    another size. What the module does in training is read off a run in training mode.

    Args:
        module: live torch module that takes an image `(batch, channels, height, width)`.
        channels: channels of the image; by default those of the module's first convolution.
        example: an image that the module takes, a tensor `(batch, channels, height, width)`; for a module of several
            inputs, a tuple or a dictionary of tensors. Where the network cannot be built for any size, it is built for
            that one.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: a module that cannot be traced; a step that Keras cannot compute exactly, with its module and
            line; a model that differs from the module.
    """
    import torch

    require_traceable(module)
    inputs = _inputs(module, channels, example)
    copied, still = _copied(module), still_parts(module)
    depths, others = mark_depths(copied)
    name = f"the torch module {type(module).__name__}"

    def built(traced: Traced, reason: str = "") -> BuiltProgram:
        assembly = _assemble(copied, traced, depths, still)
        if others:
            assembly.notes.append(f"these drop branches in training as no layer can: {', '.join(others[:4])}")
        if reason:
            assembly.notes.append(f"at other sizes it could not be built: {reason}")
        return finish(assembly, copied, module, source=name, family=FAMILY, tolerance=tolerance)

    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # a compiled module is run as it is written
        try:
            try:
                return built(trace(copied, inputs))
            except UnknownStep:
                raise
            except ConversionError as error:  # what is not proven at every size may be at one
                traced = _trace_one_size(copied, inputs)
                if traced is None:
                    raise
                return built(traced, " ".join(str(error).removesuffix(" Nothing is returned.").split()))
        except ConversionError as error:
            if hooked := hooked_modules(module):
                raise ConversionError(f"{error} Note that {hook_note(hooked)}.") from error
            raise


def build_from_exported(path: Path, *, tolerance: float = TOLERANCE) -> BuiltProgram:
    """A Keras model that computes what a program of `torch.export.save` computes.

    Args:
        path: where the file lies.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: as `build_from_module`, and a file that torch cannot read, was exported in training mode, or
            would run code.
    """
    module, traced, batch, notes = open_exported(path)
    assembly = assemble(traced, read_program_form(), batch)
    assembly.notes.extend(notes)
    built = finish(assembly, module, module, source=os.path.basename(path), family=PROGRAM, tolerance=tolerance)
    with open(path, "rb") as file:
        hashed = hashlib.file_digest(file, "sha256").hexdigest()
    built.receipt.files = [{"path": str(path), "size": os.path.getsize(path), "sha256": hashed}]
    return built


def _inputs(module: Any, channels: int | None, example: Any) -> ModuleInputs | None:
    """What the caller says of the module's inputs."""
    if example is not None:
        return example_inputs(module, example)
    return None if channels is None else one_image(channels)


def _trace_one_size(module: Any, inputs: ModuleInputs | None) -> Traced | None:
    """The program for the size of the example, or else for one that the module states; None where it states none."""
    if inputs and inputs.size:
        return trace_size(module, inputs, inputs.size)
    return None if inputs else trace_own_size(module)


def _assemble(module: Any, traced: Traced, depths: dict[str, RandomDepth], still: Collection[str]) -> Assembly:
    import torch

    parameter = next(iter(module.parameters()), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    call = traced.inputs.arguments(
        2,
        traced.fixed or traced.checks[0],
        lambda shape: torch.randn(shape, generator=generator).to(parameter.device, parameter.dtype),
    )
    return assemble(traced, read_training_form(module, call, depths, still))


def _copied(module: Any) -> Any:
    """The module in evaluation mode and single precision, in which the model computes. The user's own stays as it is.

    Raises:
        ConversionError: a module that cannot be copied.
    """
    try:
        # What a module computed from its parameters and kept, as torch.nn.utils.weight_norm does, is copied as numbers.
        kept = {id(value): value.detach().clone() for part in module.modules() for value in results_kept(part)}
        return copy.deepcopy(module, kept).float().eval()
    except Exception as error:  # whatever the module keeps: locks, results with gradients
        raise ConversionError(
            f"The torch module {type(module).__name__} cannot be copied, and a run may change what it keeps: "
            f"{type(error).__name__}: {str(error)[:200]}. Remove what no copy can have, such as a result that it keeps."
        ) from error
