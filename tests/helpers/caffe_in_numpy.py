"""What Caffe's layers compute, written from their description in NumPy and double precision, one layer after the other."""

import math

import numpy as np
from helpers.references import images, relative


def run(net, **images):
    """The blobs of a `caffe_programs.Net` by their names; images are `(batch, channels, height, width)`."""
    blobs = {name: image.astype("float64") for name, image in images.items()}
    for layer in net.layers:
        inputs = [blobs[name] for name in layer.bottoms]
        weights = [np.asarray(blob, "float64") for blob in layer.blobs]
        results = LAYERS[layer.kind](layer.parameters, weights, *inputs, tops=len(layer.tops))
        for name, result in zip(layer.tops, results if isinstance(results, list) else [results], strict=True):
            blobs[name] = result
    return blobs


def difference(model, net, size, batch=2):
    """The largest relative difference of any output of a model from NumPy's, on noise."""
    pixels = {
        name: images(*size, batch=batch, channels=shape[0], seed=seed)
        for seed, (name, shape) in enumerate(net.inputs.items())
    }
    blobs = run(net, **{name: image.transpose(0, 3, 1, 2) for name, image in pixels.items()})
    results = model(list(pixels.values()) if len(pixels) > 1 else next(iter(pixels.values())))
    worst = 0.0
    for name, result in zip(net.outputs(), results if isinstance(results, list) else [results], strict=True):
        value = np.asarray(result)
        value = value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
        assert value.shape == blobs[name].shape, (name, size)
        worst = max(worst, relative(value, blobs[name]))
    return worst


def _pair(p, both, each, default):
    if f"{each}_h" in p or f"{each}_w" in p:
        return p.get(f"{each}_h", default), p.get(f"{each}_w", default)
    value = p.get(both, default)
    return tuple(value) if isinstance(value, list | tuple) else (value, value)


def convolution(p, w, x, **_):
    (sy, sx), (py, px) = _pair(p, "stride", "stride", 1), _pair(p, "pad", "pad", 0)
    dy, dx = _pair(p, "dilation", "dilation", 1) if "hole" not in p else (p["hole"], p["hole"])
    kernel, groups = w[0], x.shape[1] // w[0].shape[1]
    x = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    rows, columns = kernel.shape[2:]
    height = (x.shape[2] - dy * (rows - 1) - 1) // sy + 1
    width = (x.shape[3] - dx * (columns - 1) - 1) // sx + 1
    result = np.zeros((len(x), len(kernel), height, width))
    filters, channels = len(kernel) // groups, kernel.shape[1]
    for g in range(groups):
        for i in range(rows):
            for j in range(columns):
                part = x[:, g * channels : (g + 1) * channels, i * dy :, j * dx :]
                part = part[:, :, : (height - 1) * sy + 1 : sy, : (width - 1) * sx + 1 : sx]
                part_of_kernel = kernel[g * filters : (g + 1) * filters, :, i, j]
                result[:, g * filters : (g + 1) * filters] += np.einsum("oc,nchw->nohw", part_of_kernel, part)
    return result + (w[1][:, None, None] if len(w) > 1 else 0)


def deconvolution(p, w, x, **_):
    (sy, sx), (py, px) = _pair(p, "stride", "stride", 1), _pair(p, "pad", "pad", 0)
    (dy, dx), groups = _pair(p, "dilation", "dilation", 1), p.get("group", 1)
    kernel = w[0]
    rows, columns = kernel.shape[2:]
    height, width = (
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(x.shape[2:], (sy, sx), (dy, dx), (rows, columns), strict=True)
    )
    filters, channels = kernel.shape[1], kernel.shape[0] // groups
    result = np.zeros((len(x), filters * groups, height, width))
    for g in range(groups):
        for i in range(rows):
            for j in range(columns):
                part_of_kernel = kernel[g * channels : (g + 1) * channels, :, i, j]
                part = np.einsum("co,nchw->nohw", part_of_kernel, x[:, g * channels : (g + 1) * channels])
                place = (
                    slice(i * dy, i * dy + (x.shape[2] - 1) * sy + 1, sy),
                    slice(j * dx, j * dx + (x.shape[3] - 1) * sx + 1, sx),
                )
                result[:, g * filters : (g + 1) * filters, *place] += part
    result = result[:, :, py : height - py, px : width - px]
    return result + (w[1][:, None, None] if len(w) > 1 else 0)


