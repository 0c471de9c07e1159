"""Maps of another size: resized and padded."""

import math
from typing import Any

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.constants import integer
from converters.building.onnx.rules.windows import padded
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known
from converters.programs.onnx.resampling import Resizing, resizing

_ALIGNED = {"half_pixel": False, "align_corners": True}
_PADS = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def resize(call: Call) -> Computed:
    """A map at another size, by torch's steps where one of them computes the same."""
    x = call.computed()
    for index in range(1, len(call.inputs)):
        if call.has(index):
            call.known(index, "a size")
    every = [resizing(arguments, shape) for arguments, shape in zip(call.arguments(), x.shapes, strict=True)]
    asked = every[0]
    if refusal := next((each.refusal for each in every if each.refusal), ""):
        raise call.refusal(refusal)
    batched = [_with_batch(call, each, index) for index, each in enumerate(every)]
    shapes = [each.sizes for each in batched]
    if x.rank != 4 or any(new[:2] != old[:2] for new, old in zip(shapes, x.shapes, strict=True)):
        channels_last = x.rank == 4 and all(
            (new[0], new[3]) == (old[0], old[3]) for new, old in zip(shapes, x.shapes, strict=True)
        )
        if not channels_last:
            raise call.refusal("resizes other axes than rows and columns")
        return _channels_last(call, x, batched)
    return _resized(call, x, batched, asked)


def _with_batch(call: Call, asked: Resizing, index: int) -> Resizing:
    """Sizes with the batch that is traced instead of the one that the file states."""
    stated = call.tracer.batch
    if asked.scales is None and stated and asked.sizes[0] == stated:
        sizes = (call.tracer.batches[index], *asked.sizes[1:])
        return Resizing(
            asked.method, asked.coordinates, asked.rounding, None, sizes, asked.cubic, asked.exclude_outside
        )
    return asked


def _channels_last(call: Call, x: Computed, every: list[Resizing]) -> Computed:
    order, back = (0, 3, 1, 2), (0, 2, 3, 1)
    moved = call.emit("permute", [tuple(s[axis] for axis in order) for s in x.shapes], input=x, dims=list(order))
    turned = [
        Resizing(
            each.method,
            each.coordinates,
            each.rounding,
            None if each.scales is None else tuple(each.scales[axis] for axis in order),
            tuple(each.sizes[axis] for axis in order),
            each.cubic,
            each.exclude_outside,
        )
        for each in every
    ]
    result = _resized(call, moved, turned, turned[0])
    return call.emit("permute", [tuple(s[axis] for axis in back) for s in result.shapes], input=result, dims=list(back))


def _resized(call: Call, x: Computed, every: list[Resizing], asked: Resizing) -> Computed:
    shapes = [each.sizes for each in every]
    scales = None if asked.scales is None else list(asked.scales[2:])
    if scales is not None and any(each.scales != asked.scales for each in every):
        # Quotients of two sizes: the size is what is meant, if it comes out.
        scales, exact = None, all(_is_quotient(each, old) for each, old in zip(every, x.shapes, strict=True))
        if not exact:
            raise call.refusal("has scales that depend on the size of the image")
    if scales is None and len({shape[2:] for shape in shapes}) == 1 and len({shape[2:] for shape in x.shapes}) > 1:
        call.literal(f"resizes to {shapes[0][2]} x {shapes[0][3]} pixels")
    if scales == [1.0, 1.0] or all(new == old for new, old in zip(shapes, x.shapes, strict=True)):
        return x
    op, given = _torch_step(asked, scales, x, shapes)
    if op:
        return call.emit(
            op, shapes, input=x, output_size=None if scales else _size(shapes), scale_factors=scales, **given
        )
    options = asked.options()
    return call.emit(
        "resample", shapes, input=x, output_size=None if scales else _size(shapes), scales=scales, **options
    )


def _is_quotient(asked: Resizing, shape: tuple[int, ...]) -> bool:
    return asked.scales is not None and all(
        abs(scale - new / old) < 1e-5 * scale for scale, new, old in zip(asked.scales, asked.sizes, shape, strict=True)
    )


def _size(shapes: list[tuple[int, ...]]) -> list[Any]:
    return [integer([shape[axis] for shape in shapes]) for axis in (2, 3)]


