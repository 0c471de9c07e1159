"""What the configuration of OpenMMLab says, which its runner keeps as Python text in a checkpoint's `meta`.

The text is parsed, never run.

Reference: https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/resnet.py and decode_heads/.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

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


def read_text(text: str, origin: str) -> Iterator[Statement]:
    """What backbone and head of a configuration say; nothing for a text that is no such configuration.

    Args:
        text: the configuration.
        origin: where it stands, for messages.
    """
    model = _model(text)
    yield from _aligned(model.get("decode_head"), origin)
    backbone = model.get("backbone", {})
    if not backbone or "ResNet" not in str(backbone.get("type")):
        return
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
    yield Statement(origin, says, names=names, options=options, refusals=tuple(refusals))


def _aligned(head: object, origin: str) -> Iterator[Statement]:
    """What a head says of aligned corners, which no tensor tells."""
    if not (isinstance(head, dict) and head.get("align_corners") is True):
        return
    says = f"decode_head {head.get('type')} with align_corners=True"
    if head.get("type") in _ALIGNING and not head.get("input_transform"):
        yield Statement(origin, says, options={"upsampling": "bilinear_align_corners"})
    else:
        yield Statement(origin, says, head="this head is built without aligned corners")


def _model(text: str) -> Mapping[str, Any]:
    """The model of a configuration; empty if it has none, or none with a backbone."""
    try:
        tree = ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in _ROOTS:
            model = _value(node.value)
            if isinstance(model, dict) and isinstance(model.get("backbone"), dict):
                return model
    return {}


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
