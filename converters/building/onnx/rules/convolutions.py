"""Convolutions and products of matrices."""

from typing import Any

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.rules.axis_matrices import along_axis
from converters.building.onnx.rules.windows import Window, check_literal_pads, padded, window
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known, Value


def _weights(call: Call, kernel: Known, first: int = 2) -> dict[str, Any]:
    bias = call.weight(first, "a bias") if call.has(first) else None
    return {"weight": kernel, "bias": bias}


def convolution(call: Call) -> Computed:
    """A convolution of maps or of sequences."""
    x, kernel = call.computed(), call.kernel("a kernel")
    outputs, inputs, *pixels = kernel.shapes[0]
    groups = call.attribute("group", 1)
    if x.rank not in (3, 4):
        raise call.refusal(f"is a convolution of {x.rank - 2} axes")
    if set(x.sizes(1)) != {inputs * groups} or outputs % groups:
        raise ValueError(f"a kernel for {inputs * groups} channels")
    windows = window(call, x, pixels)
    check_literal_pads(call, x, windows)
    shapes = [(shape[0], outputs, *windows.outputs(shape, index)) for index, shape in enumerate(x.shapes)]
    padding = windows.padding
    if not windows.is_even:
        x, padding = padded(call, x, windows.pads), [0] * len(pixels)
    return call.emit(
        "conv2d" if x.rank == 4 else "conv1d",
        shapes,
        input=x,
        **_weights(call, kernel),
        stride=list(windows.stride),
        padding=padding,
        dilation=list(windows.dilation),
        groups=groups,
    )


def transposed(call: Call) -> Computed:
    """A transposed convolution of maps."""
    x, kernel = call.computed(), call.kernel("a kernel")
    if x.rank != 4 or len(kernel.shapes[0]) != 4:
        raise call.refusal(f"is a transposed convolution of {x.rank - 2} axes")
    inputs, outputs, *pixels = kernel.shapes[0]
    groups = call.attribute("group", 1)
    if set(x.sizes(1)) != {inputs}:
        raise ValueError(f"a kernel for {inputs} channels")
    stride = call.attribute("strides", (1, 1))
    dilation = call.attribute("dilations", (1, 1))
    more = call.attribute("output_padding", (0, 0))
    ends = [_ends(call, shape, pixels, stride, dilation, more) for shape in x.shapes]
    if len({crop for crop, _ in ends}) != 1:
        raise call.refusal("cuts off what the size of the image says")
    (rows, columns), _ = ends[0]
    shapes = [(shape[0], outputs * groups, *sides) for shape, (_, sides) in zip(x.shapes, ends, strict=True)]
    # ATen cuts `padding` off both ends, and leaves `output_padding` of the second: it may be less than nothing here.
    crop, left = (rows[0], columns[0]), [rows[0] - rows[1], columns[0] - columns[1]]
    return call.emit(
        "conv_transpose2d",
        shapes,
        input=x,
        **_weights(call, kernel),
        stride=list(stride),
        padding=list(crop),
        output_padding=left,
        groups=groups,
        dilation=list(dilation),
    )


