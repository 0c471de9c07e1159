"""Attributes of a node of an ONNX graph, each of the type that its operator wants.

A function raises TypeError or ValueError for what is no such attribute: the graph is anybody's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.programs.steps import NO_PADDING, Padding
from converters.reading.onnx.model_file import OnnxNode
from tfseg.types import Size


def number(node: OnnxNode, name: str, default: float) -> float:
    """A number."""
    value = node.attributes.get(name, default)
    if not isinstance(value, float | int):
        raise TypeError(name)
    return value


def integer(node: OnnxNode, name: str, default: int) -> int:
    """An integer."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise TypeError(name)
    return value


def integers(node: OnnxNode, inputs: Sequence[object], index: int, name: str) -> list[int] | None:
    """A list that one version of an operator has as input, another as attribute; None if there is none.

    Args:
        node: operation.
        inputs: what it reads: arrays where their numbers are known.
        index: place of the input.
        name: name of the attribute.
    """
    given: Any = inputs[index] if len(inputs) > index else node.attributes.get(name)
    if given is None:
        return None
    if not isinstance(given, np.ndarray | tuple):
        raise TypeError(name)
    return [int(entry) for entry in np.ravel(given)]


def pair(node: OnnxNode, name: str, default: int = 1) -> Size:
    """A number for rows and one for columns."""
    value = node.attributes.get(name, (default, default))
    if not isinstance(value, tuple) or len(value) != 2 or not all(isinstance(part, int) for part in value):
        raise TypeError(name)
    rows, columns = int(value[0]), int(value[1])
    if min(rows, columns) < min(default, 1):
        raise ValueError(name)
    return rows, columns


def pads(node: OnnxNode) -> Padding:
    """The padding that the node states."""
    value = node.attributes.get("pads", (0, 0, 0, 0))
    if not isinstance(value, tuple) or len(value) != 4 or not all(isinstance(part, int) for part in value):
        raise TypeError("pads")
    above, left, below, right = (int(part) for part in value)
    return (above, below), (left, right)


def padding(node: OnnxNode, size: Size, *, kernel: Size, stride: Size, dilation: Size) -> Padding:
    """The padding, which `auto_pad` may leave to the size of the map."""
    how = node.attributes.get("auto_pad", "NOTSET")
    if how == "NOTSET":
        return pads(node)
    if how == "VALID":
        return NO_PADDING
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError("auto_pad")
    sides: list[Size] = []
    for side, window, step, rate in zip(size, kernel, stride, dilation, strict=True):
        more = max((-(-side // step) - 1) * step + rate * (window - 1) + 1 - side, 0)
        less = more // 2
        sides.append((less, more - less) if how == "SAME_UPPER" else (more - less, less))
    return sides[0], sides[1]
