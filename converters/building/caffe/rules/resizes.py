"""Interpolation with aligned corners, as the forks of DeepLab, PSPNet and ICNet have it."""

from typing import Any

from converters.building.caffe.tracing import Call, Rule
from converters.building.onnx.values import Computed


def interp(call: Call) -> Computed:
    """A map at a size that is stated, or that factors say; the outermost pixels of both maps lie on each other."""
    x, p = call.input(rank=4), call.parameters
    before, after = p["pad_beg"], p["pad_end"]
    if before > 0 or after > 0:
        raise call.refusal("can only cut pixels off: its pad_beg and pad_end are not above 0")
    zoom, shrink = (p[name] if call.states(name) else 0 for name in ("zoom_factor", "shrink_factor"))
    size = (p["height"], p["width"]) if call.states("height") and call.states("width") else None
    if any(call.states(name) and p[name] < 1 for name in ("zoom_factor", "shrink_factor", "height", "width")):
        raise call.refusal("has a factor or a size below 1")
    if bool(zoom) != bool(shrink):
        size = None  # in Caffe, one factor counts before a size
    if size is None and not (zoom or shrink):
        raise call.refusal("states no size: height and width, zoom_factor or shrink_factor")
    shapes = []
    for shape in x.shapes:
        sides = [side + before + after for side in shape[2:]]
        if min(sides) < 1:
            raise call.mismatch("nothing is left of it")
        rows, columns = size or (_scaled(side, zoom or 1, shrink or 1) for side in sides)
        shapes.append((*shape[:2], rows, columns))
    options: dict[str, Any] = {"cut": [-before, -after], "size": list(size) if size else None}
    return call.emit("caffe_interp", shapes, input=x, **options, zoom=zoom or 1, shrink=shrink or 1)


def _scaled(side: int, zoom: int, shrink: int) -> int:
    """The pixels of an axis: factors count the spaces between pixels."""
    return (side - 1) // shrink * zoom + 1


RULES: dict[str, Rule] = {"Interp": interp}
