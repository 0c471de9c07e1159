"""What the configuration of OpenMMLab says, which its runner keeps as Python text in a checkpoint's `meta`.

The text is parsed, never run.

Reference: https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/, decode_heads/ and necks/fpn.py.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from converters.identification.statements.preprocessing import stated_preprocessing
from converters.identification.statements.statement import Statement

# Strides and dilations of the four stages -> output stride.
_STRIDES = {
    ((1, 2, 1, 1), (1, 1, 2, 4)): 8,
    ((1, 2, 2, 1), (1, 1, 1, 2)): 16,
    ((1, 2, 2, 2), (1, 1, 1, 1)): 32,
}
# Heads whose maps are all enlarged in one way here: `upsampling` says which.
_ALIGNING = ("FCNHead", "PSPHead", "ASPPHead", "DepthwiseSeparableASPPHead")
_ROOTS = ("model", "student", "algorithm")
_BATCH_NORMS = ("BN", "SyncBN", "BN2d", "MMSyncBN")
# What no tensor tells: kind of part -> field -> `(value where the field is left out, value that networks here have)`.
_USUAL: dict[str, dict[str, tuple[Any, Any]]] = {
    "PSPHead": {"pool_scales": ((1, 2, 3, 6),) * 2},
    "UPerHead": {"pool_scales": ((1, 2, 3, 6),) * 2},
    "SegformerHead": {"interpolate_mode": ("bilinear",) * 2},
    "FPNHead": {"feature_strides": (None, (4, 8, 16, 32))},
    "FPN": {
        "start_level": (0, 0),
        "no_norm_on_lateral": (False, False),
        "upsample_cfg": ({"mode": "nearest"},) * 2,
        "act_cfg": (None, None),
    },
    "MixVisionTransformer": {
        "num_heads": ((1, 2, 4, 8), (1, 2, 5, 8)),
        "patch_sizes": ((7, 3, 3, 3),) * 2,
        "strides": ((4, 2, 2, 2),) * 2,
        "sr_ratios": ((8, 4, 2, 1),) * 2,
        "act_cfg": ({"type": "GELU"},) * 2,
        "norm_cfg": ({"type": "LN", "eps": 1e-6},) * 2,
    },
}
_PYRAMIDS = ("ASPPHead", "DepthwiseSeparableASPPHead")


def read_text(text: str, origin: str) -> Iterator[Statement]:
    """What backbone, neck, head and preprocessing of a configuration say; nothing for another text.

    Args:
        text: the configuration.
        origin: where it stands, for messages.
    """
    parts = _parts(text)
    model = next((parts[root] for root in _ROOTS if _has_backbone(parts.get(root))), None)
    if model is None:
        return
    yield from _aligned(model.get("decode_head"), origin)
    yield from _head(model, origin)
    yield from _images(model.get("data_preprocessor") or parts.get("img_norm_cfg"), origin)
    backbone = model["backbone"]
    if "ResNet" in str(backbone.get("type")):
        yield _resnet(backbone, origin)
    elif unusual := list(_unusual(backbone)):
        yield Statement(origin, f"backbone {backbone.get('type')}", refusals=tuple(unusual))


def _resnet(backbone: Mapping[str, Any], origin: str) -> Statement:
    strides, dilations = (_four(backbone.get(key)) for key in ("strides", "dilations"))
    says = f"backbone {backbone.get('type')}-{backbone.get('depth')}"
    refusals = []
    options: dict[str, Any] = {}
    if strides or dilations:
        key = (strides or (1, 2, 2, 2), dilations or (1, 1, 1, 1))
        says += f" with strides {key[0]} and dilations {key[1]}"
        if key in _STRIDES:
            options["output_stride"] = _STRIDES[key]
        else:
            refusals.append(f"strides {key[0]} with dilations {key[1]} are not known here")
        if key[1] != (1, 1, 1, 1) and not backbone.get("contract_dilation"):
            refusals.append("contract_dilation=False: the first block of a dilated stage has its own rate")
    names = frozenset[str]()
    if backbone.get("style", "pytorch") == "caffe" and backbone["type"] == "ResNet":
        names = frozenset([f"resnet{backbone.get('depth')}_caffe_padded"])
        says += " in the caffe style"
    elif backbone.get("style", "pytorch") != "pytorch":
        refusals.append(f"style={backbone['style']!r}: the first 1x1 convolution of a stage strides")
    for option in ("dcn", "plugins", "multi_grid"):
        if backbone.get(option) is not None:
            refusals.append(f"{option}={backbone[option]!r} is not known here")
    refusals += _norms(backbone)
    return Statement(origin, says, names=names, options=options, refusals=tuple(refusals))


def _head(model: Mapping[str, Any], origin: str) -> Iterator[Statement]:
    """What head and neck say beyond their tensors: rates, and what cannot be built."""
    for part in (model.get("decode_head"), model.get("neck")):
        if not isinstance(part, Mapping):
            continue
        kind, options = part.get("type"), dict[str, Any]()
        unusual = [*_unusual(part), *_norms(part)]
        if part.get("act_cfg", {"type": "ReLU"}) != {"type": "ReLU"} and kind != "FPN":
            unusual.append(f"act_cfg={part['act_cfg']!r}: ReLUs follow the convolutions here")
        if kind == "FCNHead" and part.get("dilation", 1) != 1:
            options["head_rate"] = part["dilation"]
        rates = part.get("dilations", (1, 6, 12, 18)) if kind in _PYRAMIDS else None
        if rates and (_four(rates) is None or rates[0] != 1):
            unusual.append(f"dilations={rates!r}: the pyramid has a 1x1 convolution and three rates here")
        elif rates:
            options["rates"] = tuple(rates[1:])
        if unusual:
            yield Statement(origin, f"{kind} with {'; '.join(unusual)}", head="; ".join(unusual))
        elif options:
            yield Statement(origin, f"{kind} with {options}", options=options)


def _unusual(part: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a part in which it differs from the networks here."""
    for field, (default, usual) in _USUAL.get(str(part.get("type")), {}).items():
        stated = part.get(field, default)
        if stated != usual:
            yield f"{field}={stated!r}: it is {usual!r} here"