def _torch_step(
    asked: Resizing, scales: list[float] | None, x: Computed, shapes: list[tuple[int, ...]]
) -> tuple[str, dict[str, Any]]:
    """The step of torch that computes the same, with its further arguments; "" where none does."""
    if scales is not None and scales[0] != scales[1]:
        return "", {}
    if asked.method == "linear":
        aligned = asked.coordinates == "align_corners"
        if scales is not None and (aligned or not math.log2(scales[0]).is_integer()):
            return "", {}  # torch and onnxruntime round the places in other ways, which noise shows
        if asked.coordinates == "align_corners":
            return "upsample_bilinear2d", {"align_corners": True}
        usual = asked.coordinates == "half_pixel" or (
            asked.coordinates == "pytorch_half_pixel" and all(min(shape[2:]) > 1 for shape in shapes)
        )
        return ("upsample_bilinear2d", {"align_corners": False}) if usual else ("", {})
    usual_kernel = asked.cubic == -0.75 and not asked.exclude_outside
    if asked.method == "cubic" and usual_kernel and scales is None and asked.coordinates in _ALIGNED:
        return "upsample_bicubic2d", {"align_corners": _ALIGNED[asked.coordinates]}
    if asked.method == "nearest":
        if scales is not None and not (scales[0].is_integer() or math.log2(scales[0]).is_integer()):
            return "", {}  # the sizes are rounded otherwise too: 40 * 1.3 is 52 in single precision, not in double
        if (asked.coordinates, asked.rounding) == ("asymmetric", "floor"):
            return "upsample_nearest2d", {}
        if scales is not None and scales[0] == int(scales[0]) and _is_torchs(asked, int(scales[0])):
            return "upsample_nearest2d", {}
    return "", {}


def _is_torchs(asked: Resizing, factor: int) -> bool:
    """Whether a whole factor repeats each pixel so many times, whatever the coordinates."""
    from tfseg.layers.resample import axis_weights

    pixels = 7
    weights = np.asarray(axis_weights(pixels * factor, pixels, float(factor), **asked.options()))
    return (
        bool((weights.argmax(1) == np.arange(pixels * factor) // factor).all()) and asked.coordinates != "align_corners"
    )


def pad(call: Call) -> Computed:
    """Pixels around a map."""
    x = call.computed()
    mode = _PADS.get(str(call.attribute("mode", "constant")))
    if mode is None:
        raise call.refusal(f"pads by {call.attribute('mode')}")
    if call.has(1):
        call.known(1, "a number of pixels")
    every = [arguments.integers(1, "pads") or [] for arguments in call.arguments()]
    axes = call.integers(3, "axes") if call.has(3) else list(range(x.rank))
    axes = [axis % x.rank for axis in axes or []]
    around = []
    for pads in every:
        sides = [(0, 0)] * x.rank
        half = len(pads) // 2
        for axis, before, after in zip(axes, pads[:half], pads[half:], strict=True):
            sides[axis] = (before, after)
        around.append(tuple(sides))
    value = call.number(2, "value", 0.0) or 0.0
    if not any(side for pads in around for pair in pads for side in pair):
        return x
    if min(side for pads in around for pair in pads for side in pair) < 0:
        call.literal("cuts pixels off, as the size may say")
    if call.tracer.literals is not None and _strides_next(call):
        call.literal("pads a map before a step that strides, as the size may say")
    if any(pads[0] != (0, 0) for pads in around):
        raise call.refusal("pads the batch")
    if mode == "constant" and all(pads[1] == (0, 0) for pads in around):
        return padded(call, x, [pads[2:] for pads in around], float(value))
    return _padded_anywhere(call, x, around, mode, float(value))


def _padded_anywhere(call: Call, x: Computed, around: list[Any], mode: str, value: float) -> Computed:
    first = next(axis for axis in range(x.rank) if any(pads[axis] != (0, 0) for pads in around))
    if len(set(around)) != 1:
        raise call.refusal("pads by what the size of the image says")
    amounts = [side for axis in reversed(range(first, x.rank)) for side in around[0][axis]]
    shapes = [
        tuple(size + sum(pair) for size, pair in zip(shape, pads, strict=True))
        for shape, pads in zip(x.shapes, around, strict=True)
    ]
    return call.emit("pad", shapes, input=x, pad=amounts, mode=mode, value=value)


def _strides_next(call: Call) -> bool:
    """Whether a convolution or pooling that strides reads the node's result."""
    return any(
        call.node.outputs[0] in node.inputs
        and node.type in ("Conv", "MaxPool", "AveragePool")
        and isinstance(strides := node.attributes.get("strides"), tuple)
        and max(strides) > 1
        for node in call.tracer.graph.nodes
    )


def grid_sample(call: Call) -> Computed:
    """A map read at places that the network computes."""
    x, grid = call.computed(), call.computed(1)
    mode = {"bilinear": 0, "linear": 0, "nearest": 1}.get(_text(call, "mode", "bilinear"))
    border = {"zeros": 0, "border": 1}.get(_text(call, "padding_mode", "zeros"))
    if mode is None or border is None or x.rank != 4:
        raise call.refusal("is bicubic, reflects at the border, or reads another thing than a map")
    shapes = [(*a[:2], *c[1:3]) for a, c in zip(x.shapes, grid.shapes, strict=True)]
    options: dict[str, Any] = {"interpolation_mode": mode, "padding_mode": border}
    corners = bool(call.attribute("align_corners", 0))
    return call.emit("grid_sampler", shapes, input=x, grid=grid, align_corners=corners, **options)


def _text(call: Call, name: str, default: str) -> str:
    value = call.attribute(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


RULES: dict[str, Rule] = {"Resize": resize, "Upsample": resize, "Pad": pad, "GridSample": grid_sample}
__all__ = ["RULES", "Known"]
