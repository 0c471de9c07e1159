"""`use_winograd`: Winograd's convolution is the convolution, and is used where it pays."""

import itertools

import keras
import numpy as np
import pytest
from helpers.optimized_models import assert_same_outputs
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from keras import layers

import tfseg
from tfseg.prediction.model import logits_function
from tfseg.rewrites import slice_convolutions, use_winograd, winograd
from tfseg.rewrites.winograd import WinogradConv2D


@pytest.fixture
def measured(monkeypatch):
    """Winograd's form always pays, also at the widths of tests; the names of the layers that were measured."""
    names = []
    monkeypatch.setattr(use_winograd, "LEAST_CHANNELS", 4)
    monkeypatch.setattr(use_winograd, "measured_gain", lambda conv, config: names.append(conv.name) or 2.0)
    return names


def winograd_layers(model):
    """The names of the layers that have Winograd's form."""
    return [layer.name for layer in model.layers if isinstance(layer, WinogradConv2D)]


def test_winograds_matrices_make_four_results_of_a_kernel_of_three():
    """Along one axis, in float64."""
    a, g, b = winograd.winograd_matrices()
    random = np.random.default_rng(0)
    pixels, kernel = random.normal(size=6), random.normal(size=3)
    expected = np.correlate(pixels, kernel, "valid")
    assert np.allclose(a @ ((g @ kernel) * (b @ pixels)), expected, rtol=0, atol=1e-13)
    assert np.count_nonzero(b) == 2 * 3 + 4 * 4  # rounding leaves no spurious terms to add up


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("size", "rate", "padding"),
    [
        ((9, 13), 1, "same"),
        ((3, 4), 1, "valid"),
        ((1, 1), 1, "same"),
        ((17, 16), 4, "same"),
        ((13, 21), (2, 3), "valid"),
    ],
)
def test_winograd_computes_the_convolution(size, rate, padding, measured):
    image = keras.Input((None, None, 6))
    conv = layers.Conv2D(5, 3, padding=padding, dilation_rate=rate, activation="relu")
    model = randomize_weights(keras.Model(image, conv(image)))
    optimized = tfseg.optimize(model, fixed_size=size)
    assert winograd_layers(optimized) == [conv.name]
    assert_same_outputs(model, optimized, [size])


@pytest.mark.full
def test_batches_are_exact_and_survive_saving(measured, tmp_path):
    image = keras.Input((None, None, 6))
    model = randomize_weights(keras.Model(image, layers.Conv2D(5, 3, use_bias=False)(image)))
    optimized = tfseg.optimize(model, fixed_size=(7, 9))
    batch = np.concatenate([random_image(7, 9, channels=6, seed=seed) for seed in range(3)])
    logits = output(optimized, batch)
    assert relative(logits, output(model, batch)) <= 1e-5
    optimized.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert winograd_layers(loaded) == winograd_layers(optimized) != []
    assert np.array_equal(output(loaded, batch), logits)


@pytest.mark.full
def test_dilated_network_is_exact(measured):
    model = randomize_weights(tfseg.FCN(tfseg.dilate(tfseg.ResNet(18, width=1 / 8), 8), 5))
    optimized = tfseg.optimize(model, fixed_size=(65, 83))
    assert len(winograd_layers(optimized)) == 16  # all of the blocks but one, which still strides; and the head
    assert tfseg.metadata(optimized) == tfseg.metadata(model)
    assert (optimized.input_shape, optimized.output_shape) == ((None, 65, 83, 3), (None, 65, 83, 5))
    assert_same_outputs(model, optimized, [(65, 83)])
    pixels = random_image(65, 83)
    assert relative(logits_function(optimized)(pixels), output(optimized, pixels)) <= 1e-6
    assert len(measured) < 16  # one of each kind


