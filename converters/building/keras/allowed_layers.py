"""Which layers of a Keras file are built: those of Keras that compute, and nothing that is or fetches code."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from converters.errors import ConversionError
from converters.reading.keras.configuration import LayerGraph

# Layers that hold a program, or a path to one or to other files.
_CODE = {
    "Lambda": "Python code is its function",
    "TFSMLayer": "it runs a SavedModel",
    "TorchModuleWrapper": "it holds a pickled torch module",
    "JaxLayer": "it runs a function of JAX",
    "FlaxLayer": "it runs a module of Flax",
    "StringLookup": "it may read a file",
    "IntegerLookup": "it may read a file",
    "TextVectorization": "it reads text",
}
# Packages whose classes a configuration may name; "builtins" for plain functions of Keras.
_PACKAGES = ("keras", "tf_keras", "builtins", "tensorflow.python.keras", "tensorflow.keras")
_MOST_NAMED = 4


def require_plain_layers(config: Mapping[str, Any], graph: LayerGraph | None) -> LayerGraph:
    """The calls of a model's layers, if all are layers of Keras.

    Args:
        config: configuration of the model, with `class_name` and `config`.
        graph: its calls; None for a model that is code.
    Raises:
        ConversionError: a model that is code; layers that are, or that are no layers of Keras; by their names.
    """
    if graph is None:
        raise ConversionError(
            f"its model is code that is not in the file: the class {str(config.get('class_name'))[:80]!r}. Only models "
            "of layers can be built: functional and Sequential ones. Rebuild it as keras.Model(inputs, outputs), load "
            "the weights into that one, and save it."
        )
    if strange := list(dict.fromkeys(_strange(config))):
        named = ", ".join(strange[:_MOST_NAMED]) + (f" and {len(strange) - _MOST_NAMED} more" if strange[4:] else "")
        raise ConversionError(
            f"its model has layers that are not built, since they are no plain layers of Keras: {named}. Replace them "
            "by layers of Keras that compute the same, in the code that made the model, and save it again."
        )
    return graph


def _strange(entry: object) -> Iterator[str]:
    """The layers anywhere in a configuration that are code, each with the reason."""
    if isinstance(entry, list):
        for part in entry:
            yield from _strange(part)
    if not isinstance(entry, Mapping):
        return
    kind, inner = entry.get("class_name"), entry.get("config")
    if isinstance(kind, str) and kind not in _REFERENCES and (why := _reason(kind, entry)):
        name = inner.get("name") if isinstance(inner, Mapping) else None
        yield f"{name!r} of the class {kind} ({why})" if isinstance(name, str) else f"the class {kind} ({why})"
    for key, part in entry.items():
        if key != "compile_config":  # losses and optimizers are not read
            yield from _strange(part)


def _reason(kind: str, entry: Mapping[str, Any]) -> str:
    """Why a class is no plain one of Keras; "" if it is."""
    module, registered = entry.get("module"), entry.get("registered_name")
    named = registered if isinstance(registered, str) else kind
    if kind in _CODE:
        return _CODE[kind]
    if ">" in named:
        return "" if named.startswith("tfseg>") else "a class of its author"
    if isinstance(module, str):
        known = f"{module}.".startswith(tuple(f"{package}." for package in _PACKAGES))
        return "" if known else f"of {module}"
    if "module" in entry:
        return "a class of its author"
    is_layer = "inbound_nodes" in entry or (isinstance(entry.get("config"), Mapping) and "trainable" in entry["config"])
    return "no layer of Keras" if is_layer and not (hasattr(keras.layers, kind) or kind in _OLD) else ""


_REFERENCES = {"__keras_tensor__", "__slice__", "__tuple__", "__numpy__", "__tensor__", "__ellipsis__", "__typespec__"}
# Names of Keras 1 and 2, and of the models inside.
_OLD = frozenset(
    "Functional Model Sequential TFOpLambda SlicingOpLambda BatchNormalizationV1 BatchNormalizationV2 "
    "SyncBatchNormalization TensorFlowOpLayer Merge Convolution2D AtrousConvolution2D AtrousConv2D Deconvolution2D "
    "Convolution2DTranspose DepthwiseConvolution2D MaxPool2D AvgPool2D GlobalAvgPool2D GlobalMaxPool2D".split()
)
