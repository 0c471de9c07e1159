"""Poolings, as Caffe rounds them, and their inverse."""

from typing import Any

from converters.building.caffe.tracing import Call, Rule
from converters.building.graph import Sizes
from converters.building.onnx.values import PLACES, Computed

_LOWEST = -3.4028234663852886e38  # float32's: it never is a maximum


def pooling(call: Call) -> list[Computed]:
    """The maximum or the average of each window; a second result is the places of the maxima."""
    x = call.input(rank=4)
    kind = call.parameters["pool"]
    if kind not in ("MAX", "AVE"):
        raise call.refusal(f"pools by {kind}, which Keras does not")
    if len(call.node.outputs) > 1 and kind != "MAX":
        raise call.refusal("gives two blobs, and only a maximum has places")
    if call.parameters["global_pooling"]:
        return [_whole(call, x, kind)]
    kernel, stride = call.pixels("kernel_size", "kernel", 0), call.pixels("stride", "stride", 1)
    pad = call.pixels("pad", "pad", 0)
    if min(*kernel, *stride) < 1 or min(pad) < 0 or any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise call.refusal(
            f"needs a window that is wider than its padding: kernel {kernel}, stride {stride}, pad {pad}"
        )
    ceil_mode = _rounds_up(call)
    shapes = [
        (
            *shape[:2],
            *(
                _pooled(size, window, step, around, ceil_mode=ceil_mode, clipped=any(pad))
                for size, window, step, around in zip(shape[2:], kernel, stride, pad, strict=True)
            ),
        )
        for shape in x.shapes
    ]
    if any(size < 1 for shape in shapes for size in shape):
        raise call.mismatch(f"no window of {kernel[0]} x {kernel[1]} pixels fits")
    given: dict[str, Any] = {"kernel_size": list(kernel), "stride": list(stride), "padding": list(pad)}
    # Without padding, Caffe keeps a last window that begins after the map.
    beyond = ceil_mode and not any(pad) and any(size < step for size, step in zip(kernel, stride, strict=True))
    if kind == "AVE":
        if beyond:
            raise call.refusal("averages windows that lie after the end of the map")
        return [
            call.emit(
                "avg_pool2d",
                shapes,
                input=x,
                **given,
                ceil_mode=ceil_mode,
                count_include_pad=True,
                divisor_override=None,
            )
        ]
    if len(call.node.outputs) > 1:
        both = call.emit("max_pool2d_with_indices", shapes, input=x, **given, dilation=[1, 1], ceil_mode=ceil_mode)
        maxima = call.emit("getitem", shapes, input=both, index=0)
        return [maxima, call.emit("getitem", shapes, PLACES, base=x, input=both, index=1)]
    if beyond:
        sides = [0, stride[1] - 1, 0, stride[0] - 1]
        wider = [(*shape[:2], shape[2] + stride[0] - 1, shape[3] + stride[1] - 1) for shape in x.shapes]
        x = call.emit("pad", wider, input=x, pad=sides, mode="constant", value=_LOWEST)
        ceil_mode = False
    return [call.emit("max_pool2d", shapes, input=x, **given, dilation=[1, 1], ceil_mode=ceil_mode)]


def _rounds_up(call: Call) -> bool:
    """Whether a last window that is not whole counts: Caffe's rule, unless a fork's parameter says otherwise."""
    if call.states("round_mode") and call.states("ceil_mode"):
        raise call.refusal("has both round_mode and ceil_mode")
    if call.parameters["round_mode"] not in ("CEIL", "FLOOR"):
        raise call.refusal(f"rounds by {call.parameters['round_mode']}")
    return call.parameters["round_mode"] == "CEIL" and bool(call.parameters["ceil_mode"])


def _pooled(size: int, window: int, step: int, pad: int, *, ceil_mode: bool, clipped: bool) -> int:
    """The number of windows along an axis."""
    room = size + 2 * pad - window
    count = (-(-room // step) if ceil_mode else room // step) + 1
    return count - 1 if clipped and (count - 1) * step >= size + pad else count


def _whole(call: Call, x: Computed, kind: str) -> Computed:
    if call.pixels("kernel_size", "kernel", 0) != (0, 0):
        raise call.refusal("pools the whole map, and has a kernel too")
    if call.pixels("stride", "stride", 1) != (1, 1) or call.pixels("pad", "pad", 0) != (0, 0):
        raise call.refusal("pools the whole map, and has a stride or a padding too")
    if len(call.node.outputs) > 1:
        raise call.refusal("gives the places of maxima of whole maps")
    shapes = [(*shape[:2], 1, 1) for shape in x.shapes]
    if kind == "AVE":
        return call.emit("adaptive_avg_pool2d", shapes, input=x, output_size=[1, 1])
    pair = call.emit("adaptive_max_pool2d", shapes, input=x, output_size=[1, 1])
    return call.emit("getitem", shapes, input=pair, index=0)


def upsample(call: Call) -> Computed:
    """Numbers put back where a pooling found its maxima; without places, each pixel repeated."""
    x = call.input(count=None, rank=4)
    scale = call.parameters["scale"] or 0
    scales = (call.parameters["scale_h"] or scale, call.parameters["scale_w"] or scale)
    sides = (call.parameters["upsample_h"], call.parameters["upsample_w"])
    if len(call.inputs) == 1:
        if min(scales) < 1 or any(sides):
            raise call.refusal("repeats pixels, and needs a scale")
        shapes = [(*shape[:2], shape[2] * scales[0], shape[3] * scales[1]) for shape in x.shapes]
        return call.emit(
            "upsample_nearest2d", shapes, input=x, output_size=None, scale_factors=[float(scale) for scale in scales]
        )
    places = call.input(1, count=2)
    if places.kind != PLACES or places.base is None:
        raise call.refusal("puts numbers at places that no pooling gives")
    if any(sides) and min(sides) < 1:
        raise call.refusal("states one of upsample_h and upsample_w, and both are needed")
    if not any(sides) and min(scales) < 1:
        raise call.refusal("states no size of its result: upsample_h and upsample_w, or a scale")
    less = (int(call.parameters["pad_out_h"]), int(call.parameters["pad_out_w"]))
    shapes = []
    for index, shape in enumerate(x.shapes):
        rows, columns = sides if any(sides) else (shape[2] * scales[0] - less[0], shape[3] * scales[1] - less[1])
        # A place counts all pixels of the map that was pooled: only in one of the same size it is the same pixel.
        if (rows, columns) != places.base.shapes[index][2:] or shape != places.shapes[index]:
            raise ValueError(f"its result has {rows} x {columns} pixels, and a map of another size was pooled")
        shapes.append((*shape[:2], rows, columns))
    size = [_integer([shape[axis] for shape in shapes]) for axis in (2, 3)]
    return call.emit("max_unpool2d", shapes, input=x, indices=places, output_size=size)


def _integer(sizes: list[int]) -> object:
    return sizes[0] if len(set(sizes)) == 1 else Sizes(tuple(sizes))


RULES: dict[str, Rule] = {"Pooling": pooling, "Upsample": upsample}
