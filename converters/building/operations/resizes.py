"""Maps of another size: interpolation, and pixels around a map."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.graph import GraphStep, SizedFloat, Sizes
from converters.building.laid import MAP, Border, Laid
from converters.building.operations.convolutions import pair
from converters.building.operations.measures import Measures
from converters.building.operations.shapes import map_like
from converters.types import Shape
from tfseg.layers import Rescale, ResizeLike
from tfseg.layers.axis_windows import BorderPadding
from tfseg.layers.grid_sampling import GridSampling
from tfseg.layers.interpolate import Interpolate

_LARGEST = 10000  # pixels of a map up to which a factor is tried


def _resized(
    b: Builder, x: Laid, how: str, scales: Any, *, align_corners: bool = False, antialias: bool = False
) -> Laid:
    if x.rank != 4:
        raise b.refusal("resizes something else than a map (batch, channels, height, width)")
    laid = x.as_map()
    options: dict[str, Any] = {"interpolation": how, "align_corners": align_corners, "antialias": antialias}
    if scales and all(_is_quotient(b, x, axis, scale) for axis, scale in zip((2, 3), scales, strict=True)):
        scales = None
    if scales and not all(isinstance(scale, int | float) for scale in scales):
        raise b.refusal("resizes by factors that the size of the image decides, and loses a pixel at some sizes")
    if scales:
        rows, columns = (float(scale) for scale in scales)
        if rows == columns == 1:
            return x
        whole = rows == int(rows) and columns == int(columns) and min(rows, columns) >= 1
        if whole and how in ("nearest", "nearest_exact") and _is_repetition(rows) and _is_repetition(columns):
            size = int(rows) if rows == columns else (int(rows), int(columns))
            return b.laid(b.layer(keras.layers.UpSampling2D, laid.tensor, size=size, interpolation="nearest"))
        if whole and rows == columns and how == "bilinear" and not (align_corners or antialias):
            if None in laid.tensor.shape[1:3]:  # Keras's layer cannot be traced by TensorFlow at an unknown size
                return b.laid(b.layer(Rescale, laid.tensor, scale=rows, interpolation="bilinear"))
            return b.laid(b.layer(keras.layers.UpSampling2D, laid.tensor, size=int(rows), interpolation="bilinear"))
        if rows == columns and how == "bilinear" and align_corners and not antialias:
            return b.laid(b.layer(Rescale, laid.tensor, scale=rows, interpolation="bilinear_align_corners"))
        return b.laid(b.layer(Interpolate, laid.tensor, scales=[rows, columns], **options))
    shapes = b.shapes()
    sides = [tuple(shape[axis] for shape in shapes) for axis in (2, 3)]
    if sides == [laid.sizes(2), laid.sizes(3)] and len(set(sides[0])) > 1 < len(set(sides[1])):
        return x
    known = {"bilinear": "bilinear_align_corners" if align_corners else "bilinear", "nearest": "nearest"}
    if how in known and not antialias:
        reference = map_like(b, sides)
        if reference is not None:
            inputs = [laid.tensor, reference.as_map().tensor]
            return b.laid(b.layer(ResizeLike, inputs, interpolation=known[how]))
        factor = _factor(x, sides)
        if factor:
            return b.laid(b.layer(Rescale, laid.tensor, scale=factor, interpolation=known[how]))
    measures = Measures(b, laid)
    sizes = [measures.find(side, "a map") for side in sides]
    return b.laid(b.layer(Interpolate, measures.packed(), sizes=sizes, **options))


def _is_quotient(b: Builder, x: Laid, axis: int, scale: Any) -> bool:
    """Whether a factor that the size of the image decides is the quotient of the sizes after and before."""
    if not isinstance(scale, SizedFloat | Sizes):
        return False
    sides = zip(scale.values, x.sizes(axis), [shape[axis] for shape in b.shapes()], strict=True)
    return all(math.isclose(factor * before, after, rel_tol=1e-12) for factor, before, after in sides)


@functools.cache
def _is_repetition(scale: float) -> bool:
    """Whether torch's "nearest", computed in single precision, repeats each pixel so many times."""
    output = np.arange(_LARGEST, dtype="float32")
    return bool((np.floor(output * np.float32(1 / scale)) == np.arange(_LARGEST) // int(scale)).all())


def _factor(x: Laid, sides: Sequence[tuple[int, ...]]) -> int | None:
    """The integer by which both axes grow at every traced size."""
    factors = {
        new / old
        for axis, side in zip((2, 3), sides, strict=True)
        for new, old in zip(side, x.sizes(axis), strict=True)
    }
    factor = next(iter(factors))
    return int(factor) if len(factors) == 1 and factor == int(factor) else None


def _flat(how: str) -> Handler:
    def handler(b: Builder, input: Laid, output_size: Any = None, scale_factors: Any = None) -> Laid:
        return _resized(b, input, how, scale_factors)

    return handler


def _smooth(how: str, antialias: bool = False) -> Handler:
    def handler(b: Builder, input: Laid, output_size: Any, align_corners: bool, scale_factors: Any = None) -> Laid:
        return _resized(b, input, how, scale_factors, align_corners=align_corners, antialias=antialias)

    return handler


_MODES = ("constant", "reflect", "replicate", "circular")


def pad(b: Builder, input: Laid, pad: Sequence[Any], mode: str = "constant", value: Any = None) -> Laid:
    """Pixels around a map, or fewer of them."""
    if mode not in _MODES:
        raise b.refusal(f"pads in the mode {mode}")
    if not all(isinstance(size, int) for size in pad):
        return _border(b, input, pad, mode, value)
    laid = input.plain()
    around = [(0, 0)] * laid.rank
    for index in range(len(pad) // 2):
        around[laid.place(laid.rank - 1 - index)] = (pad[2 * index], pad[2 * index + 1])
    if not any(map(any, around)):
        return laid
    if around[0] != (0, 0):
        raise b.refusal("pads the batch")
    sizes = [size for pair in around for size in pair]
    is_map = laid.rank == 4 and laid.axes == MAP and around[3] == (0, 0)
    if mode == "constant" and is_map and max(sizes) <= 0:
        crop = tuple((-before, -after) for before, after in around[1:3])
        return b.laid(b.layer(keras.layers.Cropping2D, laid.tensor, cropping=crop))
    if mode == "constant" and is_map and min(sizes) >= 0 and not value:
        return b.laid(b.layer(keras.layers.ZeroPadding2D, laid.tensor, padding=(around[1], around[2])))
    if mode == "constant" and min(sizes) >= 0:
        return b.laid(ops.pad(laid.tensor, around, constant_values=float(value or 0)), laid.axes)
    if mode == "reflect" and min(sizes) >= 0:
        return b.laid(ops.pad(laid.tensor, around, mode="reflect"), laid.axes)
    config: dict[str, Any] = {
        "padding": [list(sides) for sides in around[1:]],
        "border": mode,
        "value": float(value or 0),
    }
    return b.laid(b.layer(BorderPadding, laid.tensor, **config), laid.axes)


def _border(b: Builder, x: Laid, pad: Sequence[Any], mode: str, value: Any) -> Laid:
    """The map, with pixels around it whose number depends on its size; the next step adds them, if it can."""
    if x.rank != 4 or len(pad) != 4:
        return _around(b, x.plain(), pad, mode, value)
    number = len(x.shapes)
    left, right, above, below = (size.values if isinstance(size, Sizes) else (size,) * number for size in pad)
    pads = tuple(((above[index], below[index]), (left[index], right[index])) for index in range(number))
    sizes = tuple((shape[2], shape[3]) for shape in x.shapes)
    laid = x.as_map()
    border = Border(pads, sizes, float(value or 0))
    users = b.users.get(b.step.name, ())
    if mode == "constant" and users and all(_adds(b, border, user) for user in users):
        return Laid(laid.tensor, laid.axes, b.shapes(), border=border)
    return _around(b, laid, pad, mode, value)


def _around(b: Builder, laid: Laid, pad: Sequence[Any], mode: str, value: Any) -> Laid:
    """Numbers around a tensor; how many, the size of the image says."""
    measures = Measures(b, laid)
    padding: list[list[Any]] = [[0, 0] for _ in laid.axes]
    for index, size in enumerate(pad):
        axis = laid.rank - 1 - index // 2
        sides = size.values if isinstance(size, Sizes) else (size,) * len(laid.shapes)
        padding[laid.place(axis)][index % 2] = _measured(b, measures, sides, axis)
    if padding[0] != [0, 0]:
        raise b.refusal("pads the batch")
    config: dict[str, Any] = {"padding": padding[1:], "border": mode, "value": float(value or 0)}
    return b.laid(b.layer(BorderPadding, measures.packed(), **config), laid.axes)


def _adds(b: Builder, border: Border, user: GraphStep) -> bool:
    """Whether a step pads by TensorFlow's rule, and the border is that."""
    arguments = dict(user.arguments)
    padding, stride = arguments.get("padding", 0), arguments.get("stride") or 1
    if isinstance(padding, str) or any(pair(padding)):
        return False
    if user.op == "conv2d" and not border.value:
        kernel = _window(b, arguments["weight"])
        return bool(kernel) and border.is_same(kernel, pair(stride), pair(arguments["dilation"]))
    if user.op == "max_pool2d" and border.value < -1e38 and pair(arguments.get("dilation", 1)) == (1, 1):
        kernel = pair(arguments["kernel_size"])
        steps = pair(arguments["stride"]) if arguments.get("stride") else kernel
        return not arguments.get("ceil_mode") and border.is_same(kernel, steps)
    return False


def _window(b: Builder, weight: Any) -> Shape:
    """Rows and columns of a kernel, which is a tensor of the file or what later steps compute from one."""
    if weight.name in b.tensors:
        return b.tensors[weight.name].shape[2:]
    shapes = set(b.graph.shapes.get(weight.name, ()))
    return shapes.pop()[2:] if len(shapes) == 1 else ()


def _measured(b: Builder, measures: Measures, side: tuple[int, ...], axis: int) -> Any:
    measure = measures.search_rest(side, axis)
    measure = measures.search(side) if measure is None else measure
    if measure is None:
        raise b.refusal("pads by what the size of the image says, in a way that no size of the network tells")
    return measure


def grid_sampler(
    b: Builder, input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: Any = False
) -> Laid:
    """A map read at places that the network computes."""
    if not isinstance(input, Laid) or not isinstance(grid, Laid) or input.rank != 4:
        raise b.refusal("reads a constant, at constant places, or in another number of axes")
    if interpolation_mode not in (0, 1) or padding_mode not in (0, 1):
        raise b.refusal("is bicubic, or reflects at the border")
    if input.sizes(0) != grid.sizes(0):
        raise b.refusal("reads at the same places in all images of the batch")
    inputs = [input.as_map().tensor, grid.in_order().tensor]
    options: dict[str, Any] = {
        "interpolation": ("bilinear", "nearest")[interpolation_mode],
        "border": ("zeros", "border")[padding_mode],
        "align_corners": bool(align_corners),
    }
    return b.laid(b.layer(GridSampling, inputs, **options), MAP)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d"), grid_sampler),
    "upsample_nearest2d": _flat("nearest"),
    "_upsample_nearest_exact2d": _flat("nearest_exact"),
    "upsample_bilinear2d": _smooth("bilinear"),
    "upsample_bicubic2d": _smooth("bicubic"),
    "_upsample_bilinear2d_aa": _smooth("bilinear", antialias=True),
    "_upsample_bicubic2d_aa": _smooth("bicubic", antialias=True),
    "pad": pad,
    "constant_pad_nd": lambda b, input, pad_, value=0: pad(b, input, pad_, "constant", value),
    **{
        f"{word}_pad{axes}d": functools.partial(lambda b, input, padding, mode: pad(b, input, padding, mode), mode=mode)
        for word, mode in (("reflection", "reflect"), ("replication", "replicate"))
        for axes in (1, 2)
    },
}
