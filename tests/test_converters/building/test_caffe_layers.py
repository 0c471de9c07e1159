"""Each of Caffe's layers in a network of a few: what the built model computes is what NumPy computes step by step."""

import keras
import numpy as np
import pytest
import torch
from helpers import caffe_in_numpy
from helpers.caffe_programs import Net
from helpers.references import images

import converters
from converters import ConversionError
from converters.building.caffe.build import build_from_caffe


def numbers(net, x, *shape, **kwargs):
    return net.numbers(*shape, **kwargs)


def conv(filters=5, kernel=3, **options):
    return lambda net, x: net.conv(x, filters, kernel, **options)


def layer(kind, blobs=(), **options):
    """A layer on a map of six channels; `blobs` are shapes."""

    def add(net, x):
        x = net.conv(x, 6)
        return net.add(kind, x, blobs=[net.numbers(*shape, around=0.5) for shape in blobs], **options)

    return add


def positive(kind, **options):
    """A layer on numbers between 0 and 1."""
    return lambda net, x: net.add(kind, net.add("Sigmoid", net.conv(x, 6)), **options)


def pool(kernel, stride, kind="MAX", pad=0, **options):
    return lambda net, x: net.pool(net.conv(x, 4), kernel, stride, kind, pad, **options)


def two(kind, *, blobs=(), count=2, **options):
    """A layer on two maps of one shape."""

    def add(net, x):
        maps = [net.conv(x, 6) for _ in range(count)]
        return net.add(kind, *maps, blobs=[net.numbers(*shape) for shape in blobs], **options)

    return add


def gated(kind, flat, **options):
    """A map and a factor for each of its channels."""

    def add(net, x):
        y = net.conv(x, 6)
        gate = net.add("Sigmoid", net.add("Pooling", y, pool="AVE", global_pooling=True))
        gate = net.add("Flatten", gate) if flat else gate
        return net.add(kind, gate, y, net.conv(x, 6)) if kind == "Axpy" else net.add(kind, y, gate, axis=0, **options)

    return add


def segnet(scale, odd=False, **options):
    """A pooling with places and what puts numbers back there."""

    def add(net, x):
        x, places = net.pool(net.conv(x, 4), tops=("pool", "places"))
        return net.add("Upsample", net.conv(x, 4), places, **options | {"scale": scale})

    return add


def sliced(**options):
    def add(net, x):
        first, second, third = net.add("Slice", net.conv(x, 6), tops=("a", "b", "c"), channels=2, **options)
        return net.add("Concat", third, net.relu(first), net.conv(second, 3))

    return add


def cropped(**options):
    def add(net, x):
        return net.add("Crop", net.conv(x, 4, pad=7), net.conv(x, 4), **options)

    return add


def split(net, x):
    first, second = net.add("Split", net.conv(x, 4), tops=("left", "right"))
    return net.add("Eltwise", net.relu(first), second)


def in_place(net, x):
    """Both layers read the same blob, which a third one writes over in between."""
    y = net.conv(x, 4)
    before = net.conv(y, 4)
    net.relu(y)
    return net.add("Eltwise", before, net.conv(y, 4), y, coeff=[1, -0.5, 2])


def shared(net, x):
    """One weight in two layers."""
    y = net.conv(x, 4)
    text = 'param { name: "w" } param { name: "b" }'
    first = net.conv(y, 4, text=text)
    second = net.conv(net.pool(y), 4, text=text)
    net.layers[-1].blobs[:] = net.layers[-3].blobs
    return net.add("Crop", first, second, offset=0)


def biased(net, x):
    y = net.norm(net.conv(x, 4, bias=False), scale=False)
    return net.add("Bias", y, blobs=[net.numbers(4)])


def nvidia(net, x):
    y = net.conv(x, 4)
    ones = np.ones(1, "float32")
    blobs = [net.numbers(4), abs(net.numbers(4)) + 0.3, ones, net.numbers(4), net.numbers(4)]
    return net.add("BatchNorm", y, blobs=blobs, scale_bias=True, eps=0.001)


def bn(count, **options):
    def add(net, x):
        blobs = [net.numbers(1, 4, 1, 1) for _ in range(count)]
        blobs[3:] = [abs(blob) + 0.3 for blob in blobs[3:]]
        return net.add("BN", net.conv(x, 4), blobs=blobs, **options)

    return add


