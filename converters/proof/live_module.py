"""Whether a filled model computes what the live torch module does that its weights came from: both are run."""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from converters.families import Family, FamilyNetwork

# Of the two images. The second one drives squeeze-and-excite into its bounds, where rounding grows.
_TOLERANCES = (1e-4, 1e-2)
_SIZES = ((64, 97), (64, 96), (224, 224))  # an odd side, where rounding shows; sides that strict networks want
_CONTRAST = 60.0  # of the second image: clipped activations show
_RESULTS = ("out", "logits")


class LiveComparison(NamedTuple):
    """What running a module showed.

    Attributes:
        difference: why the model is not the module, in words; "" if it is, in what was compared.
        failure: why the module's result could not be compared; "" if it was.
        notes: sentences for the receipt.
    """

    difference: str
    failure: str
    notes: list[str]


class _Run(NamedTuple):
    image: np.ndarray
    outputs: list[tuple[str, np.ndarray]]
    unlike: bool  # whether there are no results, or results that the family knows not to be the network's
    layers: dict[str, tuple[str, np.ndarray]]


def compare_live(
    module: Any, model: keras.Model, family: Family, network: FamilyNetwork, names: Mapping[str, str], *, whole: bool
) -> LiveComparison:
    """Runs a module and the filled model on the same random images. The module is left as it was.

    Args:
        module: a live torch module.
        model: model with the module's weights.
        family: family of the module.
        network: network of that family that the module is.
        names: name of each module with tensors -> name of the model's layer.
        whole: whether the model has the module's result; else the layers that both have are compared.
    """
    runs, failure = _run(module, names, family, _channels(model))
    if runs is None:
        return LiveComparison("", failure, [])
    built = {layer.name for layer in model.layers}
    taps = [layer for layer in dict.fromkeys([*names.values(), "logits"]) if layer in built]
    outputs = _as_list(model.output)
    tapped = keras.Model(model.input, [*outputs, *(model.get_layer(name).output for name in taps)])
    results = [ops.convert_to_numpy(value) for value in _as_list(tapped(runs.image, training=False))]
    values = dict(zip(taps, results[len(outputs) :], strict=True))
    first = _first_layer(values, runs)
    if not whole or runs.unlike:
        if first:
            return LiveComparison(f"the first module with another result is {first}", "", [])
        compared = sum(layer in values for layer in runs.layers)
        if not compared:
            return LiveComparison("", "none of its modules with weights was called when it was run", [])
        if whole and (words := _probabilities_difference(results[0], values, runs)):
            return LiveComparison(words, "", [])
        note = f"Its {compared} layers with weights were run and compared with the module; the module's end was not"
        if whole and runs.outputs:
            note = f"Its {compared} layers with weights, and the logarithms of probabilities at its end, were compared"
        return LiveComparison("", "", [note])
    if not runs.outputs:
        return LiveComparison("", "it returns no tensor", [])
    notes = []
    for ours, (name, expected) in zip(results[: len(outputs)], runs.outputs, strict=False):
        words, note = _result_difference(ours, name, expected, model, values, family)
        notes += [note] if note else []
        if words:
            where = f"; the first module with another result is {first}" if first else "; all its layers agree"
            return LiveComparison(f"{words}{where}", "", [])
    height, width = runs.image.shape[1:3]
    worst = "The module was run: on random images of {} x {} pixels its result is the model's"
    return LiveComparison("", "", [worst.format(height, width), *notes])


def _result_difference(
    ours: np.ndarray,
    name: str,
    expected: np.ndarray,
    model: keras.Model,
    values: Mapping[str, np.ndarray],
    family: Family,
) -> tuple[str, str]:
    """`(difference, note)` of one result."""
    expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
    if expected.shape != ours.shape:
        small = values.get("logits")
        if small is not None and small.shape == expected.shape and family.ends_at_logits:
            note = "The module ends at its logits, which the network enlarges to the size of the image"
            return _value_difference(small, name, expected), note
        if [side for side in expected.shape if side > 1] == [side for side in ours.shape if side > 1]:
            note = "The module's result has further axes of size 1"
            return _value_difference(ours, name, expected.reshape(ours.shape)), note
        return f"its {name} has the shape {expected.shape} (channels last), the network's {ours.shape}", ""
    return _value_difference(ours, name, expected), ""


def _probabilities_difference(ours: np.ndarray, values: Mapping[str, np.ndarray], runs: _Run) -> str:
    """How results differ from the logarithms of the model's probabilities, and the logits before they are enlarged."""
    for index, (name, expected) in enumerate(runs.outputs):
        wanted = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
        rows, columns = ours.shape[1:3]
        result = values.get("logits") if index else ops.convert_to_numpy(ops.log_softmax(ours, axis=-1))
        if wanted.ndim == 4 and not index:
            wanted = wanted[:, :rows, :columns]  # of a map that can be larger than the image
        if result is None or wanted.shape != result.shape:
            return f"its {name} has the shape {expected.shape}, unlike the public network's"
        if words := _value_difference(result, name, wanted):
            return words
    return ""


