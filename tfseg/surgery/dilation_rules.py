"""The rules of `dilate`: what each kind of layer becomes on a denser grid.

A rule is a function of the surgeon and a call, and returns the maps that the call makes. The tables at the end say
which kind of layer has which rule. They list classes of Keras and of this package; a subclass may compute anything.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from tfseg.layers import DensePadding, DilatedPooling
from tfseg.surgery.calls import GriddedCall, GriddedTensor
from tfseg.surgery.dilation_surgeon import WAY_OUT, DilationSurgeon
from tfseg.surgery.grids import KernelWindow, PixelGrid, window_of

Rule = Callable[[DilationSurgeon, GriddedCall], list[GriddedTensor]]

# -------------------------------------------------------------------------------------------- layers that read windows


def convolution(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """Neighbors lie `rate` pixels apart: dilation. What "same" pads follows from the size of the original map."""
    layer, grid = call.operation, call.grid
    window = window_of(layer)
    kept, lost = surgeon.split(call, window.strides)
    grid_after = grid.after(window, kept)
    if grid.rate == lost == 1:
        return call.result(surgeon.copies.of(layer), grid_after)
    if max(window.extent) == 1:
        return call.result(surgeon.copies.of(layer, strides=(kept, kept)), grid_after)
    (source,) = call.maps
    x, padding = source.tensor, layer.padding
    if _must_pad(grid, window, lost):
        fill = surgeon.helper(
            call,
            DensePadding,
            "fill",
            kernel_size=window.extent,
            strides=window.strides,
            dilation_rate=grid.rate,
            padding=padding,
            border=grid.border,
        )
        x, padding = fill(x), "valid"
    rate = grid.rate
    if lost > 1:
        rate = {"previous": grid.rate, "new": grid.rate * lost, "one": 1}[surgeon.convention]
        if rate > 1 and kept > 1:
            surgeon.refuse(call, f"it would keep a stride of {kept} beside a dilation", 'Use convention="previous".')
        x = _with_reach(surgeon, call, x, window, rate - grid.rate)
    dilation_rate = tuple(rate * old_rate for old_rate in layer.dilation_rate)
    copy = surgeon.copies.of(layer, strides=(kept, kept), padding=padding, dilation_rate=dilation_rate)
    return call.on([GriddedTensor(x, grid)]).result(copy, grid_after)


def _must_pad(grid: PixelGrid, window: KernelWindow, lost: int) -> bool:
    """Whether the convolution's own padding, with holes or without, is not what its denser form needs."""
    if window.padding == "valid":
        return lost > 1 and any(bool(np.any(after > 0)) for _, after in grid.padding(window))
    # At stride 1 Keras pads a dilated kernel equally on both sides, as is right for odd kernels.
    return window.strides != (1, 1) or any(extent % 2 == 0 for extent in window.extent)