def dense(**options):
    def add(net, x):
        y = net.add("Pooling", net.conv(x, 6), pool="AVE", global_pooling=True)
        return net.dense(net.relu(net.dense(y, 7, 6)), 3, 7, **options)

    return add


def transposed(net, x):
    y = net.add("Pooling", net.conv(x, 6), global_pooling=True)
    return net.add(
        "InnerProduct", y, blobs=[net.numbers(6, 6), net.numbers(6)], channels=6, num_output=6, transpose=True
    )


def permuted(net, x):
    """The head of a detector: channels last, then one row."""
    y = net.add("Permute", net.conv(x, 6), order=[0, 2, 3, 1])
    y = net.add("Reshape", y, shape={"dim": [0, -1, 3]})
    return net.add("Flatten", net.add("Softmax", y, axis=2))


def squeezed(net, x):
    y = net.add("Pooling", net.conv(x, 8), pool="AVE", global_pooling=True)
    return net.add("Reshape", y, shape={"dim": [1, 2, -1]})


LAYERS = {
    "convolution": conv(),
    "convolution, stride": conv(stride=2, pad=2, kernel=5),
    "convolution, dilated": conv(dilation=2, pad=2),
    "convolution, hole": conv(hole=3, pad=3),
    "convolution, window": conv(kernel=(1, 5), pad=(0, 2), bias=False),
    "convolution, even": conv(kernel=4, pad=1, stride=2),
    "convolution, groups": lambda net, x: net.conv(net.conv(x, 4), 6, group=2),
    "convolution, depthwise": lambda net, x: net.conv(net.conv(x, 4), 8, group=4),
    "depthwise layer": lambda net, x: net.conv(net.conv(x, 4), 4, group=4, kind="DepthwiseConvolution"),
    "deconvolution": lambda net, x: net.deconv(net.conv(x, 4), 3, 4, stride=2, pad=1),
    "deconvolution, groups": lambda net, x: net.deconv(net.conv(x, 4), 4, 4, stride=2, pad=1, group=4),
    "deconvolution, small": lambda net, x: net.deconv(net.conv(x, 4), 4, 2, stride=3, bias=True),
    "deconvolution, crop": lambda net, x: net.add("Crop", net.deconv(net.pool(x), 3, 5), x, offset=0),
    "pooling": pool(2, 2),
    "pooling, overlap": pool(3, 2),
    "pooling, padded": pool(3, 2, pad=1),
    "pooling, clipped": pool(2, 2, pad=1),
    "pooling, one pixel": pool(1, 2),
    "pooling, floor": pool(3, 2, round_mode="FLOOR"),
    "pooling, fork's floor": pool(3, 2, ceil_mode=False),
    "pooling, all": lambda net, x: net.add("Pooling", net.conv(x, 4), global_pooling=True),
    "pooling, window": lambda net, x: net.add(
        "Pooling", x, kernel_h=3, kernel_w=2, stride_h=2, stride_w=1, pad_h=1, pad_w=0
    ),
    "average": pool(2, 2, "AVE"),
    "average, overlap": pool(3, 2, "AVE"),
    "average, padded": pool(3, 2, "AVE", 1),
    "average, same": pool(3, 1, "AVE", 1),
    "average, wide": pool(5, 3, "AVE", 2),
    "average, larger than the map": pool(60, 60, "AVE"),
    "response": layer("LRN", local_size=3, alpha=0.5, beta=0.75, k=2.0),
    "response, default": layer("LRN"),
    "response within": layer("LRN", local_size=3, alpha=0.7, beta=0.5, norm_region="WITHIN_CHANNEL", k=3.0),
    "mean variance": layer("MVN"),
    "mean variance, channels": layer("MVN", across_channels=True, eps=0.01),
    "mean": layer("MVN", normalize_variance=False),
    "norm": lambda net, x: net.norm(net.conv(x, 4)),
    "norm, epsilon": lambda net, x: net.norm(net.conv(x, 4), scale=False, eps=0.1),
    "norm, bias": biased,
    "norm, factor 0": lambda net, x: net.norm(net.conv(x, 4), factor=0.0, eps=0.1),
    "norm, NVIDIA": nvidia,
    "norm, PSPNet": bn(4, frozen=True),
    "norm, SegNet": bn(2, bn_mode="INFERENCE"),
    "scale": layer("Scale", [(6,), (6,)], bias_term=True),
    "scale, one": layer("Scale", [()], axis=0, num_axes=0),
    "scale, gate": gated("Scale", True),
    "scale, map": two("Scale", axis=0),
    "bias": layer("Bias", [(6,)]),
    "normalize": layer("Normalize", [(6,)], across_spatial=False, channel_shared=False),
    "normalize, all": layer("Normalize", [(1,)]),
    "prelu": layer("PReLU", [(6,)]),
    "prelu, shared": layer("PReLU", [(1,)], channel_shared=True),
    "relu, slope": layer("ReLU", negative_slope=0.1),
    "relu 6": layer("ReLU6"),
    "elu": layer("ELU", alpha=0.7),
    "sigmoid": layer("Sigmoid"),
    "tanh": layer("TanH"),
    "absolute": layer("AbsVal"),
    "bnll": layer("BNLL"),
    "swish": layer("Swish", beta=1.5),
    "clip": layer("Clip", min=-0.5, max=0.75),
    "threshold": layer("Threshold", threshold=0.25),
    "power": positive("Power", power=1.5, scale=0.5, shift=0.25),
    "power, affine": layer("Power", scale=-2.0, shift=1.0),
    "power, square": layer("Power", power=2.0, shift=-0.5),
    "power, constant": layer("Power", power=3.0, scale=0.0, shift=2.0),
    "exponential": layer("Exp", scale=0.5, shift=0.25),
    "exponential, base": layer("Exp", base=2.0, scale=0.5, shift=1.0),
    "logarithm": positive("Log", scale=2.0, shift=0.5),
    "logarithm, base": positive("Log", base=10.0, shift=0.1),
    "dropout": layer("Dropout", dropout_ratio=0.3),
    "softmax": layer("Softmax"),
    "argmax": layer("ArgMax", axis=1),
    "argmax, value": layer("ArgMax", axis=1, out_max_val=True),
    "sum": two("Eltwise"),
    "sum, factors": two("Eltwise", count=3, coeff=[0.5, -1.0, 2.0]),
    "product": two("Eltwise", operation="PROD"),
    "maximum": two("Eltwise", count=3, operation="MAX"),
    "axpy": gated("Axpy", False),
    "axpy, flat": gated("Axpy", True),
    "concatenation": two("Concat", count=3),
    "concatenation, old": two("Concat", concat_dim=1),
    "concatenation, rows": two("Concat", axis=2),
    "slices": sliced(),
    "slices, points": lambda net, x: net.add(
        "Concat", *net.add("Slice", net.conv(x, 6), tops=("a", "b"), slice_point=2)
    ),
    "slices, rows": lambda net, x: net.add("Slice", net.conv(x, 4), tops=("a", "b"), axis=2, slice_point=[5])[1],
    "crop": cropped(offset=3),
    "crop, offsets": cropped(offset=[1, 4]),
    "crop, channels": lambda net, x: net.add("Crop", net.conv(x, 6, pad=3), net.conv(x, 4), axis=1, offset=[1, 2, 2]),
    "split": split,
    "in place": in_place,
    "shared weights": shared,
    "interp, zoom": layer("Interp", zoom_factor=8),
    "interp, shrink": layer("Interp", shrink_factor=2),
    "interp, both": layer("Interp", zoom_factor=3, shrink_factor=2),
    "interp, size": layer("Interp", height=33, width=40),
    "interp, cut": layer("Interp", pad_beg=-1, pad_end=-2, zoom_factor=2),
    "interp, only cut": layer("Interp", pad_beg=0, pad_end=-1, zoom_factor=1),
    "fully connected": dense(),
    "fully connected, no bias": dense(bias=False),
    "fully connected, transposed": transposed,
    "detector's head": permuted,
    "reshape": squeezed,
    "reshape, part": layer("Reshape", shape={"dim": [2, 3]}, axis=1, num_axes=1),
    "flatten, part": layer("Flatten", axis=2, end_axis=3),
    "tile": layer("Tile", tiles=3),
    "reduction": layer("Reduction", axis=1, operation="SUMSQ", coeff=0.5),
    "reduction, mean": layer("Reduction", axis=2, operation="MEAN"),
    "reduction, absolute": layer("Reduction", axis=-1, operation="ASUM"),
    "shuffle": layer("ShuffleChannel", group=3),
    "upsample": segnet(2),
    "upsample, nearest": layer("Upsample", scale=2),
}
ANY_SIZE = ((33, 46), (28, 31))
EVEN = ((32, 40), (48, 56))


