"""A live torch module in, a Keras model of the same steps out: built from its program, and compared with the module."""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.builder import Builder
from converters.building.from_torch import Traced, trace
from converters.building.operations import HANDLERS
from converters.errors import ConversionError
from converters.weights.receipts import Receipt

FAMILY = "torch module"
"""What a receipt calls the family of a model that was built from a live module's own program."""

TOLERANCE = 1e-5
_COUNTER = "num_batches_tracked"
_USUAL_MOMENTUM = 0.9
_LEAST_FINITE = 0.5  # share of finite numbers below which a comparison says nothing


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
        worst = max(_difference(module, size, model, receipt.source) for size in traced.checks)
        if not worst <= tolerance:
            receipt.notes.append(_proof_in_double(module, traced, receipt.source, worst, tolerance))
    sizes = " and ".join(f"{height} x {width}" for height, width in traced.checks)
    receipt.parity = {"with": "the module", "images": sizes, "max relative difference": worst}
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


def _keep_momentum(module: Any, builder: Builder, model: keras.Model) -> int:
    """Lets a BatchNorm that averages over all batches, which Keras lacks, keep Keras's usual share; their number."""
    cumulative = {name for name, part in module.named_modules() if hasattr(part, "momentum") and part.momentum is None}
    layers = [name for name, steps in builder.layers.items() if steps[0].module in cumulative]
    for name in layers:
        model.get_layer(name).momentum = _USUAL_MOMENTUM
    return len(layers)


def _receipt(module: Any, traced: Traced, builder: Builder, model: keras.Model) -> Receipt:
    """Every tensor of the module and the variable that it fills."""
    graph, name = traced.graph, f"the torch module {type(module).__name__}"
    receipt = Receipt(name, model.name, FAMILY, type(module).__name__)
    filled = set()
    for layer, variable, tensor, layout in builder.origins:
        folded = tensor in builder.parents
        for parent in builder.parents.get(tensor, [tensor]):
            key, value = graph.keys[parent], graph.tensors[parent]
            filled.add(key)
            receipt.tensors.append(
                {
                    "key": key,
                    "shape": list(value.shape),
                    "dtype": str(value.dtype),
                    "path": f"{layer.name}/{variable}",
                    "layout": f"{tensor}, computed beforehand; {layout}" if folded else str(layout),
                }
            )
    receipt.dtype = keras.config.floatx()
    for key in module.state_dict():
        if key not in filled:
            counter = key.endswith(_COUNTER)
            receipt.ignored[key] = "a counter of training batches that nothing reads" if counter else "read by no step"
    receipt.notes.append(f"built from the module's own program: {len(graph.steps)} steps")
    if traced.fixed:
        receipt.notes.append(f"the network takes images of {traced.fixed[0]} x {traced.fixed[1]} pixels only")
    elif traced.multiple > 1:
        receipt.notes.append(f"the network takes images whose sides are multiples of {traced.multiple}")
    if cumulative := _keep_momentum(module, builder, model):
        receipt.notes.append(
            f"{cumulative} of its BatchNorms average over all batches (momentum=None), which Keras cannot: in training "
            f"those of the model keep {_USUAL_MOMENTUM} of the old average"
        )
    if builder.folded:
        receipt.notes.append(f"computed beforehand, from parameters alone: {len(builder.folded)} steps")
    return receipt


def _difference(module: Any, size: tuple[int, int], model: keras.Model, name: str, dtype: str = "float32") -> float:
    """The largest relative difference of model and module, on noise of a size that was not traced.

    Raises:
        ConversionError: a module that cannot be run at this size, or results of other shapes.
    """
    import torch

    parameter = next(iter(module.parameters()), torch.zeros(()))
    image = np.random.default_rng(0).normal(size=(2, *size, model.inputs[0].shape[-1])).astype(dtype)
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
    try:
        expected = module(batch.to(parameter.device, parameter.dtype))
    except Exception as error:  # a network may take only sizes that its strides divide
        raise ConversionError(
            f"{name} cannot be run at {size[0]} x {size[1]} pixels, where the model would be compared with it: "
            f"{type(error).__name__}: {str(error)[:200]}. Nothing is returned."
        ) from error
    worst = 0.0
    for result, reference in _pairs(model(image), expected):
        if result.shape != reference.shape:
            raise ConversionError(
                f"{name}: at {size[0]} x {size[1]} pixels the model gives {result.shape}, the module "
                f"{reference.shape}. A size that depends on the image was not understood; nothing is returned."
            )
        worst = max(worst, _relative(result, reference))
    return worst


def _relative(result: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference by the largest value; infinite if other numbers are missing, or most of them."""
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(result)) or finite.mean() < _LEAST_FINITE:
        return float("inf")
    result, reference = np.where(finite, result, 0), np.where(finite, reference, 0)
    return float(np.abs(result - reference).max(initial=0) / np.abs(reference).max(initial=1e-30))


def _proof_in_double(module: Any, traced: Traced, name: str, worst: float, tolerance: float) -> str:
    """Compares in double precision: a network that amplifies rounding differs from itself in single precision.

    Returns: a sentence for the receipt.
    Raises:
        ConversionError: the programs differ in double precision, too.
    """
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    graph = dataclasses.replace(
        traced.graph,
        tensors={
            key: value.astype("float64") if value.dtype == "float32" else value
            for key, value in traced.graph.tensors.items()
        },
    )
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        double = module.double()
        model = Builder(graph, HANDLERS).build(traced.fixed)
        exact = max(_difference(double, size, model, name, "float64") for size in traced.checks)
    finally:
        module.float()
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
    if not exact <= tolerance:
        raise ConversionError(
            f"{name}: the model that was built differs from the module by {worst:.2g} of the largest value, and by "
            f"{exact:.2g} in double precision. At most {tolerance:g} is accepted. Nothing is returned."
        )
    return (
        f"the network amplifies rounding: in double precision, model and module differ by {exact:.2g}; in single "
        f"precision by {worst:.2g}"
    )


def _pairs(result: Any, reference: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The tensors of the model's result, each with the module's, in torch's order of axes."""
    if hasattr(reference, "detach"):
        value = np.asarray(result, "float64")
        yield value.transpose(0, 3, 1, 2) if value.ndim == 4 else value, reference.detach().cpu().double().numpy()
    elif hasattr(reference, "keys"):
        for key in reference:
            if reference[key] is not None:
                yield from _pairs(result[key], reference[key])
    else:
        parts = [part for part in reference if part is not None]
        for part, other in zip(result if len(parts) > 1 else [result], parts, strict=True):
            yield from _pairs(part, other)
