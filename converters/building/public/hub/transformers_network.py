"""Networks of transformers: config.json has `model_type` and `architectures`.

Reference: https://github.com/huggingface/transformers: modeling_utils.py and configuration_utils.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from converters.building.public.hub.hub_network import HubNetwork
from converters.errors import ConversionError
from converters.identification.statements.preprocessing import stated_preprocessing
from converters.identification.statements.transformers_config import read_processor

_IMAGE = "pixel_values"


def transformers_network(config: Mapping[str, Any], processor: Mapping[str, Any] | None) -> HubNetwork:
    """The network that a configuration of transformers says.

    Args:
        config: content of config.json.
        processor: content of preprocessor_config.json; None: there is none.
    """
    inner = config.get("pretrained_cfg")
    timm = inner if isinstance(inner, Mapping) else {}
    stated = read_processor(processor) if processor else stated_preprocessing(timm.get("mean"), timm.get("std"))
    version = config.get("transformers_version")
    return HubNetwork(
        package="transformers",
        requirement=f"transformers=={version}" if isinstance(version, str) else "transformers",
        architecture=_architecture(config),
        make=lambda: _class(config)(_configuration(config)),
        load=lambda state: _loaded(config, state),
        preprocessing=stated,
        image=_image(config, processor, timm),
        says="preprocessor_config.json" if processor else "config.json",
        written_with=f"transformers {version}" if isinstance(version, str) else "",
    )


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else f"model_type {config.get('model_type')!r}"


def _configuration(config: Mapping[str, Any]) -> Any:
    """The configuration as an object; what would fetch weights of a part is left out.

    Raises:
        ConversionError: a kind that this version of transformers does not have; quantized weights.
    """
    import transformers

    if config.get("quantization_config"):
        raise ConversionError("config.json has a quantization_config: its weights are quantized, and no plain arrays.")
    kind = str(config.get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        written = config.get("transformers_version")
        raise ConversionError(
            f"config.json has the model_type {kind!r}, which transformers {transformers.__version__} does not have."
            + (f" The file was written with version {written}: pip install transformers=={written}." if written else "")
        )
    plain = {key: value for key, value in config.items() if not key.startswith("use_pretrained")}
    _refuse_newer_entries(plain, transformers.CONFIG_MAPPING[kind])
    return transformers.CONFIG_MAPPING[kind].from_dict(plain)


def _refuse_newer_entries(config: Mapping[str, Any], kind: Any) -> None:
    """Refuses a file of a later version with entries that this one would leave out in silence."""
    import transformers

    written, installed = config.get("transformers_version"), transformers.__version__
    if not isinstance(written, str) or _numbers(written) <= _numbers(installed):
        return
    known = {*kind().to_dict(), *kind.attribute_map, "architectures", "transformers_version"}
    if strange := [key for key, value in config.items() if key not in known and value is not None]:
        raise ConversionError(
            f"config.json has the entry {strange[0]!r}, which transformers {installed} does not know. The file was "
            f"written with version {written}: pip install transformers=={written}."
        )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _class(config: Mapping[str, Any]) -> Any:
    """The class that computes, which must take images.

    Raises:
        ConversionError: no class of transformers, or one that reads text or sound.
    """
    import transformers

    _configuration(config)  # an unknown kind of network is refused first
    names, kind = config.get("architectures"), None
    if isinstance(names, list) and names:
        kind = getattr(transformers, str(names[0]), None)
    else:  # a network without a head
        kind = transformers.AutoModel._model_mapping.get(type(_configuration(config)), None)
        kind = kind[0] if isinstance(kind, tuple) else kind
    known: Any = kind if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel) else None
    if known is None:
        raise ConversionError(
            f"config.json names the class {_architecture(config)}, which transformers {transformers.__version__} does "
            "not have. Another version may have it."
        )
    if known.main_input_name != _IMAGE:
        raise ConversionError(
            f"{known.__name__} reads {known.main_input_name} and not an image. Only networks of images are converted."
        )
    return known


def _loaded(config: Mapping[str, Any], state: dict[str, Any]) -> Mapping[str, Any]:
    """The tensors as transformers itself names them, which also reads files of its earlier versions.

    Raises:
        ConversionError: tensors that are missing or not used.
    """
    import torch
    import transformers

    logging = transformers.logging
    verbosity, shows_progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        module, report = _class(config).from_pretrained(
            None, config=_configuration(config), state_dict=state, output_loading_info=True, dtype=torch.float32
        )
    finally:
        logging.set_verbosity(verbosity)
        if shows_progress:
            logging.enable_progress_bar()
    words = {"missing_keys": "the file lacks", "unexpected_keys": "it does not use", "mismatched_keys": "have another"}
    lines = [
        f"{words[kind]} {len(names)}: {', '.join(sorted(map(str, names))[:3])}"
        for kind in words
        if (names := report.get(kind))
    ]
    if lines:
        raise ConversionError(f"transformers does not load the tensors of the file: {'; '.join(lines)}.")
    result: Mapping[str, Any] = module.state_dict()
    return result


def _image(
    config: Mapping[str, Any], processor: Mapping[str, Any] | None, timm: Mapping[str, Any]
) -> tuple[int, int, int] | None:
    """Channels, height and width: what the network is for, else what its images are cut to."""
    channels = config.get("num_channels", 3)
    stated = (config.get("image_size"), (processor or {}).get("crop_size"), (processor or {}).get("size"))
    for value in (*stated, (timm.get("input_size") or [])[1:]):
        if isinstance(value, Mapping):
            value = [value.get("height"), value.get("width")]
        sides = [value, value] if isinstance(value, int) else list(value or []) if isinstance(value, list) else []
        if len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides):
            return (channels if isinstance(channels, int) else 3), sides[0], sides[1]
    return None
