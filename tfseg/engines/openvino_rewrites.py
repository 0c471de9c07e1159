"""Convolutions of an OpenVINO graph in fewer operations, or in operations that it runs faster."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfseg.rewrites.winograd import RESULTS, SPAN, TAPS, winograd_matrices
from tfseg.types import Array

if TYPE_CHECKING:
    import openvino

# As measured on a Xeon with AVX-512, see BUILD_NOTES.md.
LEAST_PLACES = 49  # of a kernel that becomes a matrix product: rows times columns
LEAST_WEIGHTS = 2**26  # of that kernel: with fewer, or over large maps, the convolution is as fast
LEAST_CHANNELS = 256  # in and out, of a 3x3 kernel that filters along rows
LEAST_PIXELS = 2000  # of its result: for fewer, reading twice the weights costs more than multiplying
MOST_WASTE = 1.1  # of its windows, which end after the map


class _Convolution(NamedTuple):
    """A convolution of stride 1, without dilation, one group; kernel `(filters, channels, rows, columns)`."""

    node: "openvino.Node"
    kernel: Array
    begin: tuple[int, int]
    end: tuple[int, int]


def multiply_large_kernels(model: "openvino.Model") -> int:
    """A convolution with a large kernel, such as fc6, is a product: what each result reads, times the kernel.

    OpenVINO's convolution needs up to twice the time of the product there, in float32. What each result reads is
    copied, so a map needs as many times its memory as the kernel has places.

    Args:
        model: graph, changed in place.
    Returns: how many convolutions were changed.
    """
    return _replace(model, _is_large, _as_product)


def filter_rows(model: "openvino.Model") -> int:
    """Half of the multiplications of a wide 3x3 convolution: 6 instead of 12 for four results of a kernel's row.

    A row of pixels is read in windows of six, which overlap by two. B^T makes six numbers of a window; each is
    convolved with a kernel of three rows and one column, a group of its own; A^T makes four results of the six. The
    three steps are one copy, a product of small matrices on either side, and one convolution with six groups.

    Along both axes a quarter would be left to multiply, but OpenVINO then spends what is saved on copies.

    Args:
        model: graph, changed in place; only maps whose size is known, and large enough, are filtered so.
    Returns: how many convolutions were changed.
    Reference: Lavin and Gray 2015, https://arxiv.org/abs/1509.09308
    """
    return _replace(model, _is_wide, _along_rows)


def convolve_before_doubling(model: "openvino.Model") -> int:
    """A 3x3 convolution of a map that was doubled to the nearest pixel needs 16 of 36 multiplications before it.

    Each pixel is there four times, so the nine places of the kernel read four pixels of the small map: places that read
    the same pixel are added up. Results of even rows add up others than those of odd rows, and so do columns: that
    makes four kernels of 2x2, whose results are laid between each other. Where the doubled map stands beside others, as
    in a U-Net, those are convolved as they are, and the two results are added.

    Args:
        model: graph, changed in place; only maps whose size is known are changed.
    Returns: how many convolutions were changed.
    """
    from openvino import passes

    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())  # which pixels a resize reads
    folding.run_passes(model)
    return _replace(model, _reads_doubled, _before_doubling)


def _replace(
    model: "openvino.Model", fits: Callable[[_Convolution], bool], built: Callable[[_Convolution], "openvino.Node"]
) -> int:
    chosen = [conv for conv in map(_plain, model.get_ordered_ops()) if conv is not None and fits(conv)]
    for conv in chosen:
        output = built(conv).output(0)
        for reader in conv.node.output(0).get_target_inputs():
            reader.replace_source_output(output)
    if chosen:
        model.validate_nodes_and_infer_types()
    return len(chosen)


def _plain(node: "openvino.Node") -> _Convolution | None:
    """The convolution that a node is; None: it is something else, or has strides, dilation or computed weights."""
    if node.get_type_name() != "Convolution":
        return None
    weights, options = node.input_value(1).get_node(), node.get_attributes()
    if weights.get_type_name() != "Constant" or weights.get_element_type().get_type_name() != "f32":
        return None
    if max(*options["strides"], *options["dilations"]) > 1 or len(options["strides"]) != 2:
        return None
    kernel = weights.get_data()
    begin, end = list(options["pads_begin"]), list(options["pads_end"])
    if options["auto_pad"] == "valid":
        begin = end = [0, 0]
    elif options["auto_pad"] != "explicit":
        lost = [side - 1 for side in kernel.shape[2:]]
        few, many = [side // 2 for side in lost], [side - side // 2 for side in lost]
        begin, end = (few, many) if options["auto_pad"] == "same_upper" else (many, few)
    return _Convolution(node, kernel, (begin[0], begin[1]), (end[0], end[1]))


def _is_large(conv: _Convolution) -> bool:
    return math.prod(conv.kernel.shape[2:]) >= LEAST_PLACES and conv.kernel.size >= LEAST_WEIGHTS


def _as_product(conv: _Convolution) -> "openvino.Node":
    import openvino.opset13 as nodes

    filters, channels, rows, columns = conv.kernel.shape
    x = nodes.transpose(conv.node.input_value(0), [0, 2, 3, 1])  # costs nothing: OpenVINO's maps lie in this order
    x = _windows(x, 2, 1, columns, conv.begin[1], _results(x, 2, conv))
    x = _windows(x, 1, 1, rows, conv.begin[0], _results(x, 1, conv))
    # Batch, height, width, channels, rows, columns: as the kernel lies, which is too large to be copied.
    x = nodes.transpose(x, [0, 1, 3, 5, 2, 4])
    x = nodes.reshape(x, [0, 0, 0, channels * rows * columns], True)
    kernel = nodes.reshape(conv.node.input_value(1), [filters, -1], False)
    return nodes.transpose(nodes.matmul(x, kernel, False, True), [0, 3, 1, 2])


def _is_wide(conv: _Convolution) -> bool:
    shape = conv.node.get_output_partial_shape(0)
    if conv.kernel.shape[2:] != (TAPS, TAPS) or shape.is_dynamic:
        return False
    filters, height, width = list(shape.to_shape())[1:]
    read = -(-width // RESULTS) * RESULTS
    wide = min(filters, conv.kernel.shape[1]) >= LEAST_CHANNELS
    return bool(wide and height * width >= LEAST_PIXELS and read <= MOST_WASTE * width)


def _along_rows(conv: _Convolution) -> "openvino.Node":
    import openvino.opset13 as nodes

    filters, channels = conv.kernel.shape[:2]
    matrices = winograd_matrices()
    kernel = np.einsum("ik,fcrk->ifcr", matrices.kernel, conv.kernel.astype("float64"))[..., None]
    x = nodes.transpose(conv.node.input_value(0), [0, 2, 3, 1])
    results = _results(x, 2, conv)
    tiles = nodes.divide(nodes.add(results, [RESULTS - 1]), [RESULTS])
    x = nodes.matmul(_float32(matrices.pixels), _windows(x, 2, RESULTS, SPAN, conv.begin[1], tiles), False, False)
    x = nodes.transpose(nodes.reshape(x, [0, 0, -1, SPAN * channels], True), [0, 3, 1, 2])
    x = nodes.group_convolution(x, _float32(kernel), [1, 1], [conv.begin[0], 0], [conv.end[0], 0], [1, 1])
    x = nodes.reshape(nodes.transpose(x, [0, 2, 3, 1]), [0, 0, -1, SPAN, filters], True)
    x = nodes.reshape(nodes.matmul(_float32(matrices.results), x, False, False), [0, 0, -1, filters], True)
    return nodes.transpose(nodes.slice(x, [0], results, [1], [2]), [0, 3, 1, 2])


def _reads_doubled(conv: _Convolution) -> bool:
    same = conv.begin == conv.end == (1, 1) and conv.kernel.shape[2:] == (TAPS, TAPS)
    return same and any(_small(source) is not None for source in _sources(conv.node.input_value(0)))


def _sources(x: "openvino.Output") -> list["openvino.Output"]:
    """The maps that stand beside each other in a map, or the map itself."""
    node = x.get_node()
    beside = node.get_type_name() == "Concat" and node.get_attributes()["axis"] == 1
    return list(node.input_values()) if beside else [x]


def _small(x: "openvino.Output") -> "openvino.Output | None":
    """The map that was doubled to the nearest pixel; None: it is no such map."""
    for axis in (3, 2):
        node = x.get_node()
        if node.get_type_name() != "Gather" or x.get_partial_shape().is_dynamic:
            return None
        source, places, of_axis = node.input_values()
        places, of_axis = places.get_node(), of_axis.get_node()
        if {places.get_type_name(), of_axis.get_type_name()} != {"Constant"} or of_axis.get_data().item() != axis:
            return None
        if not np.array_equal(places.get_data(), np.arange(2 * source.get_shape()[axis]) // 2):
            return None
        x = source
    return x


def _before_doubling(conv: _Convolution) -> "openvino.Node":
    import openvino.opset13 as nodes

    total, beside, kernels, first = None, [], [], 0
    for source in _sources(conv.node.input_value(0)):
        kernel = conv.kernel[:, first : first + source.get_shape()[1]]
        first += kernel.shape[1]
        small = _small(source)
        if small is None:
            beside.append(source)
            kernels.append(kernel)
            continue
        x = nodes.convolution(small, _float32(_four_kernels(kernel)), [1, 1], [1, 1], [1, 1], [1, 1])
        x = nodes.depth_to_space(x, "blocks_first", 2)
        x = nodes.slice(x, [1, 1], [-1, -1], [1, 1], [2, 3])
        total = x if total is None else nodes.add(total, x)
    if not beside:
        return total
    x = beside[0] if len(beside) == 1 else nodes.concat(beside, 1)
    x = nodes.convolution(x, _float32(np.concatenate(kernels, 1)), [1, 1], [1, 1], [1, 1], [1, 1])
    return nodes.add(x, total)


# For results of even and of odd places: which taps read the first, and which the second pixel of the small map.
_TAPS_OF = (((0,), (1, 2)), ((0, 1), (2,)))


def _four_kernels(kernel: Array) -> Array:
    """Kernels of 2x2 `(4 filters, channels, 2, 2)`; the odd results, which lie first in a pixel of the pair, first."""
    kernels = [
        [[kernel[:, :, list(rows)][..., list(columns)].sum((2, 3)) for columns in _TAPS_OF[x]] for rows in _TAPS_OF[y]]
        for y in (1, 0)
        for x in (1, 0)
    ]
    return np.concatenate([np.moveaxis(np.array(places), (0, 1), (2, 3)) for places in kernels])


def _results(x: "openvino.Node", axis: int, conv: _Convolution) -> "openvino.Node":
    """The number of results along an axis of `(batch, height, width, channels)`, as a vector of one."""
    import openvino.opset13 as nodes

    more = conv.begin[axis - 1] + conv.end[axis - 1] + 1 - conv.kernel.shape[axis + 1]
    count = nodes.add(nodes.gather(nodes.shape_of(x), [axis], 0), [more])
    return nodes.maximum(count, [0])  # a negative one would be read as its absolute value


def _windows(
    x: "openvino.Node", axis: int, step: int, length: int, before: int, count: "openvino.Node"
) -> "openvino.Node":
    """Windows of an axis, which becomes two: windows, and places in a window. The map is continued by zeros."""
    import openvino.opset13 as nodes

    pixels = nodes.gather(nodes.shape_of(x), [axis], 0)
    first = nodes.multiply(nodes.range(0, nodes.squeeze(count, 0), 1, "i64"), [step])
    place = nodes.add(nodes.unsqueeze(first, 1), np.arange(length)[None] - before)
    inside = nodes.logical_and(nodes.greater_equal(place, 0), nodes.less(place, pixels))
    return nodes.gather(x, nodes.select(inside, place, pixels), axis)  # outside of the map, it gives zeros


def _float32(values: Array) -> "openvino.Node":
    from openvino import op

    return op.Constant(np.ascontiguousarray(values, "float32"))  # an array would be made a list of numbers first
