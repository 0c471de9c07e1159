"""A whole model of Keras 1 or 2 in a file in, the same network in Keras 3 out: rebuilt, filled, and compared."""

import importlib
import importlib.util
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from converters.building.assemble import BuiltProgram
from converters.building.keras.flat_copy import takes_any_size
from converters.building.keras.older_model import OlderModel, build_older
from converters.building.keras.older_options import HARD_SIGMOID, activation_name
from converters.building.keras.whole_models import TOLERANCE, augmentation_note, compare_models, load_whole, size_note
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading import Checkpoint
from converters.reading.keras.configuration import LayerCall, LayerGraph
from converters.weights.receipts import Receipt

FAMILY = "Keras 2 model"
"""What a receipt calls the family of a model that was rebuilt from a configuration of Keras 1 or 2."""


# Variables that Keras 2 called otherwise.
_OTHER_NAMES = {("DepthwiseConv2D", "kernel"): ("depthwise_kernel",)}


def build_from_older(source: Source, graph: LayerGraph, *, allow_nonfinite: bool = False) -> BuiltProgram:
    """The network of a whole model of Keras 1 or 2, flat and with its channels last.

    The model is compared with what Keras 3 loads, where it loads the file and means the same by it; else with tf_keras,
    if that is installed.

    Args:
        source: the opened file, with its kernels in Keras 3's order.
        graph: calls of its layers.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: a layer that is not rebuilt, by its name; weights that do not fit; a model that differs.
    """
    (checkpoint,) = source.checkpoints
    version = str(checkpoint.extras.get("keras_version") or "")
    _refuse_old_resizes(graph, version)
    name = _model_name(checkpoint.keras_config or {})
    form = {"keras_3": is_of_keras_3(checkpoint)}
    older = build_older(graph, name, **form)
    free = takes_any_size(older.model)
    if free:
        older = build_older(graph, name, any_size=True, **form)
    receipt = Receipt(source.name, older.model.name, FAMILY, name, dtype="float32")
    _fill(source, older, receipt, allow_nonfinite)
    receipt.files = [
        {"path": str(file), "size": file.stat().st_size, "sha256": source.digest(file, "sha256")}
        for file in checkpoint.files
    ]
    receipt.notes += [
        f"rebuilt from the configuration in the file, which Keras {version or 'of unknown version'} wrote",
        *source.notes,
    ]
    if any(older.moved_inputs):
        receipt.notes.append("the file has its channels first, the model last: images are (height, width, channels)")
    sizes = [shape for shape in graph.shapes if shape is not None]
    first = sizes[0] if sizes else ()
    stated = (first[2:] if older.moved_inputs[0] else first[1:3]) if len(first) == 4 else ()
    if free and stated and None not in stated:
        receipt.notes.append(size_note(stated))
    if any(call.around for call in graph.calls):
        receipt.notes.append("models inside the model are dissolved: their layers are layers of the model")
    if older.augmenting:
        receipt.notes.append(augmentation_note(older.augmenting))
    if "optimizer" in checkpoint.extras or "optimizer_weights" in checkpoint.extras:
        receipt.notes.append("its optimizer is left out")
    _compare(source, older, graph, receipt)
    return BuiltProgram(older.model, receipt)


def is_of_keras_3(checkpoint: Checkpoint) -> bool:
    """Whether Keras 3 wrote a file.

    Args:
        checkpoint: the file.
    """
    return str(checkpoint.extras.get("keras_version") or "").startswith("3")


def _model_name(config: Mapping[str, Any]) -> str:
    inner = config.get("config")
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return str(name or config.get("class_name") or "network").lower()


