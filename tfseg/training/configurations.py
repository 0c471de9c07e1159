"""What decides the result of a training, as plain values: written into the run's folder, and compared on resuming."""

import importlib.metadata
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import keras

from tfseg.data.datasets import Dataset
from tfseg.training.data_facts import HASHED, data_facts, text_hash
from tfseg.training.recipes import BATCH_NORM_ALIASES, Recipe
from tfseg.types import Size

_PACKAGES = ("tfseg", "keras", "tensorflow", "numpy")
_SHOWN_AS = {"backend": "the backend (KERAS_BACKEND)"}
_FIRST_BACKEND = "tensorflow"  # of the runs whose configurations do not name one
# Settings that stood beside the recipe in the configurations of version 0.1.
_ONCE_BESIDE_RECIPE = ("class_weights", "clipnorm", "accumulate", "dtype")
# Settings that are written for the reader. Another number of steps is a longer or a shorter training.
_NOT_COMPARED = ("versions.", "model.weights_from", "steps", "epochs")
# Hashes -> the setting that says what has it.
_NAMES = {"model.weights": "model.weights_from"}
_SHOWN = 3  # differences in a message


def configuration(
    recipe: Recipe,
    dataset: Dataset,
    *,
    epochs: int,
    steps: int,
    seed: int,
    model: Mapping[str, Any] | None,
    validation: Dataset | None = None,
    validation_window: Size | None = None,
) -> dict[str, Any]:
    """Everything that decides the result of a training, as plain values.

    Args:
        recipe: the `Recipe`.
        dataset: `Dataset` to train on.
        epochs: passes over the data.
        steps: number of steps of the whole training.
        seed: seed of order, augmentation and dropout.
        model: what is known of the model, see `described` and `train`; None if it is not known yet.
        validation: `Dataset` to validate on, or None.
        validation_window: `(height, width)` of the window in validation, or None.
    """
    values: dict[str, Any] = {
        "recipe": recipe.as_config(),
        **data_facts(dataset),
        "validation": validation and {**data_facts(validation), "window": validation_window},
        "steps": steps,
        "epochs": epochs,
        "seed": seed,
        "backend": keras.config.backend(),
        "versions": {name: _version(name) for name in dict.fromkeys((*_PACKAGES, keras.config.backend()))},
    }
    if model is not None:
        values["model"] = dict(model)
    plain: dict[str, Any] = json.loads(json.dumps(values, default=_plain))
    return plain


def described(model: keras.Model) -> dict[str, Any]:
    """What tells a model from another one, whatever its layers are called: sizes, and a hash of the layers' kinds.

    Args:
        model: any Keras model.

    Example:
        >>> model = tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3)
        >>> known = tfseg.training.configurations.described(model)
        >>> known["layers"] == len(model.layers)
        True
    """
    layers = [
        (type(layer).__name__, [tuple(variable.shape) for variable in layer.weights])
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    return {"layers": len(model.layers), "parameters": model.count_params(), "structure": text_hash(repr(layers))}


def differences(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What two configurations disagree on, in one line; empty if they agree.

    A setting that an older version did not write says nothing, nor does a validation that one of them does not have. A
    part of the recipe that it did not know has its default there.

    Args:
        existing: configuration of the run.
        wanted: configuration of the call.
    """
    known = {"recipe": Recipe().as_config(), "backend": _FIRST_BACKEND} if "recipe" in existing else {}
    there = _settings(known) | _settings(existing)
    here = _settings(wanted)
    differing = [
        key
        for key in sorted(here.keys() & there.keys())
        if here[key] != there[key] and not key.startswith(_NOT_COMPARED)
    ]
    said = [_said(key, there, here) for key in differing[:_SHOWN]]
    if len(differing) > _SHOWN:
        said.append(f"and {', '.join(differing[_SHOWN:])} differ, too")
    return "; ".join(said)


def _settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration as a flat dictionary with keys such as "recipe.batch_size", as this version writes it."""
    settings: dict[str, Any] = {}
    for key, value in json.loads(json.dumps(config)).items() if not prefix else config.items():
        if not prefix and key in _ONCE_BESIDE_RECIPE:
            key = f"recipe.{key}"
        if isinstance(value, dict):
            settings |= _settings(value, f"{prefix}{key}.")
        else:
            settings[f"{prefix}{key}"] = BATCH_NORM_ALIASES.get(value, value) if key == "batch_norm" else value
    return settings


def _said(key: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    if key.rpartition(".")[2] in HASHED and None not in (there[key], here[key]):
        return f"{key} are others there than here"
    return f"{_SHOWN_AS.get(key, key)} is {_shown(key, there)} there and {_shown(key, here)} here"


def _shown(key: str, settings: Mapping[str, Any]) -> str:
    """A setting as a reader knows it: weights by the name of their file, with the hash."""
    value, name = settings[key], settings.get(_NAMES.get(key, ""))
    if name and re.fullmatch(r"[0-9a-f]{32}", str(value)):
        return f"{pathlib.PurePath(name).name} ({value[:8]})"
    return _short(value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a source tree, or a package of another name
        return "unknown"


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
