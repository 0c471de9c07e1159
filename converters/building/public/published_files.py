"""Files of weights that have the names of torchvision's and timm's own downloads: the package says which network.

The names are read off the packages that are installed. No table of them stands here.
"""

import importlib.util
import inspect
import re
from collections.abc import Mapping
from typing import Any

from converters.building.public.hub.hub_network import HubNetwork
from converters.building.public.hub.timm_network import create_with
from converters.errors import ConversionError
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.identification.sources import Source
from converters.identification.statements.preprocessing import stated_preprocessing

_HASHED = re.compile(r".+[-_][0-9a-f]{8,64}\.(pth|pt|safetensors)")
_KINDS = re.compile(r"torchvision\.models\.(segmentation\.)?\w+")
# What torchvision sets for its published weights, and for no others. googlenet.py, inception.py, vision_transformer.py.
_OF_WEIGHTS: dict[str, dict[str, Any]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}
_SIZE_OF_WEIGHTS = {"vision_transformer": "image_size", "maxvit": "input_size"}
_SAYS, _NAMES = "the package for the file's name", "the name of the file is that of a published one:"


def published_network(source: Source) -> HubNetwork | None:
    """The network of torchvision or timm whose weights are published under a file's name; None for other names.

    Args:
        source: the opened file.
    """
    name = source.checkpoints[0].path.name if len(source.checkpoints) == 1 else ""
    if not _HASHED.fullmatch(name) or importlib.util.find_spec("torch") is None:
        return None
    if importlib.util.find_spec("torchvision") is not None and (network := _of_torchvision(name)):
        return network
    return _of_timm(name) if importlib.util.find_spec("timm") is not None else None


def _of_torchvision(file_name: str) -> HubNetwork | None:
    models = import_torchvision().models
    for name in models.list_models():
        builder = models.get_model_builder(name)
        if not _KINDS.fullmatch(builder.__module__):
            continue
        for weights in models.get_model_weights(name):
            if weights.url.rpartition("/")[2] == file_name:
                return _torchvision_network(name, builder, weights)
    return None


def _torchvision_network(name: str, builder: Any, weights: Any) -> HubNetwork:
    options = _options(name, builder, weights)
    transforms = weights.transforms()
    mean, std = (list(getattr(transforms, key, None) or ()) for key in ("mean", "std"))

    def load(state: dict[str, Any]) -> Mapping[str, Any]:
        raise ConversionError("torchvision has no other names for them.")

    return HubNetwork(
        package="torchvision",
        requirement="torchvision",
        architecture=f"{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})",
        make=lambda: builder(weights=None, **options),
        load=load,
        preprocessing=stated_preprocessing(mean, std),
        classes=tuple(map(str, weights.meta.get("categories", ()))),
        says=_SAYS,
        names_it=_NAMES,
    )


def _options(name: str, builder: Any, weights: Any) -> dict[str, Any]:
    """The arguments with which torchvision itself builds the network of its weights."""
    parameters = inspect.signature(builder).parameters
    options: dict[str, Any] = {"num_classes": len(weights.meta["categories"])}
    options |= {"weights_backbone": None} if "weights_backbone" in parameters else {}
    options |= {"aux_loss": True} if "aux_loss" in parameters else {}
    if size := _SIZE_OF_WEIGHTS.get(builder.__module__.rpartition(".")[2]):
        sides = weights.meta["min_size"]
        options[size] = sides[0] if size == "image_size" else tuple(sides)
    return options | _OF_WEIGHTS.get(name, {})


def _of_timm(file_name: str) -> HubNetwork | None:
    import_torchvision()
    import timm

    names: dict[str, Any] = {}
    for name in timm.list_pretrained():
        config = timm.models.get_pretrained_cfg(name)
        if config is not None and config.url and config.url.rpartition("/")[2] == file_name:
            names.setdefault(name.partition(".")[0], (name, config))
    if len(names) != 1:
        return None
    ((name, config),) = names.values()
    fields = config.to_dict()
    return HubNetwork(
        package="timm",
        requirement="timm",
        architecture=name,
        make=lambda: create_with(name, fields, {}),
        load=lambda state: create_with(name, fields, {}, state).state_dict(),
        preprocessing=stated_preprocessing(list(config.mean), list(config.std)),
        image=config.input_size,
        says=_SAYS,
        names_it=_NAMES,
    )
