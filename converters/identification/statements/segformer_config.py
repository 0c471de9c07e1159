"""What the config.json of transformers says of a SegFormer.

Reference: https://github.com/huggingface/transformers: models/segformer/configuration_segformer.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.families.pytorch.segformer import MIT, SEGFORMER
from converters.identification.statements.statement import Statement
from converters.identification.statements.transformers_labels import class_names, num_classes
from tfseg import specs

_SEGMENTER, _CLASSIFIER, _TRUNK = (
    "SegformerForSemanticSegmentation",
    "SegformerForImageClassification",
    "SegformerModel",
)
# Fields with one value in all networks here.
_USUAL: dict[str, Any] = {
    "hidden_act": "gelu",
    "mlp_ratios": [4, 4, 4, 4],
    "num_attention_heads": [1, 2, 5, 8],
    "num_encoder_blocks": 4,
    "patch_sizes": [7, 3, 3, 3],
    "sr_ratios": [8, 4, 2, 1],
    "strides": [4, 2, 2, 2],
}
_DEFAULTS: dict[str, Any] = {"depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256]}


def read_config(config: Mapping[str, Any], named: Sequence[str], origin: str) -> Statement:
    """What a configuration says.

    Args:
        config: content of the file.
        named: classes that it names.
        origin: where it stands, for messages.
    """
    depths, filters = (config.get(field, value) for field, value in _DEFAULTS.items())
    size = _size(depths, filters)
    unusual = [f"{field} {config.get(field, usual)!r}" for field, usual in _USUAL.items() if not _is(config, field)]
    says = f"{named[0] if named else 'SegFormer'} of transformers with depths {depths!r} and widths {filters!r}"
    headed = not named or {_SEGMENTER, _CLASSIFIER} & set(named)
    return Statement(
        origin,
        ", ".join([says, *unusual]),
        names=frozenset([size, f"segformer_{size}"] if size else ()),
        families=(MIT.name,) if _CLASSIFIER in named else (SEGFORMER.name, MIT.name),
        unknown=size is None or bool(unusual),
        binding=True,
        refusals=tuple(_refusals(config, named)),
        num_classes=num_classes(config) if headed else None,
        channels=config.get("num_channels") if isinstance(config.get("num_channels"), int) else None,
        classes=class_names(config),
    )


def _size(depths: object, filters: object) -> str | None:
    """The MiT with these numbers; those of a thinner one are of none."""
    for name, spec in specs.MITS.items():
        if _alike(depths, spec.blocks) and _alike(filters, spec.filters):
            return name
    return None


def _alike(stated: object, usual: Sequence[int]) -> bool:
    return isinstance(stated, list | tuple) and tuple(stated) == tuple(usual)


def _is(config: Mapping[str, Any], field: str) -> bool:
    usual = _USUAL[field]
    stated = config.get(field, usual)
    return _alike(stated, usual) if isinstance(usual, list) else stated == usual


def _refusals(config: Mapping[str, Any], named: Sequence[str]) -> Iterator[str]:
    if config.get("reshape_last_stage") is False and _CLASSIFIER not in named:
        yield "reshape_last_stage=false: the last map keeps its rows and columns here"
    if config.get("quantization_config"):
        yield "quantization_config: the weights are quantized"
    if strangers := [name for name in named if name not in (_SEGMENTER, _CLASSIFIER, _TRUNK)]:
        yield f"architectures={strangers!r}: its classes here are {_SEGMENTER}, {_CLASSIFIER} and {_TRUNK}"
