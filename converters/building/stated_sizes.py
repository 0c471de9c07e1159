"""Sizes of images that a live module or its publisher states: what a network of a fixed size is built for."""

from collections.abc import Mapping, Sequence
from typing import Any

Size = tuple[int, int]
"""Height and width of an image."""

_LARGEST = 2048


def stated_sizes(module: Any) -> list[Size]:
    """Heights and widths that a module's own attributes say, those of the whole network first.

    Args:
        module: live torch module.
    """
    config = getattr(module, "config", None)  # transformers' networks keep it there
    sizes = [_size(getattr(config, "image_size", None))]
    for part in module.modules():
        sizes += [_size(getattr(part, attribute, None)) for attribute in ("img_size", "image_size")]
    for part in module.modules():  # timm's networks, also as a part of others
        for attribute in ("pretrained_cfg", "default_cfg"):
            sizes.append(_size(_entry(getattr(part, attribute, None), "input_size")))
    sizes += _torchvision_sizes(module)
    return list(dict.fromkeys(size for size in sizes if size is not None))


def _entry(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)


def _size(value: Any) -> Size | None:
    """A size of one number, of two, or of three with the channels first."""
    sides = [value] if isinstance(value, int) else list(value) if isinstance(value, Sequence) else []
    if not 1 <= len(sides) <= 3 or not all(isinstance(side, int) and 0 < side <= _LARGEST for side in sides):
        return None
    return sides[-2:][0], sides[-1]


def _torchvision_sizes(module: Any) -> list[Size]:
    """Sizes for which torchvision publishes weights of such a module, the one of as many parameters first."""
    path = type(module).__module__
    if not path.startswith("torchvision.models."):
        return []
    from torchvision import models

    numbers = sum(parameter.numel() for parameter in module.parameters())
    names = [name for name in models.list_models() if models.get_model_builder(name).__module__ == path]
    entries = [entry for name in names for entry in models.get_model_weights(name)]
    entries.sort(key=lambda entry: entry.meta.get("num_params") != numbers)
    sides = [_entry(entry.transforms(), "crop_size") for entry in entries]
    return [(side[0], side[-1]) for side in sides if isinstance(side, list) and side]