def inner_product(p, w, x, **_):
    axis = p.get("axis", 1) % x.ndim
    matrix = w[0].T if p.get("transpose") else w[0]
    x = x.reshape(*x.shape[:axis], -1)
    return x @ matrix.T + (w[1] if len(w) > 1 else 0)


def pooling(p, w, x, tops=1):
    n, c, height, width = x.shape
    if p.get("global_pooling"):
        function = np.max if p.get("pool", "MAX") == "MAX" else np.mean
        return function(x, axis=(2, 3), keepdims=True)
    (ky, kx), (sy, sx) = _pair(p, "kernel_size", "kernel", 0), _pair(p, "stride", "stride", 1)
    py, px = _pair(p, "pad", "pad", 0)
    rounded = math.floor if p.get("round_mode") == "FLOOR" or p.get("ceil_mode") is False else math.ceil
    rows = rounded((height + 2 * py - ky) / sy) + 1
    columns = rounded((width + 2 * px - kx) / sx) + 1
    if py or px:
        rows -= (rows - 1) * sy >= height + py
        columns -= (columns - 1) * sx >= width + px
    result = np.empty((n, c, rows, columns))
    places = np.full((n, c, rows, columns), -1.0)
    for i in range(rows):
        for j in range(columns):
            top, left = i * sy - py, j * sx - px
            bottom, right = min(top + ky, height + py), min(left + kx, width + px)
            size = (bottom - top) * (right - left)
            top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
            window = x[:, :, top:bottom, left:right]
            if p.get("pool", "MAX") == "AVE":
                result[:, :, i, j] = window.sum((2, 3)) / size
            elif window.size == 0:
                result[:, :, i, j] = np.finfo("float32").min
            else:
                result[:, :, i, j] = window.max((2, 3))
                best = window.reshape(n, c, -1).argmax(-1)
                wide = right - left
                places[:, :, i, j] = (top + best // wide) * width + left + best % wide
    return result if tops == 1 else [result, places]


def upsample(p, w, x, places=None, **_):
    n, c, height, width = x.shape
    scales = p.get("scale_h", p.get("scale")), p.get("scale_w", p.get("scale"))
    if places is None:
        return x.repeat(scales[0], 2).repeat(scales[1], 3)
    rows = p["upsample_h"] if "upsample_h" in p else height * scales[0] - int(p.get("pad_out_h", False))
    columns = p["upsample_w"] if "upsample_w" in p else width * scales[1] - int(p.get("pad_out_w", False))
    result = np.zeros((n, c, rows * columns))
    np.put_along_axis(result, places.reshape(n, c, -1).astype(int), x.reshape(n, c, -1), -1)
    return result.reshape(n, c, rows, columns)


def _of_channels(numbers, x, axis=1):
    return numbers.reshape((1,) * axis + numbers.shape + (1,) * (x.ndim - axis - numbers.ndim))


def batch_norm(p, w, x, **_):
    factor = 0 if w[2][0] == 0 else 1 / w[2][0]
    mean, variance = (_of_channels(part.ravel() * factor, x) for part in w[:2])
    y = (x - mean) / np.sqrt(variance + p.get("eps", 1e-5))
    return y * _of_channels(w[3].ravel(), x) + _of_channels(w[4].ravel(), x) if len(w) == 5 else y


def bn(p, w, x, **_):
    w = [_of_channels(part.ravel(), x) for part in w]
    if len(w) == 4:
        x = (x - w[2]) / np.sqrt(w[3] + p.get("eps", 1e-5))
    return x * w[0] + w[1]


def scale(p, w, x, other=None, **_):
    if other is not None:
        return x * other.reshape(other.shape + (1,) * (x.ndim - other.ndim))
    y = x * _of_channels(w[0], x, p.get("axis", 1) % x.ndim)
    return y + _of_channels(w[1], x, p.get("axis", 1) % x.ndim) if p.get("bias_term") else y


def bias(p, w, x, other=None, **_):
    if other is not None:
        return x + other.reshape(other.shape + (1,) * (x.ndim - other.ndim))
    return x + _of_channels(w[0], x, p.get("axis", 1) % x.ndim)


def lrn(p, w, x, **_):
    size, alpha, beta, k = p.get("local_size", 5), p.get("alpha", 1.0), p.get("beta", 0.75), p.get("k", 1.0)
    half = size // 2
    if p.get("norm_region") == "WITHIN_CHANNEL":
        padded = np.pad(x**2, ((0, 0), (0, 0), (half, half), (half, half)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))
        return x * (1 + alpha * windows.mean((-1, -2))) ** -beta
    padded = np.pad(x**2, ((0, 0), (half, half), (0, 0), (0, 0)))
    sums = sum(padded[:, index : index + x.shape[1]] for index in range(size))
    return x * (k + alpha / size * sums) ** -beta


def mvn(p, w, x, **_):
    axes = (1, 2, 3) if p.get("across_channels") else (2, 3)
    y = x - x.mean(axes, keepdims=True)
    if p.get("normalize_variance", True):
        y = y / (np.sqrt((y**2).mean(axes, keepdims=True)) + p.get("eps", 1e-9))
    return y


def normalize(p, w, x, **_):
    axes = (1, 2, 3) if p.get("across_spatial", True) else (1,)
    y = x / np.sqrt((x**2).sum(axes, keepdims=True) + p.get("eps", 1e-10))
    return y * (w[0].ravel() if p.get("channel_shared", True) else _of_channels(w[0].ravel(), x))


def prelu(p, w, x, **_):
    slope = w[0].ravel() if w[0].size == 1 else _of_channels(w[0].ravel(), x)
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


def power(p, w, x, **_):
    return (p.get("shift", 0.0) + p.get("scale", 1.0) * x) ** p.get("power", 1.0)


def exponential(p, w, x, **_):
    base = math.e if p.get("base", -1) == -1 else p["base"]
    return base ** (p.get("shift", 0.0) + p.get("scale", 1.0) * x)


def logarithm(p, w, x, **_):
    base = 1 if p.get("base", -1) == -1 else math.log(p["base"])
    return np.log(p.get("shift", 0.0) + p.get("scale", 1.0) * x) / base


def eltwise(p, w, *xs, **_):
    operation, factors = p.get("operation", "SUM"), p.get("coeff") or [1] * len(xs)
    if operation == "SUM":
        return sum(factor * x for factor, x in zip(factors, xs, strict=True))
    function = np.multiply if operation == "PROD" else np.maximum
    result = xs[0]
    for x in xs[1:]:
        result = function(result, x)
    return result


def slice_(p, w, x, tops=2):
    axis = p.get("axis", p.get("slice_dim", 1))
    points = p.get("slice_point", [])
    return np.split(x, points if isinstance(points, list) and points else tops, axis)


def crop(p, w, x, like, **_):
    axis, offsets = p.get("axis", 2), p.get("offset", [0])
    offsets = offsets if isinstance(offsets, list) else [offsets]
    offsets = offsets * (x.ndim - axis) if len(offsets) == 1 else offsets
    for place, offset in zip(range(axis, x.ndim), offsets, strict=True):
        x = x.take(range(offset, offset + like.shape[place]), place)
    return x


def interp(p, w, x, **_):
    before, after = -p.get("pad_beg", 0), -p.get("pad_end", 0)
    x = x[:, :, before : x.shape[2] - after, before : x.shape[3] - after]
    zoom, shrink = p.get("zoom_factor"), p.get("shrink_factor")

    def size(n, stated):
        if shrink and not zoom:
            return (n - 1) // shrink + 1
        if zoom and not shrink:
            return n + (n - 1) * (zoom - 1)
        if p.get("height") and p.get("width"):
            return stated
        n = (n - 1) // shrink + 1
        return n + (n - 1) * (zoom - 1)

    for axis, stated in ((2, p.get("height")), (3, p.get("width"))):
        n = x.shape[axis]
        outputs = size(n, stated)
        step = (n - 1) / (outputs - 1) if outputs > 1 else 0
        place = step * np.arange(outputs)
        first = np.minimum(np.floor(place + 1e-9).astype(int), n - 1)
        share = (place - first).reshape([-1 if index == axis else 1 for index in range(4)])
        x = x.take(first, axis) * (1 - share) + x.take(np.minimum(first + 1, n - 1), axis) * share
    return x


def reshape(p, w, x, **_):
    dims = p["shape"]["dim"]
    axis, count = p.get("axis", 0), p.get("num_axes", -1)
    axis = axis if axis >= 0 else x.ndim + axis + 1
    end = x.ndim if count == -1 else axis + count
    sizes = [x.shape[axis + index] if dim == 0 else dim for index, dim in enumerate(dims)]
    if axis == 0 and dims[0] == 1:
        sizes[0] = x.shape[0]  # a batch of one stands for any
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = math.prod(x.shape[axis:end]) // known
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[end:])


