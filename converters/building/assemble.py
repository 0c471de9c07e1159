"""From a traced torch module to a model with its account: built, compared, and with all that it remembers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

import tfseg
from converters.building.account import account
from converters.building.builder import Builder
from converters.building.from_torch import Traced
from converters.building.hooks import hook_note, hooked_modules, require_repeatable
from converters.building.module_inputs import ModuleInputs
from converters.building.operations import HANDLERS
from converters.building.record import make_record
from converters.building.shuffles import fuse_shuffles
from converters.building.source_facts import source_facts
from converters.building.trainable import carry_trainable
from converters.building.training_form import TrainingForm, in_training_form, plain_module
from converters.building.verify import Images, Original, in_order_of_source, noise, verify
from converters.building.wrapped_results import without_wrapper
from converters.identification.sources import open_source
from converters.weights.built_record import remember
from converters.weights.receipts import Receipt
from tfseg.layers.metadata import set_size_multiple

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


class Assembly(NamedTuple):
    """A model that is built and not yet compared.

    Attributes:
        traced: the program, with what training does.
        builder: what built the model.
        model: the model, with the module's weights.
        batch: number of images that it takes; None: any.
        notes: sentences for the receipt.
    """

    traced: Traced
    builder: Builder
    model: keras.Model
    batch: int | None
    notes: list[str]


def assemble(traced: Traced, form: TrainingForm, batch: int | None = None) -> Assembly:
    """Builds a model from a program.

    Args:
        traced: program of evaluation mode.
        form: what the source does in training.
        batch: number of images that the model takes; None: any.
    Raises:
        ConversionError: a step that Keras cannot compute exactly.
    """
    graph, notes, frozen = in_training_form(fuse_shuffles(traced.graph), form)
    builder = Builder(graph, HANDLERS)
    model = builder.build(traced.fixed, batch, traced.inputs.names)
    notes += carry_trainable(builder, model, frozen)
    return Assembly(traced._replace(graph=graph), builder, model, batch, notes)


def finish(
    assembly: Assembly, module: Any, original: Any, *, source: str, family: str, tolerance: float
) -> BuiltProgram:
    """Compares a model with the module that it was built from, and writes down what is known of it.

    Args:
        assembly: the built model.
        module: module in evaluation mode that the program is of.
        original: module as the user has it, with types and attributes of its own.
        source: its name in messages.
        family: what a receipt calls models of this front-end.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: a module whose results change from call to call; a model that differs from it.
    """
    traced, builder, model, batch, _ = assembly
    function = _function(module, source, traced.inputs)
    for size in traced.checks:
        images = in_order_of_source(noise(model, size, batch or 1, seed=1))
        if _runs(function, images):
            require_repeatable(source, function.run, images)
            break
    receipt = _receipt(assembly, original, source, family)
    verdict = verify(
        model,
        function,
        graph=traced.graph,
        fixed=traced.fixed,
        sizes=traced.checks,
        batch=batch,
        tolerance=tolerance,
    )
    receipt.parity = verdict.parity
    receipt.notes += verdict.notes
    state = open_source(original)
    same = _same_tensors(original)
    receipt.ignored |= _named_otherwise(receipt, same)
    record = make_record(
        traced.graph,
        builder,
        family=family,
        state={key: state[key] for key in state},
        same=same,
        dtypes={key: str(dtype) for key, dtype in state.dtypes.items()},
    )
    remember(model, record)
    set_size_multiple(model, traced.multiple)
    _carry_facts(model, receipt, original)
    return BuiltProgram(model, receipt)


def _runs(function: Original, images: Images) -> bool:
    """Whether a module takes these images: some take only sizes that their strides divide."""
    try:
        function.run(images)
    except Exception:  # whatever the module raises; if it takes no size at all, the comparison says so
        return False
    return True


def _function(module: Any, name: str, inputs: ModuleInputs) -> Original:
    """The module as a function of arrays."""

    def run_double(images: Images) -> Any:
        try:
            return _run(module.double(), images, inputs)
        finally:
            module.float()

    return Original(name, lambda images: _run(module, images, inputs), run_double)


def _run(module: Any, images: Images, inputs: ModuleInputs) -> Any:
    import torch

    batches = [torch.from_numpy(array) for array in (images if isinstance(images, list) else [images])]
    parameter = next(iter(module.parameters()), batches[0])
    args, kwargs = inputs.arrange([batch.to(parameter.device, parameter.dtype) for batch in batches])
    with torch.no_grad():
        return _arrays(without_wrapper(module(*args, **kwargs)))


def _arrays(result: Any) -> Any:
    """What a module returns, as arrays in lists and dictionaries; None is left out."""
    if hasattr(result, "detach"):
        return result.detach().cpu().numpy()
    if hasattr(result, "keys"):
        return {key: _arrays(result[key]) for key in result if result[key] is not None}
    return [_arrays(part) for part in result if part is not None]


def _receipt(assembly: Assembly, original: Any, source: str, family: str) -> Receipt:
    """Every tensor of the module and the variable that it fills."""
    traced, builder, model, _, notes = assembly
    counter = "a counter of training batches that nothing reads"
    receipt = account(
        traced.graph,
        builder,
        model,
        source=source,
        family=family,
        tensors={key: counter if key.endswith(_COUNTER) else "" for key in original.state_dict()},
        sizes=_sizes(traced),
    )
    if cumulative := _keep_momentum(original, builder, model):
        receipt.notes.append(
            f"{cumulative} of its BatchNorms average over all batches (momentum=None), which Keras cannot: in training "
            f"those of the model keep {_USUAL_MOMENTUM} of the old average"
        )
    receipt.notes += notes
    if hooked := hooked_modules(original):
        receipt.notes.append(hook_note(hooked))
    return receipt


def _sizes(traced: Traced) -> str:
    if traced.fixed:
        return f"the network takes images of {traced.fixed[0]} x {traced.fixed[1]} pixels only"
    if traced.multiple > 1:
        return f"the network takes images whose sides are multiples of {traced.multiple}"
    return ""


def _keep_momentum(module: Any, builder: Builder, model: keras.Model) -> int:
    """Lets a BatchNorm that averages over all batches, which Keras lacks, keep Keras's usual share; their number."""
    cumulative = {name for name, part in module.named_modules() if getattr(part, "momentum", 0) is None}
    layers = [name for name, steps in builder.layers.items() if plain_module(steps[0]) in cumulative]
    for name in layers:
        model.get_layer(name).momentum = _USUAL_MOMENTUM
    return len(layers)