@pytest.mark.full
def test_fcn_with_its_border_is_exact(measured, monkeypatch):
    monkeypatch.setattr(slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 64)
    model = randomize_weights(tfseg.FCN32s(5, width=1 / 16))
    optimized = tfseg.optimize(model, fixed_size=(47, 66))
    assert {"conv3_2", "conv4_1", "conv5_3"} <= set(
        winograd_layers(optimized)
    )  # among them, some that were split before
    assert_same_outputs(model, optimized, [(47, 66)])
    assert_same_outputs(model, tfseg.optimize(optimized), [(47, 66)])


def test_other_convolutions_stay(measured):
    image = keras.Input((None, None, 8))
    convolutions = (
        layers.Conv2D(8, 3, strides=2, padding="same"),
        layers.Conv2D(8, 3, groups=2, padding="same"),
        layers.Conv2D(8, (3, 1), padding="same"),
        layers.Conv2D(8, 5, padding="same"),
        layers.Conv2D(3, 3, padding="same"),
        layers.Conv2D(8, 3, padding="same", dtype="mixed_bfloat16"),
        layers.DepthwiseConv2D(3),
    )
    model = randomize_weights(keras.Model(image, [layer(image) for layer in convolutions]))
    assert winograd_layers(tfseg.optimize(model, fixed_size=(9, 14))) == []
    assert winograd_layers(tfseg.optimize(keras.Model(image, layers.Conv2D(8, 3)(image)))) == []
    assert measured == []


def test_a_layer_stays_where_it_does_not_pay(measured, monkeypatch):
    gains = itertools.cycle([0.9, 1.3])
    monkeypatch.setattr(use_winograd, "measured_gain", lambda conv, config: next(gains))
    image = keras.Input((None, None, 8))
    first, second = (layers.Conv2D(8, 3, name=name) for name in ("first", "second"))
    model = randomize_weights(keras.Model(image, second(first(image))))
    assert winograd_layers(tfseg.optimize(model, fixed_size=(9, 14))) == ["second"]


@pytest.mark.full
def test_the_gain_is_measured():
    """Both forms run; a test cannot know which is faster."""
    image = keras.Input((24, 24, 16))
    conv = layers.Conv2D(16, 3, dilation_rate=2)
    conv(image)
    config = {key: getattr(conv, key) for key in use_winograd.KEPT} | {"dtype": conv.dtype_policy}
    assert 0.001 < use_winograd.measured_gain(conv, config) < 1000


def test_images_of_other_sizes_are_refused(measured):
    image = keras.Input((None, None, 3))
    model = randomize_weights(keras.Model(image, layers.Conv2D(8, 3, padding="same")(image)))
    optimized = tfseg.optimize(model, fixed_size=(20, 30))
    with pytest.raises(ValueError, match=r"takes images of \(20, 30\), height and width\. Received: \(20, 31\)"):
        tfseg.predict(optimized, np.zeros((20, 31, 3), "uint8"), preprocessing="torch")
    wide = tfseg.predict(optimized, np.zeros((20, 47, 3), "uint8"), preprocessing="torch", window=(20, 30))
    assert wide.shape == (20, 47)
    with pytest.raises(ValueError, match=r"takes images of \(20, 30\)\. Received: fixed_size=\(20, 31\)"):
        tfseg.optimize(optimized, fixed_size=(20, 31))


@pytest.mark.parametrize("fixed_size", [20, (20,), (0, 30), (20.5, 30)], ids=str)
def test_sizes_that_are_no_pair_of_numbers_are_refused(fixed_size):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(2, 3)(image))
    with pytest.raises(ValueError, match=r"fixed_size is \(height, width\)"):
        tfseg.optimize(model, fixed_size=fixed_size)


def test_an_export_for_other_runtimes_is_refused(measured, tmp_path):
    pytest.importorskip("tf2onnx")  # which is asked for first
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    model = keras.Model(image, layers.Conv2D(4, 3, padding="same", name="logits")(x))
    optimized = tfseg.optimize(model, fixed_size=(20, 30))
    with pytest.raises(ValueError, match=r"fixed_size= for TensorFlow .*'logits'.*Received: formats=\['onnx'\]"):
        tfseg.export(optimized, tmp_path / "model", ("saved_model", "onnx"), preprocessing="torch")
    assert not list(tmp_path.iterdir())
