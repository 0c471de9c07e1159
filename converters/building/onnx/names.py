"""Names of modules for nodes: from the names of their weights, from the exporter's notes, or from their own."""

import ast
import re
from collections.abc import Sequence

from converters.reading.onnx.model_file import OnnxNode

_WEIGHT = re.compile(r"(.+)[./](weight|bias|kernel|gamma|beta|alpha|running_mean|running_var|weight_g|weight_v)(:0)?")
_NUMBERED = re.compile(r"_\d+$")
_OF_NO_MODULE = re.compile(r"(onnx::.*|val_\d+|\d+|node_.*|n\d+(_\d+)?|.*_empty_nn_module_stack.*|<.*)")


def module_of(node: OnnxNode, weights: Sequence[str] = ()) -> str:
    """The name of the module that a node was, such as "layer1.0.conv1"; "" where nothing tells it.

    Args:
        node: operation.
        weights: names of the initializers that it reads.
    """
    for name in weights:
        matched = _WEIGHT.fullmatch(name)
        if matched and not _OF_NO_MODULE.fullmatch(name):
            return _clean(matched[1])
    if node.scopes:
        return _clean(_of_scopes(node.scopes))
    return _clean(_of_path(node.name, node.type))


def _of_scopes(text: str) -> str:
    """The innermost module of torch's newer exporter: `['', 'layer1', 'layer1.0', 'conv2d']`."""
    try:
        scopes = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    names = [name for name in scopes[:-1] if isinstance(name, str)] if isinstance(scopes, list) else []
    return next((name for name in reversed(names) if name and not _OF_NO_MODULE.fullmatch(name)), "")


def _of_path(name: str, kind: str) -> str:
    """The module of torch's older exporter, `/layer1/layer1.0/conv1/Conv`, and TensorFlow's, `model/conv1/Conv2D`."""
    parts = [part for part in name.split("/") if part]
    if len(parts) < 2:
        return ""
    modules: list[str] = []
    for part in parts[:-1]:
        if modules and part.startswith(f"{modules[-1]}."):  # numbered with its parent
            modules.pop()
        if part != kind and not _OF_NO_MODULE.fullmatch(part):
            modules.append(part)
    return ".".join(modules)


def _clean(name: str) -> str:
    """A name of letters, digits, dots and underscores: those of layers have no others."""
    name = re.sub(r"[^0-9A-Za-z_.]+", "_", name).strip("_.")
    return name[-200:]
