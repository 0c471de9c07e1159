"""Layers that compute what torch's operations compute: interpolation, poolings, unpooling, borders, windows, transposed
convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.nn import functional

from tfseg import layers

SIZES = ((33, 47), (13, 10), (5, 90), (2, 7), (1, 1), (70, 71))
CHANNELS = 4


def full(*values):
    """Parameters of tests that run with all others only."""
    return [pytest.param(value, marks=pytest.mark.full) for value in values]


def compiled(layer):
    """A saved and loaded model of the layer, as a function of maps in torch's order, compiled for any size."""
    image = keras.Input((None, None, CHANNELS))
    model = keras.Model(image, layer(image))
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    function = tf.function(again, input_signature=[tf.TensorSpec((None, None, None, CHANNELS))])
    return lambda x: function(x.permute(0, 2, 3, 1).numpy()).numpy().transpose(0, 3, 1, 2)


def assert_equal(layer, reference, sizes=SIZES, tolerance=2e-6):
    """Whether the layer gives what torch gives, at every size that torch takes; at least at one."""
    function, compared = compiled(layer), 0
    for number, size in enumerate(sizes):
        x = torch.from_numpy(np.random.default_rng(number).normal(size=(2, CHANNELS, *size)).astype("float32"))
        try:
            expected = reference(x).numpy()
        except (RuntimeError, ValueError):  # too small for the windows
            continue
        if not expected.size:
            continue
        result, compared = function(x), compared + 1
        assert result.shape == expected.shape
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(finite, np.isfinite(result))
        difference = np.abs(np.where(finite, result, 0) - np.where(finite, expected, 0)).max()
        assert difference <= tolerance * max(1, np.abs(expected[finite]).max(initial=0))
    assert compared


INTERPOLATIONS = [
    *(("nearest", {}), ("nearest_exact", {})),
    *((mode, {"align_corners": corners}) for mode in ("bilinear", "bicubic") for corners in (False, True)),
    *((mode, {"antialias": True}) for mode in ("bilinear", "bicubic")),
]


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("scales", [(1.7, 0.6), *full((2, 3), (1.01, 2.01), (0.3, 0.5))])
@pytest.mark.parametrize(("mode", "options"), INTERPOLATIONS)
def test_interpolation_by_factors(mode, options, scales):
    sizes = [size for size in SIZES if size[1] > 2]  # torch's own antialiasing is wrong on maps of one column
    assert_equal(
        layers.Interpolate(mode, scales=scales, **options),
        lambda x: functional.interpolate(
            x, scale_factor=tuple(map(float, scales)), mode=mode.replace("_", "-"), **options
        ),
        sizes,
    )


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("size", [(9, 7), *full((40, 3), (1, 50))])
@pytest.mark.parametrize(("mode", "options"), INTERPOLATIONS)
def test_interpolation_to_sizes(mode, options, size):
    assert_equal(
        layers.Interpolate(mode, sizes=size, **options),
        lambda x: functional.interpolate(x, size=size, mode=mode.replace("_", "-"), **options),
    )


