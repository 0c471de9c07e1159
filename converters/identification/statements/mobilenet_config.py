"""What the config.json of transformers says of a MobileNetV2.

Reference: https://github.com/huggingface/transformers: models/mobilenet_v2/configuration_mobilenet_v2.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.families.pytorch.huggingface_mobilenet import (
    CLASSIFIER,
    CLASSIFIER_CLASS,
    DEEPLABV3,
    SEGMENTER_CLASS,
    TRUNK_CLASS,
)
from converters.identification.statements.statement import Statement
from converters.identification.statements.transformers_labels import class_names, num_classes

# Fields with one value in all networks here.
_USUAL: dict[str, Any] = {
    "depth_divisible_by": 8,
    "min_depth": 8,
    "expand_ratio": 6,
    "first_layer_is_expansion": True,
    "finegrained_output": True,
    "hidden_act": "relu6",
}
_STRIDES = (8, 16, 32)
_FAMILIES = {SEGMENTER_CLASS: DEEPLABV3.name, CLASSIFIER_CLASS: CLASSIFIER.name, TRUNK_CLASS: CLASSIFIER.name}


def read_config(config: Mapping[str, Any], named: Sequence[str], origin: str) -> Statement:
    """What a configuration says.

    Args:
        config: content of the file.
        named: classes that it names.
        origin: where it stands, for messages.
    """
    stride = config.get("output_stride", 32)
    return Statement(
        origin,
        f"{named[0] if named else 'MobileNetV2'} of transformers with output_stride {stride!r}",
        families=tuple(family for name, family in _FAMILIES.items() if name in named)
        or (DEEPLABV3.name, CLASSIFIER.name),
        binding=True,
        options={
            "output_stride": stride,
            "padding": "same" if config.get("tf_padding", True) else "symmetric",
            "epsilon": config.get("layer_norm_eps", 0.001),
        },
        refusals=tuple(_refusals(config, named, stride)),
        num_classes=num_classes(config),
        channels=config.get("num_channels") if isinstance(config.get("num_channels"), int) else None,
        classes=class_names(config),
    )


def _refusals(config: Mapping[str, Any], named: Sequence[str], stride: object) -> Iterator[str]:
    if stride not in _STRIDES:
        yield f"output_stride={stride!r}: it is one of {', '.join(map(str, _STRIDES))} here"
    for field, usual in _USUAL.items():
        if config.get(field, usual) != usual:
            yield f"{field}={config[field]!r}: it is {usual!r} here"
    if not isinstance(config.get("layer_norm_eps", 0.001), float):
        yield f"layer_norm_eps={config['layer_norm_eps']!r} is no number"
    if config.get("quantization_config"):
        yield "quantization_config: the weights are quantized"
    if strangers := [name for name in named if name not in _FAMILIES]:
        yield f"architectures={strangers!r}: its classes here are {', '.join(_FAMILIES)}"
