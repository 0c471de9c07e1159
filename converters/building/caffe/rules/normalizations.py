"""Normalizations, and the factors and shifts of channels."""

from typing import Any

from converters.building.caffe.tracing import Call, Rule
from converters.building.onnx.values import Computed
from converters.types import Shape

_WIDEST = 64  # channels that a response normalization may sum


def _channels(call: Call, x: Computed) -> int:
    if x.rank < 2 or x.is_free(1):
        raise call.refusal("normalizes channels whose number is not fixed")
    return x.sizes(1)[0]


def batch_norm(call: Call) -> Computed:
    """BatchNorm with the statistics of the file. NVIDIA's has a factor and a shift."""
    x = call.input()
    channels, scaled = _channels(call, x), call.parameters["scale_bias"]
    if not call.parameters["use_global_stats"]:
        raise call.refusal(
            "normalizes with the statistics of the batch (use_global_stats: false), so that the result for an image "
            "depends on the others"
        )
    statistics, factors = dict.fromkeys(("mean", "variance"), (channels,)), (channels,) if scaled else None
    weights = call.weights(**statistics, gamma=factors, beta=factors)
    return _normalized(call, x, weights, round(1 - call.parameters["moving_average_fraction"], 7))


def _normalized(call: Call, x: Computed, weights: dict[str, Any], momentum: float = 0.1) -> Computed:
    return call.step(
        "batch_norm",
        x,
        weight=weights["gamma"],
        bias=weights["beta"],
        running_mean=weights["mean"],
        running_var=weights["variance"],
        training=False,
        momentum=momentum,
        eps=call.parameters["eps"],
    )


def segmenters_norm(call: Call) -> Computed:
    """The normalization of PSPNet's Caffe, with its statistics; SegNet's, which has them in its factors."""
    x = call.input()
    channels, mode = _channels(call, x), call.parameters["bn_mode"]
    if call.shape_of("mean") is not None:
        if mode:
            raise call.refusal("has four weights, and a bn_mode, which only the layer with two weights has")
        return _normalized(call, x, call.weights(**dict.fromkeys(("gamma", "beta", "mean", "variance"), (channels,))))
    if mode != "INFERENCE":
        raise call.refusal(
            "has no statistics: it normalizes with those of the batch. Fold them into its factors with SegNet's "
            "compute_bn_statistics.py, and give the prototxt with bn_mode: INFERENCE"
        )
    weights = call.weights(gamma=(channels,), beta=(channels,))
    return call.step("channel_affine", x, weight=weights["gamma"], bias=weights["beta"], axis=1)


def scale(call: Call) -> Computed:
    """A factor, and a shift, for each entry of some axes: numbers of the file, or another blob."""
    bias = bool(call.parameters["bias_term"])
    if len(call.inputs) == 2:
        if bias:
            raise call.refusal("multiplies two blobs, and has a bias_term too")
        return combined(call, "mul", call.inputs[0], call.inputs[1])
    x = call.input()
    axis, shape = _axes(call, x)
    weights = call.weights(gamma=shape, beta=shape if bias else None)
    return call.step("channel_affine", x, weight=weights["gamma"], bias=weights["beta"], axis=axis)


def bias(call: Call) -> Computed:
    """A shift for each entry of some axes: numbers of the file, or another blob."""
    if len(call.inputs) == 2:
        return combined(call, "add", call.inputs[0], call.inputs[1])
    x = call.input()
    axis, shape = _axes(call, x)
    return call.step("channel_affine", x, weight=None, bias=call.weights(beta=shape)["beta"], axis=axis)


def _axes(call: Call, x: Computed) -> tuple[int, tuple[int, ...]]:
    """The first axis that has weights, and their shape."""
    axis, count = call.axis(x, call.parameters["axis"]), call.parameters["num_axes"]
    last = x.rank if count == -1 else axis + count
    if axis == 0 and count:
        raise call.refusal("has a weight for each image of a batch")
    if count not in (0, 1) or any(x.is_free(place) for place in range(axis, min(last, x.rank))):
        # More than one axis: the file has the shape of one size.
        sizes = [x.sizes(place) for place in range(axis, min(last, x.rank))]
        if count < -1 or last > x.rank or any(len(set(side)) > 1 for side in sizes):
            raise call.mismatch("it has weights for axes whose size depends on the image")
        if len(sizes) > 1:
            raise call.refusal("has a weight for each pixel")
    return axis, tuple(x.sizes(place)[0] for place in range(axis, last)) or (1,)