def _ends(call: Call, shape: Any, pixels: Any, stride: Any, dilation: Any, more: Any) -> tuple[Any, list[int]]:
    """`(what is cut off, rows and columns of the result)`; less than nothing is added as zeros would be."""
    whole = [
        step * (size - 1) + rate * (side - 1) + 1
        for size, side, step, rate in zip(shape[2:], pixels, stride, dilation, strict=True)
    ]
    mode, asked = call.attribute("auto_pad", "NOTSET"), call.attribute("output_shape")
    if asked is not None:
        call.literal("states the size of its result")
    if asked is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
        sides = list(asked)[-2:] if asked else [size * step for size, step in zip(shape[2:], stride, strict=True)]
        totals = [full + extra - side for full, extra, side in zip(whole, more, sides, strict=True)]
        # What is cut off may be less than the padding of the result.
        begins = [total // 2 if mode == "SAME_UPPER" else total - total // 2 for total in totals]
        crop = tuple((begin, total - begin - extra) for begin, total, extra in zip(begins, totals, more, strict=True))
    else:
        pads = call.attribute("pads", (0, 0, 0, 0)) if mode != "VALID" else (0, 0, 0, 0)
        crop = tuple((pads[axis], pads[axis + 2] - more[axis]) for axis in (0, 1))
    return crop, [full - sum(pair) for full, pair in zip(whole, crop, strict=True)]


def gemm(call: Call) -> Computed:
    """A fully connected layer on vectors."""
    x = call.computed()
    if call.attribute("transA", 0) or x.rank != 2:
        raise call.refusal("transposes what the network computes")
    kernel = call.kernel("a matrix")
    alpha, beta = float(call.attribute("alpha", 1.0)), float(call.attribute("beta", 1.0))
    matrix = kernel if call.attribute("transB", 0) else transposed_matrix(call, kernel)
    if alpha != 1:
        matrix = call.made(matrix.arrays[0] * np.float32(alpha), "scaled", matrix.parents)
    bias: Value | None = call.inputs[2] if call.has(2) else None
    added = None
    if isinstance(bias, Known) and beta != 0:
        array = call.weight(2, "a bias").arrays[0]
        units = matrix.shapes[0][0]
        if array.shape == (units,) and beta == 1:
            added = bias
        elif array.size in (1, units) and array.shape[-1:] in ((), (1,), (units,)):
            row = np.broadcast_to(array.reshape(-1) * np.float32(beta), (units,))
            added = call.made(np.array(row, "float32"), "shift", bias.parents)
        else:
            raise call.refusal("adds a matrix")
    elif isinstance(bias, Computed) and beta != 0:
        raise call.refusal("adds a matrix that the network computes")
    return product(call, x, matrix, added)


def transposed_matrix(call: Call, matrix: Known) -> Known:
    """A matrix of the file with its axes exchanged, as fully connected layers have it."""
    return call.made(np.ascontiguousarray(matrix.arrays[0].T), "transposed", matrix.parents)


def product(call: Call, x: Computed, matrix: Known, bias: Known | None = None) -> Computed:
    """A fully connected layer on the last axis of a tensor.

    Args:
        call: node.
        x: tensor.
        matrix: weights `(outputs, inputs)`.
        bias: shift of each output.
    Raises:
        ValueError: a matrix for another number of inputs.
    """
    units, inputs = matrix.shapes[0]
    if set(x.sizes(-1)) != {inputs}:
        raise ValueError(f"a matrix for {inputs} inputs")
    return call.emit("linear", [(*shape[:-1], units) for shape in x.shapes], input=x, weight=matrix, bias=bias)


def matmul(call: Call) -> Computed:
    """A product of matrices, one of which may be of the file."""
    left, right = call.inputs[0], call.inputs[1]
    if isinstance(right, Known) and isinstance(left, Computed):
        matrix = call.weight(1, "a matrix")
        if len(matrix.shapes[0]) > 2 and set(matrix.shapes[0][:-2]) == {1} and left.rank >= len(matrix.shapes[0]):
            array = matrix.arrays[0].reshape(matrix.shapes[0][-2:])
            matrix = call.made(array, "matrix", matrix.parents)
        if len(matrix.shapes[0]) == 2:
            return product(call, left, transposed_matrix(call, matrix))
        raise call.refusal("multiplies by several matrices of the file")
    if isinstance(left, Known) and isinstance(right, Computed):
        if not left.is_fixed and (changed := along_axis(call, left, right)):
            return changed
        if len(left.shapes[0]) != 2 or right.rank < 2:
            raise call.refusal("multiplies by several matrices of the file")
        axes = [*range(right.rank - 2), right.rank - 1, right.rank - 2]
        swapped = call.emit("permute", [_swapped(shape) for shape in right.shapes], input=right, dims=axes)
        result = product(call, swapped, call.weight(0, "a matrix"))
        return call.emit("permute", [_swapped(shape) for shape in result.shapes], input=result, dims=axes)
    x, y = call.computed(0), call.computed(1)
    if x.rank < 2 or y.rank < 2:
        raise call.refusal("multiplies vectors")
    shapes = []
    for first, second in zip(x.shapes, y.shapes, strict=True):
        if first[-1] != second[-2]:
            raise ValueError(f"{first[-1]} columns and {second[-2]} rows")
        shapes.append((*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-1]))
    return call.emit("matmul", shapes, input=x, other=y)


def _swapped(shape: Any) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2])


def einsum(call: Call) -> Computed:
    """A product over named axes."""
    equation = str(call.attribute("equation", "")).replace(" ", "")
    parts = [
        value if isinstance(value, Computed) else call.weight(index, "a factor")
        for index, value in enumerate(call.inputs)
    ]
    sources, arrow, target = equation.partition("->")
    if not arrow or "." in equation:
        raise call.refusal("has axes without names")
    shapes = []
    for index in range(len(parts[0].shapes)):
        sizes: dict[str, int] = {}
        for names, part in zip(sources.split(","), parts, strict=True):
            for letter, size in zip(names, part.shapes[index], strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ValueError(f"the axis {letter} has two sizes")
        shapes.append(tuple(sizes[letter] for letter in target))
    return call.emit("einsum", shapes, equation=equation, tensors=list(parts))


RULES: dict[str, Rule] = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
}
__all__ = ["RULES", "Window"]