def converted(net, folder):
    prototxt, weights = net.write(folder)
    return build_from_caffe(weights, prototxt=prototxt)


def check(net, folder, sizes):
    model, receipt = converted(net, folder)
    sizes = EVEN if "multiples" in str(receipt) else sizes
    assert max(caffe_in_numpy.difference(model, net, size) for size in sizes) <= 1e-5
    model.save(folder / "net.keras")
    again = keras.saving.load_model(folder / "net.keras")
    pixels = images(*sizes[0])
    for result, other in zip(keras.tree.flatten(model(pixels)), keras.tree.flatten(again(pixels)), strict=True):
        np.testing.assert_array_equal(result, other)


@pytest.mark.full
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_exact(tmp_path, name):
    net = Net(data=(3, 64, 64))
    LAYERS[name](net, "data")
    check(net, tmp_path, ANY_SIZE)


# Layers that one network has side by side: the quick form of the test above.
QUICK = (
    "convolution, hole|convolution, depthwise|pooling, clipped|pooling, one pixel|average, wide|response|norm, NVIDIA|"
    "norm, SegNet|prelu|argmax|sum, factors|axpy|crop, offsets|in place|interp, both|fully connected|detector's head"
)


def test_many_layers_side_by_side(tmp_path):
    net = Net(data=(3, 64, 64))
    for name in QUICK.split("|"):
        LAYERS[name](net, "data")
    model, receipt = converted(net, tmp_path)
    assert caffe_in_numpy.difference(model, net, ANY_SIZE[0], batch=1) <= 1e-5
    assert not [why for why in receipt.ignored.values() if why == "read by no step"]