def _value_difference(ours: np.ndarray, name: str, expected: np.ndarray) -> str:
    relative = _relative(ours, expected)
    return (
        "" if relative <= 1 else f"its {name} differs from the network's by {relative * _TOLERANCES[0]:.2g}, relatively"
    )


def _relative(ours: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative difference on any image, over what is allowed there."""
    worst = 0.0
    for result, wanted, tolerance in zip(ours, expected, _TOLERANCES, strict=True):
        scale = float(np.abs(wanted).max(initial=0))
        equal = (result == wanted) | (np.isnan(result) & np.isnan(wanted))
        difference = float(np.where(equal, 0, np.abs(result - wanted)).max(initial=0))
        relative = difference / scale if scale else difference
        worst = max(worst, relative / tolerance) if np.isfinite(relative) else np.inf
    return worst


def _first_layer(values: Mapping[str, np.ndarray], runs: _Run) -> str:
    for layer, (name, expected) in runs.layers.items():  # in the order in which the modules ran
        if layer not in values:
            continue
        ours = values[layer]
        expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
        if expected.size != ours.size:
            return f"{name} (of shape {expected.shape}; in the network {ours.shape})"
        if not _relative(ours.reshape(expected.shape), expected) <= 1:
            return name
    return ""


# ------------------------------------------------------------------------------------------------ running the module


def _run(module: Any, names: Mapping[str, str], family: Family, channels: int) -> tuple[_Run | None, str]:
    """`(results, why there are none)`."""
    failure = ""
    for height, width in _SIZES:
        try:
            return _run_once(module, names, family, _images(height, width, channels)), ""
        except Exception as error:  # the user's own code may raise anything
            failure = f"its forward could not be run: {type(error).__name__}: {str(error).strip()[:200]}"
    return None, failure


def _images(height: int, width: int, channels: int) -> np.ndarray:
    pixels = np.random.default_rng(0).normal(size=(2, height, width, channels))
    return (pixels * np.array([1.0, _CONTRAST])[:, None, None, None]).astype("float32")


def _run_once(module: Any, names: Mapping[str, str], family: Family, images: np.ndarray) -> _Run:
    import torch

    runnable = _bare(module)
    parameter = next((p for p in runnable.parameters() if p.is_floating_point()), None)
    if parameter is not None and parameter.dtype not in (torch.float32, torch.float64):
        runnable = copy.deepcopy(runnable).float()  # its own type rounds too much to compare
        parameter = next(runnable.parameters())
    tensor = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if parameter is not None:
        tensor = tensor.to(parameter.device, parameter.dtype)
    layers: dict[str, tuple[str, np.ndarray]] = {}

    def keep(name: str, output: Any) -> None:
        if hasattr(output, "detach"):
            layers.setdefault(names[name], (name, _array(output)))

    parts = {_plain_name(name): part for name, part in runnable.named_modules(remove_duplicate=False)}
    with _unchanged(runnable), torch.no_grad():
        hooks = [
            parts[name].register_forward_hook(lambda _part, _inputs, output, name=name: keep(name, output))
            for name in names
            if name in parts
        ]
        try:
            result = runnable(tensor)
        finally:
            for hook in hooks:
                hook.remove()
    nothing = isinstance(result, Mapping) and not result
    logarithms = family.outputs == slice(0)
    outputs = _outputs(result, dataclasses.replace(family, outputs=slice(None)) if logarithms else family)
    return _Run(images, outputs, nothing or logarithms, layers)


def _bare(module: Any) -> Any:
    """The module in torch.compile's and DataParallel's wrappers: those compute the same, elsewhere or slowly."""
    for _ in range(10):
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        if kind == "torch._dynamo.eval_frame.OptimizedModule":
            module = module._orig_mod
        elif kind.startswith("torch.nn.parallel.") and hasattr(module, "module"):
            module = module.module
        else:
            break
    return module


def _plain_name(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in ("module", "_orig_mod"))


@contextlib.contextmanager
def _unchanged(module: Any) -> Iterator[None]:
    """Evaluation mode inside; afterwards flags, buffers and random numbers are as they were."""
    import torch

    parts = list(module.modules())
    flags = [part.training for part in parts]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    devices = sorted({buffer.device.index or 0 for buffer in module.parameters() if buffer.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            for part in parts:  # not module.eval(): a class may do more in it, as merging weights
                part.training = False
            yield
        finally:
            for part, flag in zip(parts, flags, strict=True):
                part.training = flag
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


def _outputs(result: Any, family: Family) -> list[tuple[str, np.ndarray]]:
    """Name and array of each result, the main one first."""
    if isinstance(result, Mapping):
        named = {str(name): value for name, value in result.items() if hasattr(value, "detach")}
        first = next((name for name in _RESULTS if name in named), None)
        order = ([first] if first else list(named)[:1]) + (["aux"] if "aux" in named else [])
        return [(name, _array(named[name])) for name in order]
    if isinstance(result, Sequence):
        values = [value for value in result if hasattr(value, "detach")][family.outputs]
        return [(f"result {index}", _array(value)) for index, value in enumerate(values)]
    return [("result", _array(result))] if hasattr(result, "detach") else []


def _array(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().float().numpy())


def _channels(model: keras.Model) -> int:
    return int(model.inputs[0].shape[-1])


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