def _same_tensors(module: Any) -> dict[str, str]:
    """Key -> an earlier key that has the same tensor."""
    first: dict[tuple[Any, ...], str] = {}
    same = {}
    for key, value in module.state_dict(keep_vars=True).items():
        if not hasattr(value, "data_ptr") or value.numel() == 0:
            continue
        identity = (value.data_ptr(), tuple(value.shape), tuple(value.stride()), str(value.dtype))
        if identity in first:
            same[key] = first[identity]
        first.setdefault(identity, key)
    return same


def _named_otherwise(receipt: Receipt, same: Mapping[str, str]) -> dict[str, str]:
    """Key -> why it was left out, for keys of tensors that were read by another key."""
    groups: dict[str, list[str]] = {}
    for key, first in same.items():
        groups.setdefault(first, [first]).append(key)
    read = {row["key"] for row in receipt.tensors}
    return {
        key: f"the same tensor as {found_keys[0]}"
        for keys in groups.values()
        if (found_keys := [key for key in keys if key in read])
        for key in keys
        if key in receipt.ignored
    }


def _carry_facts(model: keras.Model, receipt: Receipt, module: Any) -> None:
    """Lets the model carry the preprocessing and the classes that its source says."""
    facts = source_facts(module)
    output = model.outputs[0].shape[-1]
    classes = facts.classes if facts.classes and len(facts.classes) == output else None
    notes = [note for note in facts.notes if "classes" not in note or classes]
    if facts.preprocessing and len(facts.preprocessing["mean"]) == model.inputs[0].shape[-1]:
        tfseg.set_metadata(model, preprocessing=facts.preprocessing)
        receipt.preprocessing = facts.preprocessing
    else:
        notes = [note for note in notes if "preprocessing" not in note]
    if classes:
        tfseg.set_metadata(model, classes=classes)
    receipt.notes += notes
