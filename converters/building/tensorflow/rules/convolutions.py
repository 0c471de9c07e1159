"""Convolutions and products of matrices."""

from typing import Any

import numpy as np

from converters.building.onnx.values import Known
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.rules.cuts import cut
from converters.building.tensorflow.rules.windows import padded, window
from converters.building.tensorflow.values import CHANNELS_LAST, Ordered, Spaced


def _kernel(call: GraphCall, what: str) -> Known:
    kernel = call.weight(1, what)
    if kernel.arrays[0].ndim != 4:
        raise ValueError(f"a kernel of {kernel.arrays[0].ndim} axes")
    return kernel


def convolution(call: GraphCall) -> Ordered:
    """A convolution of maps; groups are what the kernel has fewer channels for."""
    x, kernel = call.map(), _kernel(call, "a kernel")
    rows, columns, inputs, outputs = kernel.shapes[0]
    channels = x.sizes(1)[0]
    if x.is_free(1) or channels % inputs or outputs % (channels // inputs):
        raise ValueError(f"a kernel for {inputs} channels on {channels}")
    weight = np.ascontiguousarray(kernel.arrays[0].transpose(3, 2, 0, 1))
    return _convolved(call, x, call.made(weight, "kernel", kernel.parents), (rows, columns), channels // inputs)


def depthwise(call: GraphCall) -> Ordered:
    """A convolution of each channel."""
    x, kernel = call.map(), _kernel(call, "a kernel")
    rows, columns, inputs, multiplier = kernel.shapes[0]
    if set(x.sizes(1)) != {inputs}:
        raise ValueError(f"a kernel for {inputs} channels on {x.sizes(1)[0]}")
    weight = kernel.arrays[0].transpose(2, 3, 0, 1).reshape(inputs * multiplier, 1, rows, columns)
    made = call.made(np.ascontiguousarray(weight), "kernel", kernel.parents)
    return _convolved(call, x, made, (rows, columns), inputs)


def _convolved(call: GraphCall, x: Ordered, weight: Known, kernel: tuple[int, int], groups: int) -> Ordered:
    windows = window(call, x, kernel)
    outputs = weight.shapes[0][0]
    shapes = [(shape[0], outputs, *windows.outputs(shape[2:], index)) for index, shape in enumerate(x.shapes)]
    padding = windows.padding
    if padding is None:
        x, padding = padded(call, x, windows), [0, 0]
    return call.make(
        "conv2d",
        shapes,
        order=call.map_order,
        input=x,
        weight=weight,
        bias=None,
        stride=list(windows.stride),
        padding=padding,
        dilation=list(windows.dilation),
        groups=groups,
    )


def transposed(call: GraphCall) -> Ordered:
    """A transposed convolution: the gradient of a convolution, for a map of the size that is stated."""
    if any(isinstance(value, Ordered | Spaced) for value in call.inputs[:2]):
        raise call.refusal("has a kernel or a size that the network computes")
    sizes = call.numbers(0, "a size")
    x = call.ordered(call.computed(2), CHANNELS_LAST if call.is_channels_last else (0, 1, 2, 3))
    kernel = _kernel(call, "a kernel")
    rows, columns, outputs, inputs = kernel.shapes[0]
    if set(x.sizes(1)) != {inputs}:
        raise ValueError(f"a kernel for {inputs} channels")
    axes = (1, 2) if call.is_channels_last else (2, 3)
    strides, rates = (list(call.attribute(name, ()) or (1, 1, 1, 1)) for name in ("strides", "dilations"))
    stride, dilation = [strides[axis] for axis in axes], [rates[axis] for axis in axes]
    stated = sizes[0][axes[0]], sizes[0][axes[1]]
    if len({tuple(size[axis] for axis in axes) for size in sizes}) == 1 and x.is_free(2):
        call.literal(f"makes a map of {stated[0]} x {stated[1]} pixels")
    crops = []
    for shape, size in zip(x.shapes, sizes, strict=True):
        sides = [size[axis] for axis in axes]
        crops.append(_crop(call, shape[2:], sides, (rows, columns), stride, dilation))
    before = [{crop[axis][0] for crop in crops} for axis in (0, 1)]
    after = [{crop[axis][1] for crop in crops} for axis in (0, 1)]
    if any(len(cut) > 1 for cut in before):
        raise call.refusal("cuts off before the map what the size of the image says")
    first = [cut.pop() for cut in before]
    # What is cut off at the end may depend on the size, where an odd one was halved.
    left = [cut.pop() if len(cut) == 1 else min(0, *cut) for cut in after]
    shapes = []
    for shape in x.shapes:
        whole = [
            step * (size - 1) + rate * (pixels - 1) + 1 - start - end
            for size, step, rate, pixels, start, end in zip(
                shape[2:], stride, dilation, (rows, columns), first, left, strict=True
            )
        ]
        shapes.append((shape[0], outputs, *whole))
    weight = np.ascontiguousarray(kernel.arrays[0].transpose(3, 2, 0, 1))
    result = call.make(
        "conv_transpose2d",
        shapes,
        order=call.map_order,
        input=x,
        weight=call.made(weight, "kernel", kernel.parents),
        bias=None,
        stride=stride,
        padding=first,
        output_padding=[start - end for start, end in zip(first, left, strict=True)],
        groups=1,
        dilation=dilation,
    )
    for place, axis in enumerate(axes):
        result = cut(call, result, 2 + place, [0] * len(sizes), [size[axis] for size in sizes], 1)
    return result


def _crop(call: GraphCall, small: Any, sides: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """What is cut off the whole result, `(before, after)` of rows and of columns; less than nothing is added."""
    mode = call.attribute("padding")
    given = list(call.attribute("explicit_paddings", ()))
    axes = (1, 2) if call.is_channels_last else (2, 3)
    crops = []
    for place, (size, side, pixels, step, rate) in enumerate(zip(small, sides, kernel, stride, dilation, strict=True)):
        whole = step * (size - 1) + rate * (pixels - 1) + 1
        if mode == "SAME":
            if -(-side // step) != size:
                raise ValueError(f"{side} pixels of {size} with a stride of {step}")
            before = max(whole - side, 0) // 2
        elif mode == "EXPLICIT":
            before = given[2 * axes[place]]
        else:
            before = 0
        crops.append((before, whole - side - before))
    return tuple(crops)


def bias(call: GraphCall) -> Ordered:
    """A number for each channel; the last axis, or the second."""
    x, shift = call.computed(), call.weight(1, "a bias")
    place = -1 if call.is_channels_last else 1
    axis = x.axis(place)
    shape = [1] * x.rank
    shape[axis] = shift.arrays[0].size
    if set(x.sizes(axis)) != {shift.arrays[0].size}:
        raise ValueError(f"{shift.arrays[0].size} numbers for {x.sizes(axis)[0]} channels")
    if x.rank == 4:
        shift = call.made(shift.arrays[0].reshape(shape), "shift", shift.parents)
    elif axis != x.rank - 1:
        x = call.plain(x)
    return call.alike("add", x, other=shift)


def matmul(call: GraphCall) -> Ordered:
    """A product of matrices, one of which may be of the file."""
    left, right = call.inputs[0], call.inputs[1]
    flips = [call.attribute(name, False) for name in ("transpose_a", "transpose_b", "adj_x", "adj_y")]
    first, second = flips[0] or flips[2], flips[1] or flips[3]
    if isinstance(left, Ordered) and isinstance(right, Known):
        x, matrix = call.plain(left), call.weight(1, "a matrix")
        if matrix.arrays[0].ndim != 2 or first:
            raise call.refusal("multiplies by several matrices of the file")
        array = matrix.arrays[0] if second else np.ascontiguousarray(matrix.arrays[0].T)
        units, inputs = array.shape
        if set(x.sizes(-1)) != {inputs}:
            raise ValueError(f"a matrix for {inputs} inputs on {x.sizes(-1)[0]}")
        made = call.made(array, "matrix", matrix.parents)
        shapes = [(*shape[:-1], units) for shape in x.shapes]
        return call.make("linear", shapes, input=x, weight=made, bias=None)
    if isinstance(left, Known):
        raise call.refusal("multiplies a matrix of the file by what the network computes")
    x, y = (call.plain(call.computed(index)) for index in (0, 1))
    x, y = (_swapped(call, part) if flip else part for part, flip in ((x, first), (y, second)))
    if call.node.type == "MatMul":
        raise call.refusal("multiplies what it computes of one image with another's")
    shapes = []
    for first_shape, other in zip(x.shapes, y.shapes, strict=True):
        if first_shape[-1] != other[-2]:
            raise ValueError(f"{first_shape[-1]} columns and {other[-2]} rows")
        shapes.append((*np.broadcast_shapes(first_shape[:-2], other[:-2]), first_shape[-2], other[-1]))
    return call.make("matmul", shapes, input=x, other=y)


def _swapped(call: GraphCall, x: Ordered) -> Ordered:
    dims = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    shapes = [tuple(shape[axis] for axis in dims) for shape in x.shapes]
    return call.make("permute", shapes, x.kind, input=x, dims=dims)


def to_blocks(call: GraphCall) -> Spaced:
    """SpaceToBatchND: pixels of one remainder become images of their own, for a dilated convolution."""
    x = call.map()
    block = call.fixed_numbers(1, "a block")
    pads = call.numbers(2, "a padding")
    if len(block) != 2 or any(len(numbers) != 4 for numbers in pads):
        raise call.refusal("cuts blocks of other axes than rows and columns")
    sides = tuple(((n[0], n[1]), (n[2], n[3])) for n in pads)
    for shape, pair in zip(x.shapes, sides, strict=True):
        if any((size + sum(side)) % step for size, side, step in zip(shape[2:], pair, block, strict=True)):
            raise ValueError(f"blocks of {block[0]} x {block[1]} pixels on {shape[2]} x {shape[3]}")
    return Spaced(x, (block[0], block[1]), sides)


RULES: dict[str, Rule] = {
    "Conv2D": convolution,
    "DepthwiseConv2dNative": depthwise,
    "Conv2DBackpropInput": transposed,
    "BiasAdd": bias,
    "BiasAddV1": bias,
    "MatMul": matmul,
    "BatchMatMul": matmul,
    "BatchMatMulV2": matmul,
    "SpaceToBatchND": to_blocks,
}
