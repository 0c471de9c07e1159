"""What the configuration of OpenMMLab says, which its runner keeps as Python text in a checkpoint's `meta`.

The text is parsed, never run.

Reference: https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/, decode_heads/ and necks/fpn.py.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from converters.identification.statements.mmcv_parts import (
    BACKBONES,
    HEADS,
    NECKS,
    RESNETS,
    UNREAD,
    Fields,
    kind_of,
    unusual,
)
from converters.identification.statements.preprocessing import stated_preprocessing
from converters.identification.statements.statement import Statement

# Strides and dilations of the four stages -> output stride.
_STRIDES: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {
    ((1, 2, 1, 1), (1, 1, 2, 4)): 8,
    ((1, 2, 2, 1), (1, 1, 1, 2)): 16,
    ((1, 2, 2, 2), (1, 1, 1, 1)): 32,
}
_DEFAULTS = {"strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1)}
# Heads whose maps are all enlarged in one way here: `upsampling` says which.
_ALIGNING = ("FCNHead", "PSPHead", "ASPPHead", "DepthwiseSeparableASPPHead")
_ROOTS = ("model", "student", "algorithm")
_PYRAMIDS = ("ASPPHead", "DepthwiseSeparableASPPHead")


def read_text(text: str, origin: str) -> Iterator[Statement]:
    """What backbone, neck, head and preprocessing of a configuration say; nothing for another text.

    Nothing is said by a text that takes the rest from other files: a field that it leaves out need not have the default
    of the code.

    Args:
        text: the configuration.
        origin: where it stands, for messages.
    """
    parts = _parts(text)
    model = next((parts[root] for root in _ROOTS if _has_backbone(parts.get(root))), None)
    if model is None or "_base_" in parts or "_base_" in model:
        return
    yield from _aligned(model.get("decode_head"), origin)
    yield from _head(model, origin)
    for place in ("data_preprocessor", "img_norm_cfg"):
        yield from _images(model.get(place, parts.get(place)), origin, flipped=place == "img_norm_cfg")
    backbone = model["backbone"]
    kind = kind_of(backbone)
    if kind in RESNETS:
        yield _resnet(backbone, kind, origin)
    elif strange := list(_strange(backbone, BACKBONES)):
        yield Statement(origin, f"backbone {kind}", refusals=tuple(strange))


def _resnet(backbone: Mapping[str, Any], kind: str, origin: str) -> Statement:
    says = f"backbone {kind}-{backbone.get('depth')}"
    refusals = list(unusual(backbone, BACKBONES[kind]))
    options: dict[str, Any] = {}
    strides, dilations = (_four(backbone.get(field, default)) for field, default in _DEFAULTS.items())
    says += f" with strides {strides} and dilations {dilations}" if _DEFAULTS.keys() & backbone.keys() else ""
    if strides and dilations and (strides, dilations) in _STRIDES:
        options["output_stride"] = _STRIDES[strides, dilations]
    else:
        refusals.append(f"strides {strides} with dilations {dilations} are not known here")
    if dilations != (1, 1, 1, 1) and not backbone.get("contract_dilation"):
        refusals.append("contract_dilation=False: the first block of a dilated stage has its own rate")
    names = frozenset[str]()
    if backbone.get("style", "pytorch") == "caffe" and kind == "ResNet":
        names = frozenset([f"resnet{backbone.get('depth')}_caffe_padded"])
        says += " in the caffe style"
    elif backbone.get("style", "pytorch") != "pytorch":
        refusals.append(f"style={backbone['style']!r}: the first 1x1 convolution of a stage strides")
    return Statement(origin, says, names=names, options=options, refusals=tuple(refusals))


def _head(model: Mapping[str, Any], origin: str) -> Iterator[Statement]:
    """What head and neck say beyond their tensors: rates, and what cannot be built."""
    for place, known in (("decode_head", HEADS), ("neck", NECKS)):
        part = model.get(place)
        if not isinstance(part, Mapping):
            continue
        kind, options = kind_of(part), dict[str, Any]()
        strange = list(_strange(part, known))
        if kind == "FCNHead" and part.get("dilation", 1) != 1:
            options["head_rate"] = part["dilation"]
        rates = part.get("dilations", (1, 6, 12, 18)) if kind in _PYRAMIDS else None
        if rates and (_four(rates) is None or rates[0] != 1):
            strange.append(f"dilations={rates!r}: the pyramid has a 1x1 convolution and three rates here")
        elif rates:
            options["rates"] = tuple(rates[1:])
        if strange:
            yield Statement(origin, f"{kind} with {'; '.join(strange)}", head="; ".join(strange))
        else:
            says = f"{kind} with {options}" if options else kind
            yield Statement(origin, says, options=options, complete=place == "decode_head")
    second = model.get("auxiliary_head")
    if isinstance(second, Mapping) and (strange := [*_strange(second, HEADS), *_rate(second)]):
        yield Statement(
            origin, "a second head", notes=(f"{origin} has {'; '.join(strange)}: aux=True builds a plain second head",)
        )


def _rate(head: Mapping[str, Any]) -> Iterator[str]:
    if head.get("dilation", 1) != 1:
        yield f"dilation={head['dilation']!r} in the second head: it has none here"


def _strange(part: Mapping[str, Any], known: Mapping[str, Fields]) -> Iterator[str]:
    """What of a part is not known here: its kind, or the fields in which it differs."""
    kind = kind_of(part)
    if kind in known:
        yield from unusual(part, known[kind])
    elif "type" in part:
        yield f"type={part['type']!r}: such a part is not known here"


def _images(stated: object, origin: str, *, flipped: bool) -> Iterator[Statement]:
    """What is done with an image, read as BGR, before the network sees it.

    Args:
        stated: fields of the normalization.
        origin: where it stands, for messages.
        flipped: whether the channels are flipped where no field says so.
    """
    if not isinstance(stated, Mapping):
        return
    said = [bool(stated[field]) for field in ("bgr_to_rgb", "rgb_to_bgr", "to_rgb") if field in stated]
    rgb = any(said) if said else flipped
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
    says = f"decode_head {kind_of(head)} with align_corners=True"
    if kind_of(head) in _ALIGNING and not head.get("input_transform"):
        yield Statement(origin, says, options={"upsampling": "bilinear_align_corners"})
    else:
        yield Statement(origin, says, head="this head is built without aligned corners")


def _has_backbone(model: object) -> bool:
    return isinstance(model, dict) and isinstance(model.get("backbone"), dict)


def _parts(text: str) -> dict[str, Any]:
    """The assignments of a configuration, with UNREAD in place of values that are not plain."""
    try:
        tree = ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    parts: dict[str, Any] = {"true": True, "false": False, "null": None}  # as JSON writes them
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Dict):
            parts |= _value(node.value, parts)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            parts[node.targets[0].id] = _value(node.value, parts)
    return parts


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """The value of `dict(key=value)`, of a literal, of a name with a known value, or of lists of those; else UNREAD."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {item.arg: _value(item.value, known) for item in node.keywords if item.arg}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {key.value: _value(value, known) for key, value in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(item, known) for item in node.elts)
    if isinstance(node, ast.Name):
        return _flat(known.get(node.id, UNREAD))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        number = node.operand.value
        return -number if isinstance(number, int | float) else UNREAD
    return node.value if isinstance(node, ast.Constant) else UNREAD


def _flat(value: Any) -> Any:
    """A value that a name stands for; UNREAD for lists of lists, of which a short text can make very long ones."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
    return UNREAD if any(isinstance(item, Mapping | tuple) for item in items) else value


def _four(value: object) -> tuple[int, ...] | None:
    if isinstance(value, tuple) and len(value) == 4 and all(isinstance(item, int) for item in value):
        return value
    return None
