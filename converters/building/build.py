"""A live torch module in, a Keras model of the same steps out: built from its program, and compared with the module."""

import copy
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.account import account
from converters.building.builder import Builder
from converters.building.from_torch import Traced, trace
from converters.building.operations import HANDLERS
from converters.building.verify import TOLERANCE, Original, verify
from converters.errors import ConversionError
from converters.weights.receipts import Receipt

FAMILY = "torch module"
"""What a receipt calls the family of a model that was built from a live module's own program."""

_COUNTER = "num_batches_tracked"
_USUAL_MOMENTUM = 0.9


class BuiltProgram(NamedTuple):
    """A model that was built from a program.

    Attributes:
        model: the model, with the module's weights.
        receipt: the account of it.
    """

    model: keras.Model
    receipt: Receipt


def build_from_module(module: Any, *, channels: int | None = None, tolerance: float = TOLERANCE) -> BuiltProgram:
    """A Keras model that computes what a live torch module computes in evaluation mode.

    The module is traced at several sizes of the image. The model is built step by step and compared with the module at
    another size.

    Args:
        module: live torch module that takes one image `(batch, channels, height, width)`.
        channels: channels of the image; by default those of the module's first convolution.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: a module that cannot be traced; a step that Keras cannot compute exactly, with its module and
            line; a model that differs from the module.
    """
    import torch

    module = _copied(module)
    with torch.no_grad():
        traced = trace(module, channels=channels)
        builder = Builder(traced.graph, HANDLERS)
        model = builder.build(traced.fixed)
        receipt = _receipt(module, traced, builder, model)
        verdict = verify(
            model,
            _original(module, receipt.source),
            graph=traced.graph,
            fixed=traced.fixed,
            sizes=traced.checks,
            tolerance=tolerance,
        )
    receipt.parity = verdict.parity
    receipt.notes += verdict.notes
    return BuiltProgram(model, receipt)


def _copied(module: Any) -> Any:
    """The module in evaluation mode and single precision, in which the model computes. The user's own stays as it is.

    Raises:
        ConversionError: a module that cannot be copied.
    """
    try:
        return copy.deepcopy(module).float().eval()
    except Exception as error:  # whatever the module keeps: locks, results with gradients
        raise ConversionError(
            f"The torch module {type(module).__name__} cannot be copied, and a run may change what it keeps: "
            f"{type(error).__name__}: {str(error)[:200]}. Remove what no copy can have, such as a result that it keeps."
        ) from error


def _original(module: Any, name: str) -> Original:
    """The module as a function of arrays."""

    def run_double(images: np.ndarray) -> Any:
        try:
            return _run(module.double(), images)
        finally:
            module.float()

    return Original(name, lambda images: _run(module, images), run_double)


def _run(module: Any, images: np.ndarray) -> Any:
    import torch

    parameter = next(iter(module.parameters()), torch.zeros((), dtype=torch.from_numpy(images[:0]).dtype))
    return _arrays(module(torch.from_numpy(images).to(parameter.device, parameter.dtype)))


def _arrays(result: Any) -> Any:
    """What a module returns, as arrays in lists and dictionaries; None is left out."""
    if hasattr(result, "detach"):
        return result.detach().cpu().numpy()
    if hasattr(result, "keys"):
        return {key: _arrays(result[key]) for key in result if result[key] is not None}
    return [_arrays(part) for part in result if part is not None]


def _receipt(module: Any, traced: Traced, builder: Builder, model: keras.Model) -> Receipt:
    """Every tensor of the module and the variable that it fills."""
    counter = "a counter of training batches that nothing reads"
    receipt = account(
        traced.graph,
        builder,
        model,
        source=f"the torch module {type(module).__name__}",
        family=FAMILY,
        tensors={key: counter if key.endswith(_COUNTER) else "" for key in module.state_dict()},
        sizes=_sizes(traced),
    )
    if cumulative := _keep_momentum(module, builder, model):
        receipt.notes.append(
            f"{cumulative} of its BatchNorms average over all batches (momentum=None), which Keras cannot: in training "
            f"those of the model keep {_USUAL_MOMENTUM} of the old average"
        )
    return receipt


def _sizes(traced: Traced) -> str:
    if traced.fixed:
        return f"the network takes images of {traced.fixed[0]} x {traced.fixed[1]} pixels only"
    if traced.multiple > 1:
        return f"the network takes images whose sides are multiples of {traced.multiple}"
    return ""


def _keep_momentum(module: Any, builder: Builder, model: keras.Model) -> int:
    """Lets a BatchNorm that averages over all batches, which Keras lacks, keep Keras's usual share; their number."""
    cumulative = {name for name, part in module.named_modules() if hasattr(part, "momentum") and part.momentum is None}
    layers = [name for name, steps in builder.layers.items() if steps[0].module in cumulative]
    for name in layers:
        model.get_layer(name).momentum = _USUAL_MOMENTUM
    return len(layers)
