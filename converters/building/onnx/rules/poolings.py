"""Poolings and reductions."""

from collections.abc import Callable
from typing import Any

from converters.building.onnx.call import Call
from converters.building.onnx.constants import integer
from converters.building.onnx.rules.windows import Window, check_literal_pads, padded, window
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import PLACES, Computed, Value

_LOWEST = -3.4028234663852886e38  # float32's: it never is a maximum
_SMALL_WINDOW = 3  # larger windows that tile a map of one size may come of that size


def _windows(call: Call, x: Computed) -> Window:
    if x.rank != 4:
        raise call.refusal(f"pools {x.rank - 2} axes")
    kernel = call.attribute("kernel_shape")
    if kernel is None:
        raise ValueError("no kernel_shape")
    windows = window(call, x, kernel)
    check_literal_pads(call, x, windows)
    return windows


def maximum(call: Call) -> list[Value]:
    """The maximum of each window."""
    x = call.computed()
    windows = _windows(call, x)
    ceil_mode = bool(call.attribute("ceil_mode", 0))
    shapes = [(*shape[:2], *windows.outputs(shape, index, ceil_mode)) for index, shape in enumerate(x.shapes)]
    if windows.stride == windows.kernel:
        _check_literal_windows(call, windows)
    padding = windows.padding
    if not windows.is_even or any(2 * pad > side for pad, side in zip(padding, windows.kernel, strict=True)):
        if ceil_mode and len({shape[2:] for shape in x.shapes}) > 1:
            raise call.refusal("rounds up, and pads one side more than the other")
        x, padding = padded(call, x, windows.pads, _LOWEST), [0, 0]
    given: dict[str, Any] = {
        "kernel_size": list(windows.kernel),
        "stride": list(windows.stride),
        "padding": padding,
        "dilation": list(windows.dilation),
        "ceil_mode": ceil_mode,
    }
    if len(call.node.outputs) < 2 or not call.node.outputs[1]:
        return [call.emit("max_pool2d", shapes, input=x, **given)]
    if call.attribute("storage_order", 0):
        raise call.refusal("counts the places of its maxima by columns")
    both = call.emit("max_pool2d_with_indices", shapes, input=x, **given)
    maxima = call.emit("getitem", shapes, input=both, index=0)
    places = call.emit("getitem", shapes, PLACES, base=x, input=both, index=1)
    return [maxima, places]


def unpooling(call: Call) -> Computed:
    """Numbers put back where a pooling found its maxima."""
    x, places = call.computed(), call.inputs[1]
    if not isinstance(places, Computed) or places.kind != PLACES or places.base is None:
        raise call.refusal("puts numbers at places that no pooling gives")
    kernel = call.attribute("kernel_shape")
    windows = window(call, x, kernel)
    asked = call.known(2, "a shape") if call.has(2) else None
    shapes = []
    for index, shape in enumerate(x.shapes):
        if asked is not None:
            sides = [int(size) for size in asked.arrays[index].reshape(-1)[2:]]
        else:
            sides = [
                (size - 1) * step + side - sum(pads)
                for size, step, side, pads in zip(
                    shape[2:], windows.stride, windows.kernel, windows.pads[index], strict=True
                )
            ]
        # A place counts all pixels of the map that was pooled: only in one of the same size it is the same pixel.
        if tuple(sides) != places.base.shapes[index][2:]:
            raise ValueError(f"{sides[0]} x {sides[1]} pixels, and another map was pooled")
        shapes.append((*shape[:2], *sides))
    size = [integer([shape[axis] for shape in shapes]) for axis in (2, 3)]
    return call.emit("max_unpool2d", shapes, input=x, indices=places, output_size=size)


def average(call: Call) -> Computed:
    """The average of each window."""
    x = call.computed()
    windows = _windows(call, x)
    if max(windows.dilation) > 1:
        raise call.refusal("is dilated")
    ceil_mode, counted = bool(call.attribute("ceil_mode", 0)), bool(call.attribute("count_include_pad", 0))
    shapes = [(*shape[:2], *windows.outputs(shape, index, ceil_mode)) for index, shape in enumerate(x.shapes)]
    _check_literal_windows(call, windows)
    same = call.attribute("auto_pad", "NOTSET") == "SAME_UPPER"
    given: dict[str, Any] = {"kernel_size": list(windows.kernel), "stride": list(windows.stride)}
    if same and not counted and windows.any_pads:
        return call.emit("average_pool_same", shapes, input=x, **given)
    padding = windows.padding
    if not windows.is_even:
        if not counted or ceil_mode:
            raise call.refusal("does not count the padding, which has two widths")
        x, padding = padded(call, x, windows.pads), [0, 0]
    return call.emit(
        "avg_pool2d",
        shapes,
        input=x,
        **given,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=counted,
        divisor_override=None,
    )