def test_interpolation_to_measured_sizes():
    assert_equal(
        layers.Interpolate("bicubic", sizes=[[0, 1, 1, 1], [0, 2, 3, 0, 2]]),
        lambda x: functional.interpolate(x, size=(x.shape[2] + 1, x.shape[3] * 3 // 2), mode="bicubic"),
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (50, 2)])
def test_adaptive_pooling(size):
    assert_equal(layers.AdaptivePooling(size), lambda x: functional.adaptive_avg_pool2d(x, size))
    assert_equal(layers.AdaptivePooling(size, "max"), lambda x: functional.adaptive_max_pool2d(x, size))


@pytest.mark.parametrize("ceil", [True, *full(False)])
@pytest.mark.parametrize("padding", [1, *full(0)])
@pytest.mark.parametrize("strides", [(1, 2), *full(1, 3)])
@pytest.mark.parametrize("window", [2, *full((3, 4))])
def test_window_pooling(window, strides, padding, ceil):
    sizes = SIZES[:4]
    for rate in (1, 2):
        assert_equal(
            layers.WindowPooling(window, "max", strides, padding, rate, ceil),
            lambda x, rate=rate: functional.max_pool2d(x, window, strides, padding, rate, ceil),
            sizes,
        )
    for count, divisor in ((True, None), (False, None), (True, 7)):
        assert_equal(
            layers.WindowPooling(window, "average", strides, padding, 1, ceil, count, divisor),
            lambda x, count=count, divisor=divisor: functional.avg_pool2d(
                x, window, strides, padding, ceil, count, divisor
            ),
            sizes,
        )


@pytest.mark.parametrize("border", ["constant", "reflect", "replicate", "circular"])
def test_borders(border):
    value = {"value": 0.5} if border == "constant" else {}
    assert_equal(
        layers.BorderPadding([[2, 1], [1, 3], [0, 0]], border, **value),
        lambda x: functional.pad(x, (1, 3, 2, 1), border, **value),
    )


def test_borders_that_cut():
    assert_equal(
        layers.BorderPadding([[-2, 1], [1, -3], [0, 0]], value=2.0),
        lambda x: functional.pad(x, (1, -3, -2, 1), value=2.0),
        SIZES[:3],
    )


@pytest.mark.parametrize("same", [False, True])
def test_unpooling(same):
    """Also in a plane of other columns than the maxima come from, where torch mixes the rows, and so must we."""
    image = keras.Input((None, None, CHANNELS))
    places = layers.MaximumPlaces((2, 3))(image)
    maxima = keras.layers.MaxPooling2D((2, 3))(image)
    sizes = [[2, 1], [2, 2]] if same else [[0, 1, 2], [0, 2, 3]]
    model = keras.Model(image, layers.Unpooling(sizes)([maxima, places, image]))

    def reference(x):
        small, indices = functional.max_pool2d(x, (2, 3), return_indices=True)
        return functional.max_unpool2d(small, indices, (2, 3), output_size=x.shape[2:] if same else None)

    assert_equal(model, reference, SIZES[:3])


def test_windows_side_by_side():
    def reference(x):
        columns = functional.unfold(x, (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1))
        return columns.unflatten(2, ((x.shape[2] - 1) // 2 + 1, -1))

    assert_equal(layers.SideBySide((3, 2), (2, 1), (1, 0), (1, 2)), reference, SIZES[:3])


def test_pixels_become_channels():
    assert_equal(layers.PixelUnshuffle(2), lambda x: functional.pixel_unshuffle(x, 2), ((8, 10), (2, 4)))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 3, "stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        {"kernel": 4, "stride": (2, 3), "padding": (0, 2), "output_padding": 0, "groups": 4},
        {"kernel": (1, 2), "stride": 3, "padding": 0, "output_padding": (2, 1), "groups": 1},
        {"kernel": 3, "stride": 2, "padding": 2, "output_padding": 0, "groups": 1, "dilation": 2},
        {"kernel": 1, "stride": 2, "padding": 1, "output_padding": 0, "groups": 4, "dilation": (1, 2)},
    ],
)
def test_transposed_convolution(options):
    options = {"dilation": 1, **options}
    kernel, groups = options.pop("kernel"), options["groups"]
    torch.manual_seed(0)
    module = torch.nn.ConvTranspose2d(CHANNELS, 8, kernel, **options)
    layer = layers.TransposedConvolution(
        8,
        kernel,
        options["stride"],
        options["padding"],
        options["output_padding"],
        groups,
        options["dilation"],
    )
    layer.build((None, None, None, CHANNELS))
    layer.set_weights([module.weight.detach().permute(2, 3, 1, 0).numpy(), module.bias.detach().numpy()])
    assert_equal(layer, lambda x: module(x).detach(), SIZES[:4])


@pytest.mark.parametrize("keepdims", [True, False])
def test_averages_of_large_maps_lose_no_digits(keepdims):
    """Keras's own layer is off by 8e-5 here: it adds up all pixels in one sum."""
    image = np.random.default_rng(0).normal(1, 0.5, size=(1, 256, 260, CHANNELS)).astype("float32")
    result = layers.GlobalAveragePooling(keepdims)(image).numpy()
    expected = image.astype("float64").mean((1, 2), keepdims=keepdims)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    function = compiled(layers.GlobalAveragePooling(keepdims=True))
    np.testing.assert_allclose(
        function(torch.from_numpy(image).permute(0, 3, 1, 2)).ravel(), expected.ravel(), rtol=1e-6
    )


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"interpolation must be one of 'nearest'.*Received: 'lanczos'"):
        layers.Interpolate("lanczos", scales=(2, 2))
    with pytest.raises(ValueError, match=r"must be one of 'bilinear', 'bicubic'\. Received: 'nearest', antialias=True"):
        layers.Interpolate("nearest", scales=(2, 2), antialias=True)
    with pytest.raises(ValueError, match=r"Sizes or scales are needed"):
        layers.Interpolate("nearest")
    for make in (layers.AdaptivePooling, layers.WindowPooling):
        with pytest.raises(ValueError, match=r"mode must be one of 'average', 'max'.*Received: 'median'"):
            make(3, mode="median") if make is layers.WindowPooling else make((3, 3), "median")
    with pytest.raises(ValueError, match=r"border must be one of.*Received: 'mirror'"):
        layers.BorderPadding([[1, 1], [1, 1], [0, 0]], "mirror")
