"""ONNX's `Resize` and `Upsample`: what a node asks for, and the result for constants."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.programs.onnx.arguments import Arguments


@dataclasses.dataclass(frozen=True)
class Resizing:
    """What a node asks for.

    Attributes:
        method: "nearest", "linear" or "cubic".
        coordinates: where an output pixel lies on the input.
        rounding: which pixel is the nearest.
        scales: factor of each axis; None where sizes are given.
        sizes: size of each axis after it.
        cubic: coefficient of the cubic kernel.
        exclude_outside: whether the cubic kernel leaves out pixels outside.
        refusal: what of it has no counterpart; "".
    """

    method: str
    coordinates: str
    rounding: str
    scales: tuple[float, ...] | None
    sizes: tuple[int, ...]
    cubic: float = -0.75
    exclude_outside: bool = False
    refusal: str = ""

    def options(self) -> dict[str, Any]:
        """The arguments of `tfseg.layers.Resample`, without the scales."""
        return {
            "method": self.method,
            "coordinates": self.coordinates,
            "rounding": self.rounding,
            "cubic": self.cubic,
            "exclude_outside": self.exclude_outside,
        }


def resizing(arguments: Arguments, shape: Sequence[int]) -> Resizing:
    """What a Resize or Upsample asks for, at one shape of its input.

    Args:
        arguments: node; its data are not read.
        shape: shape of the data.
    Raises:
        ValueError: a node without sizes and scales.
    """
    node = arguments.node
    old = node.type == "Upsample" or arguments.opset < 11
    method = str(arguments.attribute("mode", "nearest"))
    method = {"bilinear": "linear", "trilinear": "linear"}.get(method, method)
    given = None
    if old:  # opset 9 and 10: floor(x / scale), and linear by the same coordinates
        given = arguments.attribute("scales") if node.type == "Upsample" and not arguments.has(1) else arguments[1]
        coordinates, rounding = "asymmetric", "floor"
    else:
        coordinates = str(arguments.attribute("coordinate_transformation_mode", "half_pixel"))
        rounding = str(arguments.attribute("nearest_mode", "round_prefer_floor"))
        if arguments.has(2) and arguments[2].size:
            given = arguments[2]
    axes = [axis % len(shape) for axis in arguments.integers(99, "axes") or range(len(shape))]
    refusal = ""
    if given is not None:
        scales = [1.0] * len(shape)
        for axis, scale in zip(axes, np.ravel(given), strict=True):
            scales[axis] = float(scale)
        # In single precision, as onnxruntime rounds it.
        sizes = tuple(math.floor(np.float32(side) * np.float32(by)) for side, by in zip(shape, scales, strict=True))
        factors: tuple[float, ...] | None = tuple(scales)
    else:
        full = list(shape)
        for axis, size in zip(axes, np.ravel(arguments[3]), strict=True):
            full[axis] = int(size)
        sizes, factors = tuple(full), None
        if arguments.attribute("keep_aspect_ratio_policy", "stretch") not in ("stretch", ""):
            refusal = "keeps the aspect ratio"
    shrinks = any(new < old_size for new, old_size in zip(sizes, shape, strict=True))
    if arguments.attribute("antialias", 0) and method != "nearest" and shrinks:
        refusal = "is antialiased"
    if coordinates == "tf_crop_and_resize":
        refusal = "crops while it resizes"
    return Resizing(
        method,
        coordinates,
        rounding,
        factors,
        sizes,
        float(arguments.attribute("cubic_coeff_a", -0.75)),
        bool(arguments.attribute("exclude_outside", 0)),
        refusal,
    )


def resize(arguments: Arguments) -> np.ndarray:
    """The result for a constant, axis by axis.

    Args:
        arguments: node and its inputs.
    Raises:
        ValueError: what has no rule here.
    """
    from tfseg.layers.resample import axis_weights

    x = arguments[0]
    asked = resizing(arguments, x.shape)
    if asked.refusal:
        raise ValueError(asked.refusal)
    for axis, (old, new) in enumerate(zip(x.shape, asked.sizes, strict=True)):
        scale = None if asked.scales is None else asked.scales[axis]
        if old == new and (scale is None or scale == 1):
            continue
        weights = np.asarray(axis_weights(new, old, scale, **asked.options()), "float64")
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x.astype(arguments[0].dtype)