def _norms(part: Mapping[str, Any]) -> Iterator[str]:
    """What a part's BatchNorms have that no tensor tells."""
    norm = part.get("norm_cfg")
    if isinstance(norm, Mapping) and norm.get("type") in _BATCH_NORMS and norm.get("eps", 1e-5) != 1e-5:
        yield f"norm_cfg with eps={norm['eps']!r}: it is 1e-05 here"


def _images(stated: object, origin: str) -> Iterator[Statement]:
    """What is done with an image before the network sees it."""
    if not isinstance(stated, Mapping):
        return
    rgb = bool(stated.get("bgr_to_rgb", stated.get("to_rgb", "to_rgb" not in stated and "bgr_to_rgb" not in stated)))
    mean, std = _numbers(stated.get("mean")), _numbers(stated.get("std"))
    divisor = 1.0
    if std and min(std) > 1:  # written in the numbers of pixels
        mean, std, divisor = [part / 255 for part in mean], [part / 255 for part in std], 255.0
    preprocessing = stated_preprocessing(mean, std, divisor=divisor, channel_order="RGB" if rgb else "BGR")
    if preprocessing:
        yield Statement(origin, "mean and std of its images", preprocessing=preprocessing)


def _numbers(values: object) -> list[float]:
    """The numbers of a list; none if anything else is in it."""
    numbers = [float(value) for value in values if isinstance(value, int | float)] if isinstance(values, tuple) else []
    return numbers if isinstance(values, tuple) and len(numbers) == len(values) else []


def _aligned(head: object, origin: str) -> Iterator[Statement]:
    """What a head says of aligned corners, which no tensor tells."""
    if not (isinstance(head, dict) and head.get("align_corners") is True):
        return
    says = f"decode_head {head.get('type')} with align_corners=True"
    if head.get("type") in _ALIGNING and not head.get("input_transform"):
        yield Statement(origin, says, options={"upsampling": "bilinear_align_corners"})
    else:
        yield Statement(origin, says, head="this head is built without aligned corners")


def _has_backbone(model: object) -> bool:
    return isinstance(model, dict) and isinstance(model.get("backbone"), dict)


def _parts(text: str) -> dict[str, Any]:
    """The assignments of a configuration whose values can be read."""
    try:
        tree = ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    parts: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            parts.setdefault(node.targets[0].id, _value(node.value))
    return parts


def _value(node: ast.expr) -> Any:
    """The value of `dict(key=value)`, of a literal, or of lists of those; None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {item.arg: _value(item.value) for item in node.keywords if item.arg}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {key.value: _value(value) for key, value in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    return node.value if isinstance(node, ast.Constant) else None


def _four(value: object) -> tuple[int, ...] | None:
    if isinstance(value, tuple) and len(value) == 4 and all(isinstance(item, int) for item in value):
        return value
    return None
