"""Networks of timm: config.json has `architecture`, arguments in `model_args`, and what the images are.

Reference: https://github.com/huggingface/pytorch-image-models: timm/models/_hub.py and timm/models/_factory.py.
"""

from collections.abc import Mapping
from typing import Any

from converters.building.public.hub.hub_network import HubNetwork
from converters.errors import ConversionError
from converters.identification.statements import timm_config
from converters.identification.statements.preprocessing import stated_preprocessing

# Arguments of `create_model` that fetch files.
_FETCHES = frozenset(("pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay"))


def timm_network(config: Mapping[str, Any]) -> HubNetwork:
    """The network that a configuration of timm says.

    Args:
        config: content of the file; in the old form, the fields of `pretrained_cfg` lie at the top.
    """
    cfg = _pretrained_config(config)
    return HubNetwork(
        package="timm",
        requirement="timm",
        architecture=str(config["architecture"]),
        make=lambda: _create(config),
        load=lambda state: _create(config, state).state_dict(),
        preprocessing=stated_preprocessing(cfg.get("mean"), cfg.get("std")),
        classes=timm_config.read_config(config, "config.json").classes,
        image=_image(config, cfg),
    )


def _create(config: Mapping[str, Any], state: dict[str, Any] | None = None) -> Any:
    import timm

    name = str(config["architecture"])
    arguments = dict(config.get("model_args") or {})
    pool = config.get("global_pool")
    if isinstance(pool, str) and pool != "avg":  # timm writes it beside the arguments
        arguments.setdefault("global_pool", pool)
    if fetched := sorted(arguments.keys() & _FETCHES):
        raise ConversionError(
            f"config.json has {', '.join(fetched)} among its model_args, which would fetch other files. Remove it."
        )
    if "/" in name or ":" in name or not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.partition('.')[0][:6]}*")[:3])
        raise ConversionError(
            f"config.json names the architecture {name!r}, which timm {timm.__version__} does not have"
            f"{f' (it has {near})' if near else ''}. Another version may have it: pip install --upgrade timm."
        )
    fields = {field: value for field, value in _pretrained_config(config).items() if field in _fields()}
    return create_with(name, fields, arguments, state)


def create_with(
    name: str, fields: Mapping[str, Any], arguments: Mapping[str, Any], state: dict[str, Any] | None = None
) -> Any:
    """The module of a network of timm.

    Args:
        name: name of the network.
        fields: fields of its `pretrained_cfg`.
        arguments: further arguments of `create_model`.
        state: tensors that timm is to load, under names of its own or of the network's authors; None: none.
    """
    import timm

    loaded: dict[str, Any] = {} if state is None else {"source": "", "state_dict": state, "url": "", "hf_hub_id": None}
    return timm.create_model(name, pretrained=state is not None, pretrained_cfg={**fields, **loaded}, **arguments)


def _pretrained_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say what the weights are for, with what stands beside them."""
    inner = config.get("pretrained_cfg")
    fields = dict(inner if isinstance(inner, Mapping) else config)
    if isinstance(config.get("num_classes"), int):
        fields["num_classes"] = config["num_classes"]
    return fields


def _fields() -> frozenset[str]:
    import dataclasses

    from timm.models import PretrainedCfg

    return frozenset(field.name for field in dataclasses.fields(PretrainedCfg)) - {"file", "custom_load"}


def _image(config: Mapping[str, Any], cfg: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """The image that the network was trained for; the arguments overrule what the published network had."""
    size = cfg.get("input_size")
    if not isinstance(size, list | tuple) or len(size) != 3 or not all(isinstance(side, int) for side in size):
        return None
    arguments = config.get("model_args") or {}
    channels, side = arguments.get("in_chans") or size[0], arguments.get("img_size")
    if isinstance(side, int):
        side = [side, side]
    height, width = side if isinstance(side, list | tuple) and len(side) == 2 else size[1:]
    return int(channels), int(height), int(width)