def combined(call: Call, op: str, x: Computed, other: Computed) -> Computed:
    """Arithmetic of a blob with one that lacks its last axes, or its first ones.

    Args:
        call: layer.
        op: the step.
        x: blob of the result's shape.
        other: blob that is repeated.
    """
    axis = 0 if other.rank == x.rank else call.axis(x, call.parameters["axis"])
    if axis:
        raise call.refusal(f"repeats a blob along the images of a batch: its axis is {axis}, and 0 is expected")
    for whole, part in zip(x.shapes, other.shapes, strict=True):
        if whole[: len(part)] != part:
            raise call.mismatch("the second blob is no part of the first")
    if other.rank < x.rank:
        ones = (1,) * (x.rank - other.rank)
        other = call.emit("reshape", [(*shape, *ones) for shape in other.shapes], input=other)
    return call.emit(op, x.shapes, input=x, other=other)


def response_norm(call: Call) -> Computed:
    """Local response normalization, over neighboring channels or neighboring pixels."""
    x = call.input(rank=4)
    p, size = call.parameters, call.parameters["local_size"]
    if size < 1 or size % 2 == 0 or size > _WIDEST:
        raise call.refusal(f"needs an odd local_size, and has {size}")
    if p["norm_region"] == "ACROSS_CHANNELS":
        options = {"size": size, "alpha": p["alpha"] / size, "beta": p["beta"], "k": p["k"]}
        return call.step("response_norm", x, **options)
    if p["norm_region"] != "WITHIN_CHANNEL":
        raise call.refusal(f"normalizes by {p['norm_region']}")
    around = {"kernel_size": [size, size], "stride": [1, 1], "padding": [size // 2, size // 2]}
    squares = call.step("square", x)
    pooled = call.step("avg_pool2d", squares, **around, ceil_mode=False, count_include_pad=True, divisor_override=None)
    # Within channels, Caffe has 1 in place of k.
    shifted = call.step("add", call.step("mul", pooled, other=p["alpha"]), other=1.0)
    return call.step("mul", x, other=call.step("pow", shifted, exponent=-p["beta"]))


def mean_variance(call: Call) -> Computed:
    """Each channel, or each image, minus its mean and divided by its deviation."""
    x = call.input(rank=4)
    dims = [1, 2, 3] if call.parameters["across_channels"] else [2, 3]
    shapes = [tuple(1 if axis in dims else size for axis, size in enumerate(shape)) for shape in x.shapes]
    mean = call.emit("mean", shapes, input=x, dim=dims, keepdim=True)
    centered = call.step("sub", x, other=mean)
    if not call.parameters["normalize_variance"]:
        return centered
    variance = call.emit("mean", shapes, input=call.step("square", centered), dim=dims, keepdim=True)
    deviation = call.step("add", call.step("sqrt", variance), other=call.parameters["eps"])
    return call.step("div", centered, other=deviation)


def normalize(call: Call) -> Computed:
    """Vectors of length 1, as SSD has them: of each pixel, or of the whole image; then a factor for each channel."""
    x = call.input(rank=4)
    channels = _channels(call, x)
    dims = [1, 2, 3] if call.parameters["across_spatial"] else [1]
    shapes = [tuple(1 if axis in dims else size for axis, size in enumerate(shape)) for shape in x.shapes]
    squares = call.emit("sum", shapes, input=call.step("square", x), dim=dims, keepdim=True)
    length = call.step("sqrt", call.step("add", squares, other=call.parameters["eps"]))
    unit = call.step("div", x, other=length)
    shape: Shape = (channels,)
    if call.parameters["channel_shared"]:
        shape = () if call.shape_of("scale") == () else (1,)
    weights = call.weights(scale=shape)
    return call.step("channel_affine", unit, weight=weights["scale"], bias=None, axis=1)


RULES: dict[str, Rule] = {
    "BatchNorm": batch_norm,
    "BN": segmenters_norm,
    "Scale": scale,
    "Bias": bias,
    "LRN": response_norm,
    "MVN": mean_variance,
    "Normalize": normalize,
}
