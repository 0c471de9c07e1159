"""What a live module says of its preprocessing and classes, in the words of timm, transformers and torchvision."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_PLACEHOLDER = re.compile(r"(?i)(label|class)[_ ]?\d+|\d+")
_CHANNELS = 3


class SourceFacts(NamedTuple):
    """What a module says beside what it computes.

    Attributes:
        preprocessing: `channel_order`, `divisor`, `mean` and `std`; None: unknown.
        classes: names of the classes; None: unknown.
        notes: where they were found, as sentences for a receipt.
    """

    preprocessing: dict[str, Any] | None = None
    classes: list[str] | None = None
    notes: tuple[str, ...] = ()


def source_facts(module: Any) -> SourceFacts:
    """The preprocessing and the classes that a module's own attributes say.

    Args:
        module: live torch module.
    """
    preprocessing = classes = None
    notes = []
    for name, read in (("pretrained_cfg", _timm), ("weights", _torchvision)):
        value = getattr(module, name, None)
        if preprocessing is None and value is not None and (stated := read(value)):
            preprocessing = stated
            notes.append(f"its preprocessing is what its attribute {name} says")
    for name, read_classes in (("config", _id2label), ("pretrained_cfg", _label_names), ("weights", _categories)):
        value = getattr(module, name, None)
        if classes is None and value is not None and (names := read_classes(value)):
            classes = names
            notes.append(f"its classes are those of its attribute {name}")
    return SourceFacts(preprocessing, classes, tuple(notes))


def _entry(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)


def _preprocessing(order: str, divisor: float, mean: Any, std: Any) -> dict[str, Any] | None:
    """The record that a model carries; None for other numbers than three of each."""
    try:
        means, deviations = [float(number) for number in mean], [float(number) for number in std]
    except (TypeError, ValueError):
        return None
    if len(means) != _CHANNELS or len(deviations) != _CHANNELS or not all(number > 0 for number in deviations):
        return None
    return {"channel_order": order, "divisor": divisor, "mean": means, "std": deviations}


def _timm(config: Any) -> dict[str, Any] | None:
    size = _entry(config, "input_size")
    if isinstance(size, Sequence) and len(size) == _CHANNELS and size[0] != _CHANNELS:
        return None
    return _preprocessing("RGB", 255.0, _entry(config, "mean"), _entry(config, "std"))


def _torchvision(weights: Any) -> dict[str, Any] | None:
    transforms = getattr(weights, "transforms", None)
    if not callable(transforms) or not isinstance(getattr(weights, "meta", None), Mapping):
        return None
    made = transforms()
    return _preprocessing("RGB", 255.0, getattr(made, "mean", None), getattr(made, "std", None))


def _id2label(config: Any) -> list[str] | None:
    labels = _entry(config, "id2label")
    if not isinstance(labels, Mapping):
        return None
    numbered = {int(key): str(value) for key, value in labels.items() if str(key).isdigit()}
    return (
        _named([numbered[index] for index in sorted(numbered)])
        if sorted(numbered) == list(range(len(labels)))
        else None
    )


def _label_names(config: Any) -> list[str] | None:
    names = _entry(config, "label_names")
    return _named([str(name) for name in names]) if isinstance(names, list | tuple) else None


def _categories(weights: Any) -> list[str] | None:
    names = _entry(getattr(weights, "meta", {}), "categories")
    return _named([str(name) for name in names]) if isinstance(names, list | tuple) else None


def _named(names: list[str]) -> list[str] | None:
    """The names, unless they are numbers with a word before."""
    return None if not names or all(_PLACEHOLDER.fullmatch(name) for name in names) else names
