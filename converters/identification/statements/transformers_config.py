"""What the config.json of transformers says of a network, and preprocessor_config.json of the images.

Reference: https://github.com/huggingface/transformers: models/resnet/configuration_resnet.py, modeling_resnet.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from converters.families.pytorch.huggingface import RESNET
from converters.identification.statements import mobilenet_config, segformer_config, timm_config
from converters.identification.statements.preprocessing import stated_preprocessing
from converters.identification.statements.statement import Statement
from converters.identification.statements.transformers_labels import class_names, num_classes
from tfseg import specs

_DEFAULTS: dict[str, Any] = {"depths": [3, 4, 6, 3], "layer_type": "bottleneck"}
_KINDS = ("ResNetForImageClassification", "ResNetModel", "ResNetBackbone")


def read_config(config: Mapping[str, Any], origin: str) -> Statement:
    """What a configuration says.

    Args:
        config: content of the file.
        origin: where it stands, for messages.
    """
    kind = config.get("model_type")
    if kind in ("timm_wrapper", "timm_backbone"):
        return timm_config.read_config(config, origin)
    classes = config.get("architectures")
    named = [str(name) for name in classes] if isinstance(classes, list) else []
    says = f"model_type {kind!r} of transformers" + (f" ({', '.join(named)})" if named else "")
    if kind == "segformer":
        return segformer_config.read_config(config, named, origin)
    if kind == "mobilenet_v2":
        return mobilenet_config.read_config(config, named, origin)
    if kind != "resnet":
        return Statement(origin, says, unknown=True, binding=True)
    depths = config.get("depths", _DEFAULTS["depths"])
    bottleneck = config.get("layer_type", _DEFAULTS["layer_type"]) == "bottleneck"
    network = _network(depths, bottleneck)
    says = f"{named[0] if named else 'ResNet'} of transformers with depths {depths!r}"
    options = {"stride_in": "1x1"} if bottleneck and config.get("downsample_in_bottleneck") else {}
    return Statement(
        origin,
        says,
        names=frozenset([network] if network else ()),
        families=(RESNET.name,),
        unknown=network is None,
        binding=True,
        options=options,
        refusals=tuple(_refusals(config, named)),
        num_classes=num_classes(config) if not named or _KINDS[0] in named else None,
        channels=config.get("num_channels") if isinstance(config.get("num_channels"), int) else None,
        classes=class_names(config),
        notes=tuple(_notes(config, named)),
    )


def read_processor(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The preprocessing that preprocessor_config.json states; None where it states no numbers for three channels.

    Args:
        config: content of the file.
    """
    normalized = config.get("do_normalize", True)
    mean = config.get("image_mean") if normalized else [0.0, 0.0, 0.0]
    std = config.get("image_std") if normalized else [1.0, 1.0, 1.0]
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    if not isinstance(factor, int | float) or factor <= 0:
        return None
    if abs(factor * 255 - 1) < 1e-6:
        factor = 1 / 255
    order = "BGR" if config.get("do_flip_channel_order") else "RGB"
    return stated_preprocessing(mean, std, divisor=255.0 if factor == 1 / 255 else 1 / factor, channel_order=order)


def _network(depths: object, bottleneck: bool) -> str | None:
    if not isinstance(depths, list | tuple):
        return None
    for row in RESNET.networks:
        spec = specs.RESNETS[row.name]
        if spec.blocks == tuple(depths) and spec.bottleneck == bottleneck:
            return row.name
    return None


def _refusals(config: Mapping[str, Any], named: list[str]) -> Iterator[str]:
    activation = config.get("hidden_act", "relu")
    if activation != "relu":
        yield f"hidden_act={activation!r}: its activations are ReLU here"
    if config.get("downsample_in_first_stage"):
        yield "downsample_in_first_stage=true: its first stage does not stride here"
    if config.get("quantization_config"):
        yield "quantization_config: the weights are quantized"
    if strangers := [name for name in named if name not in _KINDS]:
        yield f"architectures={strangers!r}: its classes here are {', '.join(_KINDS)}"
    outputs, depths = config.get("out_features"), config.get("depths", _DEFAULTS["depths"])
    if "ResNetBackbone" in named and isinstance(outputs, list) and isinstance(depths, list):
        last = f"stage{len(depths)}"
        if last not in outputs:
            yield f"out_features={outputs!r}: the features here are those of {last}"


def _notes(config: Mapping[str, Any], named: list[str]) -> Iterator[str]:
    outputs = config.get("out_features")
    if "ResNetBackbone" in named and isinstance(outputs, list) and len(outputs) > 1:
        yield f"the model gives the last of out_features={outputs!r} alone"
