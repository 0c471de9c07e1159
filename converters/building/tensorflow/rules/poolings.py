"""Poolings and reductions."""

from typing import Any

from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.rules.windows import padded, window
from converters.building.tensorflow.values import Ordered

_LOWEST = -3.4028234663852886e38  # float32's: it never is a maximum
_SMALL_WINDOW = 3  # larger windows that tile a map of one size may come of that size


def _kernel(call: GraphCall) -> tuple[int, int]:
    numbers = [int(number) for number in call.attribute("ksize", ())]
    rows, columns = (1, 2) if call.is_channels_last else (2, 3)
    if len(numbers) != 4 or any(number != 1 for axis, number in enumerate(numbers) if axis not in (rows, columns)):
        raise call.refusal("pools over images or channels")
    return numbers[rows], numbers[columns]


def maximum(call: GraphCall) -> Ordered:
    """The maximum of each window."""
    x = call.map()
    windows = window(call, x, _kernel(call))
    shapes = [(*shape[:2], *windows.outputs(shape[2:], index)) for index, shape in enumerate(x.shapes)]
    padding = windows.padding
    if padding is None or any(2 * pad > side for pad, side in zip(padding, windows.kernel, strict=True)):
        x, padding = padded(call, x, windows, _LOWEST), [0, 0]
    return call.make(
        "max_pool2d",
        shapes,
        order=call.map_order,
        input=x,
        kernel_size=list(windows.kernel),
        stride=list(windows.stride),
        padding=padding,
        dilation=[1, 1],
        ceil_mode=False,
    )


def average(call: GraphCall) -> Ordered:
    """The average of each window; pixels outside the map do not count."""
    x = call.map()
    windows = window(call, x, _kernel(call))
    shapes = [(*shape[:2], *windows.outputs(shape[2:], index)) for index, shape in enumerate(x.shapes)]
    _check_literal_windows(call, windows)
    given: dict[str, Any] = {"kernel_size": list(windows.kernel), "stride": list(windows.stride)}
    if windows.is_same and windows.kernel != (1, 1):
        return call.make("average_pool_same", shapes, order=call.map_order, input=x, **given)
    if windows.any_pads:
        raise call.refusal("averages windows with pixels around the map")
    return call.make(
        "avg_pool2d",
        shapes,
        order=call.map_order,
        input=x,
        **given,
        padding=[0, 0],
        ceil_mode=False,
        count_include_pad=False,
        divisor_override=None,
    )


def _check_literal_windows(call: GraphCall, windows: Any) -> None:
    """Windows that tile a map may come of its size: an average over all of a map of one size.

    Raises:
        OtherSize: in a trace at other sizes.
    """
    literals = call.tracer.literals
    if literals is not None and any(side > _SMALL_WINDOW or side in literals for side in windows.kernel):
        call.literal(f"pools windows of {windows.kernel[0]} x {windows.kernel[1]} pixels, as the size may say")


def reduction(op: str) -> Rule:
    """A function over axes.

    Args:
        op: the step.
    """

    def rule(call: GraphCall) -> Ordered:
        x = call.computed()
        axes = sorted({x.axis(place) for place in call.fixed_numbers(1, "axes")})
        return reduced(call, x, op, axes, bool(call.attribute("keep_dims", False)))

    return rule


def reduced(call: GraphCall, x: Ordered, op: str, axes: list[int], kept: bool) -> Ordered:
    """A function over axes of a tensor.

    Args:
        call: node.
        x: tensor.
        op: the step.
        axes: axes of the step.
        kept: whether they stay, with one entry.
    """
    if not axes:
        return x
    shapes = [
        tuple(1 if axis in axes else size for axis, size in enumerate(shape) if kept or axis not in axes)
        for shape in x.shapes
    ]
    order = x.axes if kept else without(x.axes, axes)
    if op == "mean" and kept and x.rank == 4 and axes == [2, 3]:
        return call.make("adaptive_avg_pool2d", shapes, order=order, input=x, output_size=[1, 1])
    return call.make(op, shapes, x.kind, order=order, input=x, dim=axes, keepdim=kept)


def without(order: tuple[int, ...], axes: list[int]) -> tuple[int, ...]:
    """An order of axes after some of the step's axes are gone.

    Args:
        order: the axis of the step that each axis is.
        axes: axes of the step that are gone.
    """
    left = [axis for axis in order if axis not in axes]
    return tuple(sum(other < axis for other in left) for axis in left)


def largest(call: GraphCall) -> Ordered:
    """The place of the largest number along an axis, or of the smallest."""
    x = call.computed()
    (place,) = call.fixed_numbers(1, "an axis")
    axis = x.axis(place)
    if x.is_free(axis):
        raise call.refusal("looks along an axis whose size depends on the image or the batch")
    shapes = [tuple(size for other, size in enumerate(shape) if other != axis) for shape in x.shapes]
    order = without(x.axes, [axis])
    return call.make(call.node.type.lower(), shapes, "i", order=order, input=x, dim=axis, keepdim=False)


RULES: dict[str, Rule] = {
    "MaxPool": maximum,
    "AvgPool": average,
    "Mean": reduction("mean"),
    "Sum": reduction("sum"),
    "Max": reduction("amax"),
    "Min": reduction("amin"),
    "Prod": reduction("prod"),
    "ArgMax": largest,
    "ArgMin": largest,
}