def _with_reach(
    surgeon: DilationSurgeon, call: GriddedCall, x: keras.KerasTensor, window: KernelWindow, more: int
) -> keras.KerasTensor:
    """A map with the border that a wider kernel needs, so that the kernel's center stays where it was.

    Args:
        surgeon: state of the dilation.
        call: call of the convolution.
        x: map that the convolution reads.
        window: window of the original convolution.
        more: pixels that are added between two places of the kernel; negative if they are removed.
    """
    borders = tuple((size // 2 * more, (size - size // 2) * more) for size in (extent - 1 for extent in window.extent))
    if more > 0:
        return surgeon.helper(call, layers.ZeroPadding2D, "pad", padding=borders)(x)
    if more < 0:
        borders = tuple((-before, -after) for before, after in borders)
        return surgeon.helper(call, layers.Cropping2D, "crop", cropping=borders)(x)
    return x


def pooling(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """Windows with holes; a window that covers all of the map is a global pooling by another name."""
    layer, grid = call.operation, call.grid
    window = window_of(layer)
    if grid.is_covered_by(window) and not grid.is_one_pixel:
        return whole_map(surgeon, call)
    kept, lost = surgeon.split(call, window.strides)
    if grid.rate == lost == 1:
        return call.result(surgeon.copies.of(layer), grid.after(window, kept))
    dense = surgeon.copies.of(
        layer,
        DilatedPooling,
        dtype=surgeon.precision(call),
        pool_size=window.extent,
        mode="max" if type(layer).__name__.startswith("Max") else "average",
        strides=window.strides,
        dilation_rate=grid.rate,
        padding=window.padding,
        border=grid.border,
    )
    (source,) = call.maps
    return [GriddedTensor(surgeon.every(kept, call, dense(source.tensor)), grid.after(window, kept))]


def blur(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`BlurPooling`, whose neighbors lie `rate` pixels apart. It pads nothing, as if its window were one pixel."""
    layer, grid = call.operation, call.grid
    kept, _ = surgeon.split(call, layer.strides)
    copy = surgeon.copies.of(layer, strides=(kept, kept), dilation_rate=layer.dilation_rate * grid.rate)
    return call.result(copy, grid.after(KernelWindow((1, 1), layer.strides, "valid"), kept))


def dilated_before(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """A layer that an earlier `dilate` made: the grid that it stands for becomes denser once more."""
    layer, grid = call.operation, call.grid
    copy = surgeon.copies.of(layer, dilation_rate=layer.dilation_rate * grid.rate)
    sizes = tuple(copy.size_after(size, axis) for axis, size in enumerate(grid.sizes, 1))
    return call.result(copy, dataclasses.replace(grid, sizes=sizes, border=(0, 0)))


def border(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """Rows and columns of zeros, or cropped ones: `rate` times as many."""
    layer, rate = call.operation, call.grid.rate
    key, sign = ("padding", 1) if isinstance(layer, layers.ZeroPadding2D) else ("cropping", -1)
    sides = getattr(layer, key)
    changes: dict[str, Any] = {key: tuple(tuple(rate * pixels for pixels in side) for side in sides)}
    return call.result(surgeon.copies.of(layer, **changes), call.grid.bordered(sign * sum(side) for side in sides))


def bare_pad(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`keras.ops.pad`, which pads `rate` times as much."""
    operation, rate = call.operation, call.grid.rate
    pads = operation.pad_width
    if operation.mode != "constant" or len(pads) != 4 or any(map(any, (pads[0], pads[3]))):
        return unknown(surgeon, call, "it does not pad rows and columns with a constant")
    scaled = [[0, 0], *([rate * pixels for pixels in side] for side in pads[1:3]), [0, 0]]
    return call.result(surgeon.copies.of(operation, pad_width=scaled), call.grid.bordered(map(sum, pads[1:3])))


# --------------------------------------------------------------------------------------- layers that read single pixels


def pixelwise(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """Every pixel by itself: the layer computes along the channels, and stays. Several maps must share one grid."""
    operation = call.operation
    if not works_on_channels(operation):
        return unknown(surgeon, call, "it works along more than the channels")
    if call.has_placed_constants:
        return unknown(surgeon, call, "its constants have rows or columns")
    call = call.on(surgeon.aligned(call))
    grids = [tracked.grid for tracked in call.maps if tracked.grid]
    return call.result(surgeon.copies.of(operation), PixelGrid.joined(grids))


def with_weight(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`WithWeight`, whose weight may be one number a channel, or have rows and columns of its own."""
    if any(side != 1 for side in call.operation.shape[:-1]):
        return unknown(surgeon, call, "its weight has rows and columns")
    return pixelwise(surgeon, call)


def works_on_channels(operation: keras.Operation) -> bool:
    """Whether the axis of a pixelwise layer is that of the channels."""
    axes = keras.tree.flatten(getattr(operation, "axis", -1))
    shared = getattr(operation, "shared_axes", (1, 2))  # PReLU's
    return set(axes) <= {-1, 3} and {1, 2} <= set(shared or ())


def reduction(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`keras.ops.mean` and similar operations: over the pixels, or over the channels."""
    operation = call.operation
    axes = reduced_axes(operation)
    if {1, 2} <= axes:
        return whole_map(surgeon, call)
    if axes == {3} and operation.keepdims:
        return call.result(surgeon.copies.of(operation), call.grid)
    return unknown(surgeon, call, f"it reduces over axis={operation.axis}")


def reduced_axes(operation: keras.Operation) -> set[int]:
    """The axes, 0 to 3, that an operation on `(batch, height, width, channels)` reduces."""
    axes = range(4) if operation.axis is None else keras.tree.flatten(operation.axis)
    return {axis % 4 for axis in axes}


# ------------------------------------------------------------------------- layers that read all of a map, or resize it


def whole_map(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """A layer that reads all pixels, in whatever order, gets those of the original map; its result has no grid."""
    maps = [surgeon.on_old_grid(tracked, call) for tracked in call.maps]
    return call.on(maps).result(surgeon.copies.of(call.operation), None)


def attention(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`MapAttention`: the pixels of a denser map ask, and those of the original map answer."""
    query, *answers = call.maps
    asked = [query, *(surgeon.on_old_grid(tracked, call) for tracked in answers)]
    return call.on(asked).result(surgeon.copies.of(call.operation), query.grid)


def projections(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`MapProjections`: the queries have the pixels of the first map, keys and values those of the second."""
    tensors = call.tensors(surgeon.copies.of(call.operation))
    return [GriddedTensor(tensor, tracked.grid) for tensor, tracked in zip(tensors, call.maps, strict=True)]


def upsampling(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """Transposed convolutions and repeated pixels: copied unchanged where the map is the original's."""
    layer, grid = call.operation, call.grid
    if call.is_dense:
        surgeon.refuse(call, "it enlarges a map that is denser already", WAY_OUT)
    strides = getattr(layer, "strides", None) or layer.size
    if strides[0] != strides[1]:
        surgeon.refuse(call, f"its strides differ: {tuple(strides)}", WAY_OUT)
    (result,) = call.result(surgeon.copies.of(layer), None)
    # Sizes grow by the stride and by a constant border, so the result for one size says all.
    _, *foreseen, _ = surgeon.foreseen(call, 0)[0]
    sizes = tuple(
        stride * (size - size[0]) + first for stride, size, first in zip(strides, grid.sizes, foreseen, strict=True)
    )
    return [GriddedTensor(result.tensor, PixelGrid(grid.stride / strides[0], 1, sizes))]


def resize_like(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`ResizeLike`: right where the resized map is the original's, or one pixel."""
    source, reference = call.maps
    if source.rate > 1 or (reference.rate > 1 and not source.spreads):
        surgeon.refuse(call, "it interpolates between pixels of the original map", WAY_OUT)
    return call.result(surgeon.copies.of(call.operation), reference.grid)


def crop_like(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`CropLike`, whose offset counts pixels of the original map."""
    layer = call.operation
    source, reference = call.maps
    if not (source.grid and reference.grid and source.rate == reference.rate):
        return unknown(surgeon, call, "the maps that it takes are not equally dense")
    rest = source.grid.bordered([-layer.offset] * 2)
    sizes = zip(rest.sizes, reference.grid.sizes, strict=True)
    if call.is_dense and any(np.any(available < wanted) for available, wanted in sizes):
        surgeon.refuse(call, "on a denser grid the map that it crops ends too early", WAY_OUT)
    copy = surgeon.copies.of(layer, offset=layer.offset * source.rate)
    return call.result(copy, dataclasses.replace(source.grid, sizes=reference.grid.sizes, border=(0, 0)))


def resampling(surgeon: DilationSurgeon, call: GriddedCall) -> list[GriddedTensor]:
    """`Resizing` and crops of images, in front of the network: the grids start again from their result."""
    if call.is_dense:
        surgeon.refuse(call, "it chooses its own pixels", WAY_OUT)
    return [
        GriddedTensor(tensor, dataclasses.replace(PixelGrid.of_input(tensor.shape), stride=call.grid.stride))
        for tensor in call.tensors(surgeon.copies.of(call.operation))
    ]


def unknown(surgeon: DilationSurgeon, call: GriddedCall, why: str | None = None) -> list[GriddedTensor]:
    """A layer without a rule: copied if the maps are the original's and it keeps their size, else refused.

    Args:
        surgeon: state of the dilation.
        call: call of the layer.
        why: reason of the refusal; None for a layer that no table lists.
    """
    if call.is_dense:
        if why is None and not is_known(call.operation):
            surgeon.refuse(
                call,
                "it is not known to treat every pixel by itself",
                f"If it does, set `pixelwise = True` on its class. Else: {WAY_OUT}",
            )
        surgeon.refuse(call, why or "it is not a layer that treats every pixel by itself", WAY_OUT)
    results = call.tensors(surgeon.copies.of(call.operation))
    if any(len(tensor.shape) == 4 for tensor in results):
        for index in (0, 1):  # an even and an odd size
            size = tuple(int(size[index]) for size in call.grid.sizes)
            if any(len(shape) == 4 and shape[1:3] != size for shape in surgeon.foreseen(call, index)):
                surgeon.refuse(call, "what it does to the size of a map is not known", WAY_OUT)
    return [GriddedTensor(tensor, call.grid if len(tensor.shape) == 4 else None) for tensor in results]


# --------------------------------------------------------------------------------------------------------------- tables


def _table(*rows: tuple[str, Rule]) -> dict[str, Rule]:
    """`{name of a class: rule}` from rows of names, separated by spaces."""
    return {name: rule for names, rule in rows for name in names.split()}


LAYERS = _table(
    ("Conv2D DepthwiseConv2D SeparableConv2D StandardizedConv2D", convolution),
    ("MaxPooling2D AveragePooling2D", pooling),
    ("BlurPooling", blur),
    ("ZeroPadding2D Cropping2D", border),
    ("Conv2DTranspose DepthwiseConv2DTranspose UpSampling2D", upsampling),
    ("Resizing CenterCrop RandomCrop Rescale", resampling),
    ("DilatedPooling DensePadding", dilated_before),
    ("WithWeight", with_weight),
    ("MapAttention", attention),
    ("MapProjections", projections),
    ("ResizeLike", resize_like),
    ("CropLike", crop_like),
    ("AdaptiveAveragePooling AdaptivePooling AdaptiveAveragePooling2D AdaptiveMaxPooling2D Flatten", whole_map),
    ("GlobalAveragePooling GlobalAveragePooling2D GlobalMaxPooling2D", whole_map),
    ("Activation ELU Identity LeakyReLU PReLU ReLU Softmax", pixelwise),
    ("ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout2D", pixelwise),
    ("Add Average Concatenate Maximum Minimum Multiply Subtract", pixelwise),
    ("BatchNormalization LayerNormalization Normalization RMSNormalization Rescaling UnitNormalization", pixelwise),
    ("Dense LastMap Metadata", pixelwise),
    ("CustomScaleLayer LayerScale StochasticDepth", pixelwise),  # those of keras.applications
)
OPERATIONS = _table(
    ("MaxPool AveragePool", pooling),
    ("Pad", bare_pad),
    ("Amax Amin Max Mean Min Prod Std Sum Var", reduction),
    ("Add Divide DivideNoNan FloorDivide Logaddexp Maximum Minimum Mod Multiply Power Subtract TrueDivide", pixelwise),
    ("Abs Absolute Ceil Clip Cos Exp Expm1 Floor Log Log1p Negative Reciprocal Round Sign Sin Sqrt Square", pixelwise),
    ("Celu Elu Gelu HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid LogSoftmax Relu Relu6 Selu", pixelwise),
    ("Sigmoid Silu Softmax Softplus Softsign Tanh", pixelwise),
    ("Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual Where", pixelwise),
    ("Cast Concatenate Copy Split StopGradient", pixelwise),
)


def rule_of(operation: keras.Operation) -> Rule:
    """The rule for an operation, by its class's name if Keras or this package made the class."""
    if getattr(type(operation), "pixelwise", False):
        return pixelwise
    if not is_known(operation):
        return unknown
    table = LAYERS if isinstance(operation, keras.Layer) else OPERATIONS
    return table.get(type(operation).__name__, unknown)


def is_known(operation: keras.Operation) -> bool:
    """Whether the operation's class belongs to Keras or to this package."""
    return type(operation).__module__.partition(".")[0] in ("keras", "tfseg")