def flatten(p, w, x, **_):
    first, last = p.get("axis", 1) % x.ndim, p.get("end_axis", -1) % x.ndim
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


def permute(p, w, x, **_):
    order = list(p["order"])
    return x.transpose(order + [axis for axis in range(x.ndim) if axis not in order])


def reduction(p, w, x, **_):
    axis = p.get("axis", 0) % x.ndim
    axes = tuple(range(axis, x.ndim))
    operation = p.get("operation", "SUM")
    y = {"ASUM": abs, "SUMSQ": np.square}.get(operation, lambda value: value)(x)
    return p.get("coeff", 1.0) * (y.mean(axes) if operation == "MEAN" else y.sum(axes))


def softmax(p, w, x, **_):
    axis = p.get("axis", 1)
    y = np.exp(x - x.max(axis, keepdims=True))
    return y / y.sum(axis, keepdims=True)


def argmax(p, w, x, **_):
    axis = p.get("axis")
    if axis is None:
        x, axis = x.reshape(len(x), 1, -1), 2
    if p.get("out_max_val"):
        return x.max(axis, keepdims=True)
    flipped = np.flip(x, axis).argmax(axis)
    return (x.shape[axis] - 1.0 - flipped)[(slice(None),) * axis + (None,)]


def shuffle(p, w, x, **_):
    return x.reshape(len(x), p["group"], -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


def axpy(p, w, factor, x, y, **_):
    return factor.reshape(*factor.shape[:2], 1, 1) * x + y


LAYERS = {
    **dict.fromkeys(("Convolution", "DepthwiseConvolution", "ConvolutionDepthwise"), convolution),
    "Deconvolution": deconvolution,
    "InnerProduct": inner_product,
    "Pooling": pooling,
    "Upsample": upsample,
    "BatchNorm": batch_norm,
    "BN": bn,
    "Scale": scale,
    "Bias": bias,
    "LRN": lrn,
    "MVN": mvn,
    "Normalize": normalize,
    "PReLU": prelu,
    "ReLU": lambda p, w, x, **_: np.maximum(x, 0) + p.get("negative_slope", 0) * np.minimum(x, 0),
    "ReLU6": lambda p, w, x, **_: np.clip(x, 0, 6),
    "ELU": lambda p, w, x, **_: np.where(x > 0, x, p.get("alpha", 1.0) * np.expm1(np.minimum(x, 0))),
    "Sigmoid": lambda p, w, x, **_: 1 / (1 + np.exp(-x)),
    "TanH": lambda p, w, x, **_: np.tanh(x),
    "AbsVal": lambda p, w, x, **_: np.abs(x),
    "BNLL": lambda p, w, x, **_: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "Swish": lambda p, w, x, **_: x / (1 + np.exp(-p.get("beta", 1.0) * x)),
    "Clip": lambda p, w, x, **_: np.clip(x, p["min"], p["max"]),
    "Threshold": lambda p, w, x, **_: (x > p.get("threshold", 0)).astype("float64"),
    "Power": power,
    "Exp": exponential,
    "Log": logarithm,
    "Dropout": lambda p, w, x, **_: x,
    "Softmax": softmax,
    "ArgMax": argmax,
    "Eltwise": eltwise,
    "Axpy": axpy,
    "Reduction": reduction,
    "Tile": lambda p, w, x, **_: np.concatenate([x] * p["tiles"], p.get("axis", 1)),
    "Concat": lambda p, w, *xs, **_: np.concatenate(xs, p.get("axis", p.get("concat_dim", 1))),
    "Slice": slice_,
    "Split": lambda p, w, x, tops=1: [x] * tops,
    "Crop": crop,
    "Interp": interp,
    "Reshape": reshape,
    "Flatten": flatten,
    "Permute": permute,
    "ShuffleChannel": shuffle,
}
