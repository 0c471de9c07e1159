"""Maps of another size: resized and padded."""

from typing import Any

from converters.building.onnx.constants import integer
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.values import Ordered, inverse

_MODES = {"REFLECT": "reflect"}
_RULES: dict[tuple[str, bool, bool], tuple[str, dict[str, Any]]] = {
    # (method, corners are aligned, pixels have centers) -> the step
    ("ResizeBilinear", False, True): ("upsample_bilinear2d", {"align_corners": False}),
    ("ResizeBilinear", True, False): ("upsample_bilinear2d", {"align_corners": True}),
    ("ResizeBilinear", False, False): ("resample", {"method": "linear", "coordinates": "asymmetric_quotient"}),
    ("ResizeNearestNeighbor", False, False): ("upsample_nearest2d", {}),
    ("ResizeNearestNeighbor", False, True): ("_upsample_nearest_exact2d", {}),
    ("ResizeNearestNeighbor", True, False): (
        "resample",
        {"method": "nearest", "coordinates": "align_corners_quotient", "rounding": "round_prefer_ceil"},
    ),
}
_FURTHER = {"rounding": "floor", "cubic": -0.75, "exclude_outside": False}


def resize(call: GraphCall) -> Ordered:
    """A map at another size, by the rules of TensorFlow 1 and 2."""
    x = call.map()
    aligned = bool(call.attribute("align_corners", False))
    centered = bool(call.attribute("half_pixel_centers", False))
    asked = call.numbers(1, "a size")
    shapes = [(*shape[:2], *size) for shape, size in zip(x.shapes, asked, strict=True)]
    if len({tuple(size) for size in asked}) == 1 and len({shape[2:] for shape in x.shapes}) > 1:
        call.literal(f"resizes to {asked[0][0]} x {asked[0][1]} pixels")
    if all(new == old for new, old in zip(shapes, x.shapes, strict=True)):
        return x
    rule = _RULES.get((call.node.type, aligned, centered))
    if rule is None:
        raise call.refusal(f"resizes with align_corners={aligned} and half_pixel_centers={centered}")
    op, options = rule
    size = [integer([shape[axis] for shape in shapes]) for axis in (2, 3)]
    if op == "resample":
        given: dict[str, Any] = {**_FURTHER, **options, "scales": None}
    else:
        given = {**options, "scale_factors": None}
    return call.make(op, shapes, order=x.axes, input=x, output_size=size, **given)


def pad(call: GraphCall) -> Ordered:
    """Numbers around a tensor."""
    x = call.computed()
    asked = call.numbers(1, "a number of pixels")
    mode = str(call.attribute("mode", "CONSTANT"))
    value = float(call.number(2, "value", 0.0)) if call.node.type == "PadV2" else 0.0
    if mode not in ("CONSTANT", "REFLECT"):
        raise call.refusal(f"pads by {mode}")
    if any(len(numbers) != 2 * x.rank for numbers in asked):
        raise ValueError(f"{len(asked[0])} numbers of pixels for {x.rank} axes")
    around = [[(n[2 * p], n[2 * p + 1]) for p in inverse(x.axes)] for n in asked]
    if any(pads[0] != (0, 0) for pads in around):
        raise call.refusal(
            "pads the batch, or an image that has none. If this is the graph's own preprocessing, name the node after "
            "it as the image: inputs=['node'] (--inputs=node)"
        )
    if not any(side for pads in around for pair in pads for side in pair):
        return x
    first = next(axis for axis in range(x.rank) if any(pads[axis] != (0, 0) for pads in around))
    amounts: list[Any] = []
    for axis in reversed(range(min(first, 2) if x.rank == 4 and first >= 2 else first, x.rank)):
        for side in (0, 1):
            amounts.append(integer([pads[axis][side] for pads in around]))
    shapes = [
        tuple(size + sum(pair) for size, pair in zip(shape, pads, strict=True))
        for shape, pads in zip(x.shapes, around, strict=True)
    ]
    fixed = all(isinstance(amount, int) for amount in amounts)
    if fixed and call.tracer.literals is not None and amounts[0] != amounts[1]:
        call.literal("pads one side of the map more than the other, as the size may say")
    return call.make(
        "pad", shapes, x.kind, order=x.axes, input=x, pad=amounts, mode=_MODES.get(mode, "constant"), value=value
    )


RULES: dict[str, Rule] = {
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor"), resize),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), pad),
}