def _check_literal_windows(call: Call, windows: Window) -> None:
    """Windows that tile a map may come of its size: an adaptive pooling of a file of one size.

    Raises:
        OtherSize: in a trace at other sizes.
    """
    literals = call.tracer.literals
    if literals is None or windows.any_pads:
        return
    if any(side > _SMALL_WINDOW or side in literals for side in windows.kernel):
        call.literal(f"pools windows of {windows.kernel[0]} x {windows.kernel[1]} pixels, as the size may say")


def whole_average(call: Call) -> Computed:
    """The average of each channel."""
    return _whole(call, "adaptive_avg_pool2d")


def whole_maximum(call: Call) -> Computed:
    """The maximum of each channel."""
    x = call.computed()
    if x.rank != 4:
        return _reduced(call, "amax", list(range(2, x.rank)), True)
    shapes = [(*shape[:2], 1, 1) for shape in x.shapes]
    pair = call.emit("adaptive_max_pool2d", shapes, input=x, output_size=[1, 1])
    return call.emit("getitem", shapes, input=pair, index=0)


def _whole(call: Call, op: str) -> Computed:
    x = call.computed()
    if x.rank != 4:
        return _reduced(call, "mean", list(range(2, x.rank)), True)
    return call.emit(op, [(*shape[:2], 1, 1) for shape in x.shapes], input=x, output_size=[1, 1])


def _reduced(call: Call, op: str, axes: list[int], kept: bool, x: Computed | None = None) -> Computed:
    x = x or call.computed()
    axes = sorted(axis % x.rank for axis in axes)
    shapes = [
        tuple(1 if axis in axes else size for axis, size in enumerate(shape) if kept or axis not in axes)
        for shape in x.shapes
    ]
    return call.emit(op, shapes, x.kind, input=x, dim=axes, keepdim=kept)


def reduction(op: str) -> Rule:
    """A reduction that is one step.

    Args:
        op: the step.
    """

    def rule(call: Call) -> Computed:
        axes = call.integers(1, "axes")
        x = call.computed()
        if not axes and call.attribute("noop_with_empty_axes", 0):
            return x
        return _reduced(call, op, axes or list(range(x.rank)), bool(call.attribute("keepdims", 1)))

    return rule


def _after(op: str, function: Callable[[Call, Computed], Computed]) -> Rule:
    """A reduction, and a function of its result."""
    inner = reduction(op)
    return lambda call: function(call, inner(call))


def _before(function: Callable[[Call, Computed], Computed], op: str) -> Rule:
    """A function of each number, and a reduction of the results."""

    def rule(call: Call) -> Computed:
        axes = call.integers(1, "axes")
        x = call.computed()
        if not axes and call.attribute("noop_with_empty_axes", 0):
            return function(call, x)
        kept = bool(call.attribute("keepdims", 1))
        return _reduced(call, op, axes or list(range(x.rank)), kept, function(call, x))

    return rule


RULES: dict[str, Rule] = {
    "MaxPool": maximum,
    "MaxUnpool": unpooling,
    "AveragePool": average,
    "GlobalAveragePool": whole_average,
    "GlobalMaxPool": whole_maximum,
    "ReduceMean": reduction("mean"),
    "ReduceSum": reduction("sum"),
    "ReduceMax": reduction("amax"),
    "ReduceMin": reduction("amin"),
    "ReduceProd": reduction("prod"),
    "ReduceLogSumExp": reduction("logsumexp"),
    "ReduceL2": reduction("linalg_vector_norm"),
    "ReduceSumSquare": _before(lambda call, x: call.step("square", x), "sum"),
    "ReduceL1": _before(lambda call, x: call.step("abs", x), "sum"),
    "ReduceLogSum": _after("sum", lambda call, x: call.step("log", x)),
}
