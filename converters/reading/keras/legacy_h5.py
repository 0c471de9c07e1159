"""Keras's older HDF5 files: weights (`save_weights` until Keras 2, the files of keras.applications) and whole models.

Each layer has a group, whose attribute `weight_names` lists its datasets by their scopes: `block1_conv1/kernel:0`.
Keras 1 wrote `block1_conv1_W:0`. A model inside the model is one layer with all of its weights.

Reference: https://keras.io/api/models/model_saving_apis/weights_saving_and_loading/
"""

import collections
import re
from collections.abc import Iterator, Sequence
from typing import Any

from converters.errors import ConversionError
from converters.reading import hdf5
from converters.reading.keras import configuration
from converters.reading.tensors import AnyTensor

_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}  # a variance!
_BESIDE = ("model_weights", "optimizer_weights")
_TOP = "top_level_model_weights"
_CONFIG = "model_config"


NamedWeight = tuple[tuple[str, ...], str, str, AnyTensor]
"""Names of the models around a layer, the layer, the variable, and its tensor."""


def recognizes(file: hdf5.Group) -> bool:
    """Whether a file in HDF5 has such a list of layers."""
    return _listing(file) is not None


def load(file: hdf5.Group, data: memoryview) -> dict[str, AnyTensor | str | None]:
    """The tensors by "layer/variable", and what stands beside them in the file: versions as texts, others as None.

    Args:
        file: the open file; `recognizes(file)` is true.
        data: bytes of the file.
    Raises:
        ConversionError: a layer or dataset that is listed and not there, or two of one name.
    """
    group = _listing(file) or file
    weights: list[NamedWeight] = []
    for layer in [*(hdf5.names(group, "layer_names") or ()), *([_TOP] if hdf5.child(group, _TOP) else [])]:
        weights += _layer(group, layer, data)
    beside = {key: None for key in _BESIDE[1:] if hdf5.child(file, key)}
    # As Keras does, the list of the layers is asked first: `save_weights` writes nothing elsewhere.
    versions = {key: hdf5.text(group, key) or hdf5.text(file, key) for key in ("keras_version", "backend")}
    return name_weights(weights) | beside | {key: value for key, value in versions.items() if value}


def load_config(file: hdf5.Group) -> dict[str, Any] | None:
    """The configuration in the file of a whole model, or None.

    Args:
        file: the open file.
    Raises:
        ConversionError: a configuration that is not one.
    """
    text = hdf5.text(file, _CONFIG)
    return None if text is None else configuration.parse(text, f"attribute {_CONFIG}")


def name_weights(weights: Sequence[NamedWeight]) -> dict[str, AnyTensor]:
    """The tensors by "layer/variable".

    Where two models inside have a layer of one name, the models' names come before it.

    Args:
        weights: tensors with their names.
    Raises:
        ConversionError: two weights that have the same name nevertheless.
    """
    short = collections.Counter((layer, variable) for _, layer, variable, _ in weights)
    tensors: dict[str, AnyTensor] = {}
    for around, layer, variable, tensor in weights:
        key = "/".join([*(around if short[layer, variable] > 1 else ()), layer, variable])
        if key in tensors:
            raise ConversionError(f"holds two weights of the name {key!r}; it is ambiguous which one is meant.")
        tensors[key] = tensor
    return tensors


def _listing(file: hdf5.Group) -> hdf5.Group | None:
    """The group that lists the layers: the file itself, or one in the file of a whole model."""
    groups = (file, hdf5.child(file, _BESIDE[0]))
    listing = (group for group in groups if isinstance(group, hdf5.Group))
    return next((group for group in listing if hdf5.names(group, "layer_names") is not None), None)


def _layer(group: hdf5.Group, layer: str, data: memoryview) -> Iterator[NamedWeight]:
    node = hdf5.child(group, layer)
    weights = hdf5.names(node, "weight_names") if isinstance(node, hdf5.Group) else None
    if weights is None or not isinstance(node, hdf5.Group):
        raise ConversionError(f"lists the layer {layer!r} and has no group of weights for it; the file is damaged.")
    paths = {weight: [part for part in weight.split("/") if part] for weight in weights}
    inner = len({tuple(path[:-1]) for path in paths.values()}) > 1 or layer == _TOP
    if len(paths) < len(weights) or [] in paths.values():
        raise ConversionError(f"lists a weight of the layer {layer!r} twice, or one without a name; it is damaged.")
    for weight, (*scope, name) in paths.items():
        dataset = hdf5.child(node, weight)
        if not isinstance(dataset, hdf5.Dataset):
            raise ConversionError(f"lists the weight {weight!r} of the layer {layer!r} and does not hold it.")
        # A layer has the name of its group, whatever scope it was built in. In a model inside, scopes name the layers.
        inner_layer = scope[-1] if inner and scope else layer
        yield (layer, *scope[:-1]), inner_layer, _variable(inner_layer, name), hdf5.tensor(dataset, data)


def _variable(layer: str, name: str) -> str:
    name = name.partition(":")[0]
    if not name.startswith(f"{layer}_"):
        return name
    name = re.sub(r"_\d+$", "", name.removeprefix(f"{layer}_"))
    return _KERAS_1.get(name, name)
