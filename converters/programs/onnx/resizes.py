"""Maps at another size."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.programs.onnx import attributes
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import IMAGE_AXES, Map, Value, image_map
from converters.reading.onnx.model_file import OnnxNode


def resize(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """A map at another size."""
    x = inputs[0]
    if not isinstance(x, Map) or x.shape is None or sorted(x.axes) != sorted(IMAGE_AXES):
        return None
    scales, sizes = _sizes(graph, node, inputs, x)
    place = {axis: x.axes.index(axis) for axis in IMAGE_AXES}
    if any(sizes[place[axis]] != x.shape[place[axis]] for axis in "nc"):
        return None
    size = sizes[place["h"]], sizes[place["w"]]
    sides = list(zip(x.step.size, size, (scales[place["h"]], scales[place["w"]]), strict=True))
    how = _interpolation(node, graph.opset, sides)
    step = graph.factory.resize(x.step, graph.name(node), size, how)
    if step is x.step and any(scale not in (None, 1) for _, _, scale in sides):
        return None
    return Map(step, tuple(sizes), x.axes)


def _sizes(
    graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None], x: Map
) -> tuple[list[float | None], list[int]]:
    """The scale of each axis, None where it follows from the sizes, and the sizes."""
    shape = list(x.shape or ())
    scales: list[float | None] = [None] * len(shape)
    places = {("Resize", True): (2, 3), ("Resize", False): (1, 9), ("Upsample", False): (1, 9)}
    at_scales, at_sizes = places[node.type, node.type == "Resize" and graph.opset >= 11]
    axes = attributes.integers(node, (), 0, "axes")
    chosen = list(range(len(shape))) if axes is None else [axis % len(shape) for axis in axes]
    wanted = inputs[at_sizes] if len(inputs) > at_sizes else None
    if isinstance(wanted, np.ndarray) and wanted.size:
        if node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise ValueError("keep_aspect_ratio_policy")
        for axis, size in zip(chosen, np.ravel(wanted), strict=True):
            shape[axis] = int(size)
        return scales, shape
    given: Any = inputs[at_scales] if len(inputs) > at_scales else node.attributes.get("scales")
    if not isinstance(given, np.ndarray | tuple):
        raise TypeError("scales")
    for axis, scale in zip(chosen, np.ravel(given), strict=True):
        size = math.floor(np.float32(shape[axis]) * np.float32(scale))
        if abs(shape[axis] * float(scale) - size) > 1e-4:
            scales[axis] = float(scale)
        shape[axis] = size
    return scales, shape


def expand(graph: GraphContext, node: OnnxNode, inputs: Sequence[Value | None]) -> Map | None:
    """One pixel repeated."""
    x, wanted = image_map(inputs[0]), inputs[1]
    if not isinstance(wanted, np.ndarray) or x.shape is None:
        return None
    shape = np.broadcast_shapes(x.shape, tuple(int(size) for size in wanted))
    if len(shape) != 4 or shape[:2] != x.shape[:2] or x.step.size != (1, 1):
        return None
    step = graph.factory.resize(x.step, graph.name(node), (shape[2], shape[3]), "nearest")
    return Map(step, shape, x.axes)


def _interpolation(node: OnnxNode, opset: int, sides: Sequence[tuple[int, int, float | None]]) -> str:
    """The name of an interpolation, in tfseg's words where it is one of tfseg's.

    Args:
        node: operation.
        opset: version of ONNX's operators.
        sides: size before, size after, and the scale where it is not their ratio, along rows and columns.
    """
    given, old = node.attributes, node.type == "Upsample" or opset < 11
    mode = str(given.get("mode", "nearest"))
    where = "asymmetric" if old else str(given.get("coordinate_transformation_mode", "half_pixel"))
    if where == "pytorch_half_pixel" and all(after > 1 for _, after, _ in sides):
        where = "half_pixel"
    odd = [scale for _, _, scale in sides if scale is not None and where != "align_corners"]
    more = "".join(f", at the scale {scale:g}" for scale in odd[:1])
    if given.get("antialias", 0) and any(after < before for before, after, _ in sides):
        more += ", antialiased"
    if mode == "nearest":
        rounding = "floor" if old else str(given.get("nearest_mode", "round_prefer_floor"))
        if not more and all(_is_nearest(before, after, where, rounding) for before, after, _ in sides):
            return "nearest"
        return f"nearest, {where}, {rounding}{more}"
    if mode in ("linear", "bilinear"):
        names = {"half_pixel": "bilinear", "align_corners": "bilinear_align_corners"}
        names["asymmetric"] = "bilinear_asymmetric"
        return f"{names.get(where, f'bilinear, {where}')}{more}"
    return f"{mode}, {where}{more}"


def _is_nearest(before: int, after: int, where: str, rounding: str) -> bool:
    """Whether an axis gets the pixels that torch's "nearest" gives it."""
    output = np.arange(after, dtype="f8")
    ratio = before / after
    if where == "asymmetric":
        place = output * ratio
    elif where == "half_pixel":
        place = (output + 0.5) * ratio - 0.5
    elif where == "align_corners" and after > 1:
        place = output * (before - 1) / (after - 1)
    elif where == "tf_half_pixel_for_nn":
        place = (output + 0.5) * ratio
    else:
        return False
    near = np.round(place, 9)
    rounded = {
        "floor": np.floor(near),
        "ceil": np.ceil(near),
        "round_prefer_floor": np.ceil(near - 0.5),
        "round_prefer_ceil": np.floor(near + 0.5),
    }.get(rounding)
    if rounded is None:
        return False
    wanted = np.floor(np.round(output * ratio, 9))
    return bool((np.clip(rounded, 0, before - 1) == np.clip(wanted, 0, before - 1)).all())
