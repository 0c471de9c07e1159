"""What decides the result of a training, as plain values: written into the run's folder, and compared on resuming."""

import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import keras

from tfseg.data.datasets import Dataset, Pair
from tfseg.data.masks import MaskSource
from tfseg.training.recipes import BATCH_NORM_ALIASES, Recipe

_PACKAGES = ("tfseg", "keras", "tensorflow", "numpy")
# Settings that stood beside the recipe in the configurations of version 0.1.
_ONCE_BESIDE_RECIPE = ("class_weights", "clipnorm", "accumulate", "dtype")
# Settings that are written for the reader. Another number of steps is a longer or a shorter training.
_NOT_COMPARED = ("versions.", "model.weights_from", "steps", "epochs")
_SHOWN = 3  # differences in a message


def configuration(
    recipe: Recipe, dataset: Dataset, *, epochs: int, steps: int, seed: int, model: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Everything that decides the result of a training, as plain values.

    Args:
        recipe: the `Recipe`.
        dataset: `Dataset` to train on.
        epochs: passes over the data.
        steps: number of steps of the whole training.
        seed: seed of order, augmentation and dropout.
        model: what is known of the model, see `described` and `train`; None if it is not known yet.
    """
    names = "\n".join(pair.image.name for pair in dataset.pairs)
    labels, photographs = dataset.labels, dataset.photographs
    values: dict[str, Any] = {
        "recipe": recipe.as_config(),
        "dataset": dataset.name,
        "pairs": len(dataset.pairs),
        "photographs": _hash(names),
        "masks": _hash("\n".join(_place_of_mask(pair) for pair in dataset.pairs)),
        "num_classes": dataset.num_classes,
        "classes": dataset.classes,
        "colors": dataset.colors,
        # Lists, because the entries of a dictionary are compared one by one, where both have them.
        "mask_values": labels.ids and sorted(labels.ids.items()),
        "void": sorted(labels.void),
        "palette": labels.palette and sorted(labels.palette.items()),
        "exif": photographs.exif,
        "image_bits": photographs.bits,
        "channels": photographs.channels,
        "no_data": str(photographs.no_data),  # NaN differs from itself
        "steps": steps,
        "epochs": epochs,
        "seed": seed,
        "versions": {name: _version(name) for name in _PACKAGES},
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
    return {"layers": len(model.layers), "parameters": model.count_params(), "structure": _hash(repr(layers))}


def differences(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What two configurations disagree on, in one line; empty if they agree.

    A setting that an older version did not write says nothing. A part of the recipe that it did not know has its
    default there.

    Args:
        existing: configuration of the run.
        wanted: configuration of the call.
    """
    there = _settings({"recipe": Recipe().as_config()} if "recipe" in existing else {}) | _settings(existing)
    here = _settings(wanted)
    differing = [
        key
        for key in sorted(here.keys() & there.keys())
        if here[key] != there[key] and not key.startswith(_NOT_COMPARED)
    ]
    said = [f"{key} is {_short(there[key])} there and {_short(here[key])} here" for key in differing[:_SHOWN]]
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


def _place_of_mask(pair: Pair) -> str:
    """Where a mask lies, seen from its photograph, so that a data set may be moved; "" for a mask that is no file."""
    if isinstance(pair.mask, MaskSource):
        return ""
    try:
        place = pathlib.Path(os.path.relpath(pair.mask, pair.image.parent))
    except ValueError:  # another drive of Windows
        place = pathlib.Path(pair.mask.name)
    return "/".join(part for part in place.parts if part != os.pardir)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a source tree, or a package of another name
        return "unknown"


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
