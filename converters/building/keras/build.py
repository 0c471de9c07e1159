"""A whole Keras model in a file in, the same network as a flat Keras model out: checked, with a receipt."""

import hashlib
import os
from collections.abc import Iterator

import keras
import numpy as np

from converters.building.assemble import BuiltProgram
from converters.building.keras.allowed_layers import require_plain_layers
from converters.building.keras.flat_copy import FlatCopy, flat_copy, takes_any_size
from converters.building.keras.older_build import build_from_older, is_of_keras_3
from converters.building.keras.whole_models import (
    OF_HALF,
    TOLERANCE,
    augmentation_note,
    compare_models,
    load_whole,
    numbers,
    size_note,
)
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading import Checkpoint
from converters.reading.files import naming
from converters.reading.keras.configuration import read_graph
from converters.weights.receipts import Receipt

FAMILY = "Keras model"
"""What a receipt calls the family of a model that was rebuilt from a whole Keras model."""


def is_keras_model(source: Source) -> bool:
    """Whether a source is one file with a whole Keras model.

    Args:
        source: the opened source.
    """
    return len(source.checkpoints) == 1 and bool(source.checkpoints[0].keras_config)


def build_from_keras(source: Source, *, allow_nonfinite: bool = False) -> BuiltProgram:
    """The network of a whole Keras model as one flat model, without its optimizer.

    Keras loads the file in safe mode, after its configuration was searched for layers that are code.

    Args:
        source: source that `is_keras_model` knows.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: layers that are code or none of Keras, by their names; a file that Keras does not load; a copy
            that differs from it.
    """
    (checkpoint,) = source.checkpoints
    with naming(source.name):
        config = checkpoint.keras_config or {}
        graph = require_plain_layers(config, read_graph(config))
        # On the CPU, TensorFlow does not run channels-first layers: their network is rebuilt with the channels last.
        if not is_of_keras_3(checkpoint) or graph.data_format == "channels_first":
            return build_from_older(source, graph, allow_nonfinite=allow_nonfinite)
        original = load_whole(checkpoint.path)
        _checknumbers(original, allow_nonfinite)
        _require_all_tensors(checkpoint, original)
        free = takes_any_size(original)
        copy = flat_copy(original, any_size=free)
        receipt = _receipt(source, checkpoint, original, copy)
        if free and None not in original.inputs[0].shape[1:3]:
            receipt.notes.append(size_note(original.inputs[0].shape[1:3]))
        tolerance = OF_HALF if _half(original) else TOLERANCE
        receipt.parity = compare_models(
            original, copy.model, name=f"the file in Keras {keras.__version__}", tolerance=tolerance
        )
    return BuiltProgram(copy.model, receipt)


def _checknumbers(model: keras.Model, allow_nonfinite: bool) -> None:
    for variable in model.weights:
        if not allow_nonfinite and not np.isfinite(numbers(variable)).all():
            raise ConversionError(
                f"holds weights that cannot be used: {variable.path} is not finite. Fetch the file again; to import "
                "NaN and infinite weights anyway, pass allow_nonfinite=True (--allow_nonfinite)."
            )


def _marks(arrays: Iterator[tuple[str, np.ndarray]]) -> dict[str, list[str]]:
    """Digest of an array -> the names of those with these numbers, whatever their shapes."""
    marks: dict[str, list[str]] = {}
    for name, array in arrays:
        numbers = np.ascontiguousarray(array, "float32" if array.dtype.kind not in "biu" else "int64")
        marks.setdefault(hashlib.sha256(numbers.tobytes()).hexdigest(), []).append(name)
    return marks


def _require_all_tensors(checkpoint: Checkpoint, model: keras.Model) -> None:
    """Refuses a file whose tensors are not all in the model, or the reverse.

    Raises:
        ConversionError: naming those that are not.
    """
    file = _marks((key, checkpoint[key]) for key in checkpoint)
    weights = _marks((variable.path, numbers(variable)) for variable in _saved(model))
    lost = [name for mark, names in file.items() if mark not in weights for name in names]
    made = [name for mark, names in weights.items() if mark not in file for name in names]
    lost = [name for name in lost if "seed" not in name]
    if lost or made:
        raise ConversionError(
            f"Keras does not take all of its weights: {len(lost)} tensors of the file are in no layer "
            f"({', '.join(lost[:3]) or 'none'}), and {len(made)} weights of layers are not in the file "
            f"({', '.join(made[:3]) or 'none'}). The configuration and the weights in the file contradict each other."
        )


def _saved(model: keras.Model) -> list[keras.Variable]:
    """The variables that files hold: not the states of random generators."""
    return [variable for variable in model.weights if "seed_generator" not in variable.path]


def _receipt(source: Source, checkpoint: Checkpoint, original: keras.Model, copy: FlatCopy) -> Receipt:
    receipt = Receipt(source.name, copy.model.name, FAMILY, original.name, dtype="float32")
    receipt.files = [
        {"path": str(file), "size": os.path.getsize(file), "sha256": source.digest(file, "sha256")}
        for file in checkpoint.files
    ]
    marks = _marks((key, checkpoint[key]) for key in checkpoint)
    for name, layer in copy.layers.items():
        made = copy.model.get_layer(name) if hasattr(layer, "weights") else None
        for variable in getattr(made, "weights", ()):
            if "seed_generator" in variable.path:
                continue
            (mark,) = _marks(iter([("", numbers(variable))]))
            key = _own_key(f"{copy.names[name]}/{variable.name}", marks.get(mark, []))
            receipt.tensors.append(
                {
                    "key": key,
                    "shape": list(checkpoint.shapes[key]) if key in checkpoint.shapes else list(variable.shape),
                    "dtype": str(checkpoint.dtypes[key]) if key in checkpoint.dtypes else variable.dtype,
                    "path": variable.path,
                    "layout": "as it is",
                }
            )
        receipt.steps.append(
            {"step": copy.names[name], "operation": type(layer).__name__, "module": copy.names[name], "layers": [name]}
        )
    version = checkpoint.extras.get("keras_version")
    receipt.notes.append(
        f"rebuilt layer by layer from the model that Keras {keras.__version__} loads"
        + (f"; Keras {version} wrote it" if version else "")
    )
    if any("/" in path for path in copy.names.values()):
        receipt.notes.append("models inside the model are dissolved: their layers are layers of the model")
    if copy.augmenting:
        receipt.notes.append(augmentation_note(copy.augmenting))
    if "optimizer" in checkpoint.extras or "optimizer_weights" in checkpoint.extras:
        receipt.notes.append("its optimizer is left out")
    if half := _half(original):
        receipt.notes.append(f"its layers compute in {half}; the model computes in float32, with the same weights")
    return receipt


def _own_key(wanted: str, names: list[str]) -> str:
    """The name in the file of a variable: the one with its numbers whose name is most like it."""
    return min(names, key=lambda name: (name != wanted, abs(len(name) - len(wanted))), default=wanted)


def _half(model: keras.Model) -> str:
    """The names of other precisions than single that layers compute in."""
    names = {layer.compute_dtype for layer in model._flatten_layers() if hasattr(layer, "compute_dtype")}
    return " and ".join(sorted(name for name in names if name in ("float16", "bfloat16", "float64")))
