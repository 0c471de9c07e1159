"""The parts that OpenMMLab builds networks of, field by field: what no tensor tells has one value here.

Source of the facts: https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/, decode_heads/ and necks/;
https://github.com/open-mmlab/mmpretrain: mmpretrain/models/backbones/ and necks/.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# Any value: the tensors show it, no result depends on it, or `mmcv_config` reads it.
SHOWN = object()
# What stands in place of a value that is no plain one.
UNREAD = "(not a plain value)"
_BATCH_NORMS = ("BN", "SyncBN", "BN2d", "MMSyncBN")
_CONVS = ("Conv2d", "Conv")
_NORM_FIELDS = {"type", "requires_grad", "momentum", "eps", "affine"}

# Kind of part -> field -> SHOWN, or `(value where the field is left out, value that networks here have)`.
Fields = Mapping[str, Any]


def _shown(fields: str) -> dict[str, Any]:
    return dict.fromkeys(fields.split(), SHOWN)


def _one(value: Any) -> tuple[Any, Any]:
    return value, value


_MODULE = _shown("type init_cfg pretrained conv_cfg norm_cfg")
_ANY_HEAD = {
    **_MODULE,
    **_shown("in_channels channels num_classes out_channels threshold dropout_ratio act_cfg in_index input_transform"),
    **_shown("loss_decode ignore_index sampler align_corners"),
}
_RESNET = {
    **_MODULE,
    **_shown("depth in_channels stem_channels base_channels num_stages strides dilations out_indices style deep_stem"),
    **_shown("avg_down frozen_stages norm_eval contract_dilation with_cp zero_init_residual drop_path_rate"),
    **_shown("expansion groups width_per_group se_ratio stage_with_dcn"),
    "dcn": _one(None),
    "plugins": _one(None),
    "multi_grid": _one(None),
}
BACKBONES: Mapping[str, Fields] = {
    **dict.fromkeys(("ResNet", "ResNetV1c", "ResNetV1d", "ResNeXt", "SEResNet", "SEResNeXt"), _RESNET),
    "HRNet": {
        **_MODULE,
        **_shown("arch extra in_channels norm_eval with_cp frozen_stages zero_init_residual multiscale_output"),
    },
    "MixVisionTransformer": {
        **_MODULE,
        **_shown("in_channels embed_dims num_stages num_layers out_indices mlp_ratio qkv_bias with_cp drop_rate"),
        **_shown("attn_drop_rate drop_path_rate pretrain_style"),
        "num_heads": ((1, 2, 4, 8), (1, 2, 5, 8)),
        "patch_sizes": _one((7, 3, 3, 3)),
        "strides": _one((4, 2, 2, 2)),
        "sr_ratios": _one((8, 4, 2, 1)),
        "act_cfg": _one({"type": "GELU"}),
        "norm_cfg": _one({"type": "LN", "eps": 1e-6}),
    },
}
RESNETS = frozenset(name for name, fields in BACKBONES.items() if fields is _RESNET)
HEADS: Mapping[str, Fields] = {
    "FCNHead": {**_ANY_HEAD, **_shown("num_convs kernel_size concat_input dilation")},
    "PSPHead": {**_ANY_HEAD, "pool_scales": _one((1, 2, 3, 6))},
    "ASPPHead": {**_ANY_HEAD, **_shown("dilations")},
    "DepthwiseSeparableASPPHead": {**_ANY_HEAD, **_shown("dilations c1_in_channels c1_channels")},
    "UPerHead": {**_ANY_HEAD, "pool_scales": _one((1, 2, 3, 6))},
    "SegformerHead": {**_ANY_HEAD, "interpolate_mode": _one("bilinear")},
    "FPNHead": {**_ANY_HEAD, "feature_strides": (None, (4, 8, 16, 32))},
}
NECKS: Mapping[str, Fields] = {
    "FPN": {
        **_MODULE,
        **_shown("in_channels out_channels num_outs end_level"),
        "start_level": _one(0),
        "add_extra_convs": _one(False),
        "extra_convs_on_inputs": _one(False),
        "relu_before_extra_convs": _one(False),
        "no_norm_on_lateral": _one(False),
        "upsample_cfg": _one({"mode": "nearest"}),
        "act_cfg": _one(None),
    },
    "GlobalAveragePooling": _shown("type dim"),
}


def kind_of(part: Mapping[str, Any]) -> str:
    """The class of a part, without the package that it is written with, as in "mmseg.FCNHead".

    Args:
        part: the part of a configuration.
    """
    return str(part.get("type")).rpartition(".")[2]


def unusual(part: Mapping[str, Any], fields: Fields) -> Iterator[str]:
    """What of a part the networks here do not have, in words.

    Args:
        part: the part of a configuration.
        fields: what is known of its fields.
    """
    for field, known in fields.items():
        if known is not SHOWN:
            default, usual = known
            stated = part.get(field, default)
            if _plain(field, stated) != usual:
                yield f"{field}={stated!r}: it is {usual!r} here"
    for field, stated in part.items():
        if field not in fields and stated is not None:
            yield f"{field}={stated!r}: such a field is not known here"
    if fields.get("conv_cfg") is SHOWN and not _is_plain_conv(part.get("conv_cfg")):
        yield f"conv_cfg={part['conv_cfg']!r}: its convolutions are plain here"
    if fields.get("norm_cfg") is SHOWN:
        yield from _norms(part.get("norm_cfg"))
    if "act_cfg" in fields and fields["act_cfg"] is SHOWN:
        stated = part.get("act_cfg", {"type": "ReLU"})
        if not (isinstance(stated, Mapping) and kind_of(stated) == "ReLU"):
            yield f"act_cfg={stated!r}: ReLUs follow the convolutions here"
    order = part.get("in_index")
    if part.get("input_transform") == "resize_concat" and order != tuple(range(len(order or ()))):
        yield f"in_index={order!r}: all maps are joined, in their order, here"


def _plain(field: str, stated: Any) -> Any:
    """A value without what changes no result."""
    if field in ("norm_cfg", "act_cfg") and isinstance(stated, Mapping):
        return {key: value for key, value in stated.items() if key not in ("requires_grad", "inplace")}
    return stated


def _is_plain_conv(stated: Any) -> bool:
    return stated is None or (isinstance(stated, Mapping) and set(stated) == {"type"} and kind_of(stated) in _CONVS)


def _norms(stated: Any) -> Iterator[str]:
    """What BatchNorms have that no tensor tells; the names of the tensors tell other norms."""
    if stated is None or (isinstance(stated, Mapping) and kind_of(stated) not in _BATCH_NORMS):
        return
    if not isinstance(stated, Mapping):
        yield f"norm_cfg={stated!r}: it is a BatchNorm here"
    elif stated.get("eps", 1e-5) != 1e-5:
        yield f"norm_cfg with eps={stated['eps']!r}: it is 1e-05 here"
    elif others := [key for key in stated if key not in _NORM_FIELDS]:
        yield f"norm_cfg with {', '.join(f'{key}={stated[key]!r}' for key in others)}: it is a plain BatchNorm here"