WRITTEN = (
    "norm, NVIDIA|norm, SegNet|norm, PSPNet|prelu|normalize|bias|fully connected, transposed|shared weights"
).split("|")


def test_weights_are_written_back_as_their_files_layers(tmp_path):
    """Also those of forks, those that lie transposed, and those that two layers have; after saving, too."""
    net = Net(data=(3, 64, 64))
    for name in WRITTEN:
        LAYERS[name](net, "data")
    prototxt, weights = net.write(tmp_path)
    model, _ = build_from_caffe(weights, prototxt=prototxt)
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    receipt = converters.export_weights(again, tmp_path / "back.caffemodel")
    source, back = converters.read(weights), converters.read(tmp_path / "back.caffemodel")
    assert {row["key"] for row in receipt.tensors} <= set(back) == set(source)
    assert all(np.array_equal(back[key], source[key]) for key in source)
    rebuilt, _ = build_from_caffe(tmp_path / "back.caffemodel", prototxt=prototxt)
    pixels = images(33, 46)
    for ours, other in zip(model(pixels), rebuilt(pixels), strict=True):
        np.testing.assert_array_equal(ours, other)


def test_models_of_other_programs_are_no_layers_of_caffe(tmp_path):
    module = torch.nn.Conv2d(3, 4, 3)
    model, _ = converters.convert(module)
    with pytest.raises(ConversionError, match=r"a program that is no network of Caffe.*Write \.safetensors"):
        converters.export_weights(model, tmp_path / "net.caffemodel")


def test_equal_numbers_give_the_last_place(tmp_path):
    """Caffe sorts pairs of a number and its place: of equal numbers, the larger place comes first."""
    net = Net(data=(5, 8, 8))
    net.add("ArgMax", net.conv(net.add("Threshold", "data"), 5, 1, bias=False), axis=1)
    net.layers[1].blobs[0][:] = np.eye(5, dtype="float32")[:, :, None, None]
    model, _ = converted(net, tmp_path)
    pixels = images(9, 11, channels=5)
    expected = 4 - np.flip(pixels > 0, -1).argmax(-1)
    np.testing.assert_array_equal(np.asarray(model(pixels))[..., 0], expected)


def test_odd_maps_of_an_unpooling_are_rounded_up(tmp_path):
    net = Net(data=(3, 9, 13))
    x, places = net.pool(net.conv("data", 4), tops=("pool", "places"))
    net.add("Upsample", x, places, upsample_h=9, upsample_w=13)
    model, receipt = converted(net, tmp_path)
    assert "9 x 13 pixels only" in str(receipt)
    assert caffe_in_numpy.difference(model, net, (9, 13)) <= 1e-6