def _refuse_old_resizes(graph: LayerGraph, version: str) -> None:
    """Refuses bilinear upsampling of a Keras under which TensorFlow 1 may have computed it, in another way."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    if numbers >= [2, 4]:
        return
    for call in graph.calls:
        if call.kind == "UpSampling2D" and call.options.get("interpolation", "nearest") != "nearest":
            raise ConversionError(
                f"its layer {call.name!r} (UpSampling2D) has interpolation={call.options['interpolation']!r}, which "
                f"TensorFlow 1 and 2 compute in two ways. The file does not say which was meant (Keras {version or '?'}"
                "). Load the model in the Keras that you use, and save it with Keras 2.4 or later."
            )


def _fill(source: Source, older: OlderModel, receipt: Receipt, allow_nonfinite: bool) -> None:
    """Gives the layers their weights; the receipt lists them.

    Raises:
        ConversionError: tensors that are missing, that are left over, of other shapes, or not finite.
    """
    left, missing, shapes = dict.fromkeys(source), [], []
    for name, call in older.layers.items():
        layer = older.model.get_layer(name)
        for index, variable in enumerate(_saved(layer)):
            key = _key(source, call, variable.name, index)
            if key is None:
                missing.append("/".join((*call.around, call.name, variable.name)))
                continue
            left.pop(key, None)
            array = np.asarray(source[key], "float32" if variable.dtype.startswith("float") else variable.dtype)
            if call.kind == "PReLU" and array.shape != tuple(variable.shape) and array.ndim == 3:
                array = array.transpose(1, 2, 0)
            if array.shape != tuple(variable.shape):
                shapes.append(f"{key} ({list(array.shape)} in the file, {list(variable.shape)} in the layer)")
                continue
            if not allow_nonfinite and not np.isfinite(array).all():
                raise ConversionError(
                    f"holds weights that cannot be used: {key} is not finite. Fetch the file again; to import NaN and "
                    "infinite weights anyway, pass allow_nonfinite=True (--allow_nonfinite)."
                )
            variable.assign(array)
            receipt.tensors.append(
                {
                    "key": key,
                    "shape": list(source.shapes[key]),
                    "dtype": str(source.dtypes[key]),
                    "path": variable.path,
                    "layout": "as it is",
                }
            )
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
        receipt.steps.append({"step": call.name, "operation": call.kind, "module": call.name, "layers": [name]})
    if missing or left or shapes:
        parts = (
            ("the file lacks", missing),
            ("no layer has", list(left)),
            ("of another shape are", shapes),
        )
        listed = "; ".join(
            f"{words} {len(names)}: {', '.join(names[:3])}" + (", ..." if len(names) > 3 else "")
            for words, names in parts
            if names
        )
        raise ConversionError(
            f"its configuration and its weights contradict each other: {listed}. Save the model again with the Keras "
            "that wrote it."
        )


def _saved(layer: keras.layers.Layer) -> list[keras.Variable]:
    return [variable for variable in layer.weights if "seed_generator" not in variable.path]


def _key(source: Source, call: LayerCall, variable: str, index: int) -> str | None:
    """The key of a layer's weight: with the names of the models around, or alone; by name, or by number."""
    places = ["/".join((*call.around, call.name)), call.name, *call.around[:1]]
    names = (variable, *_OTHER_NAMES.get((call.kind, variable), ()), str(index))
    keys = [f"{place}/{name}" for place in places for name in names]
    return next((key for key in keys if key in source.shapes), None)


def _compare(source: Source, older: OlderModel, graph: LayerGraph, receipt: Receipt) -> None:
    """Compares the model with the file in a Keras that runs it; the receipt says so if there is none.

    Raises:
        ConversionError: they differ.
    """
    (checkpoint,) = source.checkpoints
    version = str(checkpoint.extras.get("keras_version") or "0")
    other = version.startswith(("0", "1")) or checkpoint.extras.get("backend") == "theano"
    other = other or (_has_hard_sigmoid(graph) and not is_of_keras_3(checkpoint))
    libraries: list[Any] = [] if other else [keras]
    if importlib.util.find_spec("tf_keras") is not None:
        libraries.append(importlib.import_module("tf_keras"))
    for library in libraries:
        try:
            original = load_whole(checkpoint.path, library)
        except ConversionError:  # the next one may
            continue
        name = f"the file in {library.__name__} {library.__version__}"
        receipt.parity = compare_models(
            original,
            older.model,
            name=name,
            tolerance=TOLERANCE,
            moved=(older.moved_inputs, older.moved_outputs),
            run=_compiled(original) if any(older.moved_inputs) else None,
        )
        return
    receipt.notes.append(
        "nothing was compared: Keras 3 does not load the file, or means something else by it. Install tf_keras to "
        "compare with Keras 2"
    )


def _has_hard_sigmoid(graph: LayerGraph) -> bool:
    """Whether a layer has an activation by which Keras 3 means another function."""
    return any(activation_name(call.options.get("activation")) == HARD_SIGMOID for call in graph.calls)


def _compiled(model: Any) -> Any:
    """Runs a channels-first model on the CPU, which only compiled code does."""
    import tensorflow as tf

    function = tf.function(lambda *images: model(images[0] if len(images) == 1 else images), jit_compile=True)
    return lambda images: function(*map(tf.constant, images))
