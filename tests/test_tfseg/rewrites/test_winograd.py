"""Winograd's convolution is the convolution, and is used where it pays."""

import itertools

import keras
import numpy as np
import pytest
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from helpers.rewritten import same
from keras import layers

import tfseg
from tfseg.prediction.model import logits_function
from tfseg.rewrites import slice_convolutions, use_winograd, winograd
from tfseg.rewrites.winograd import WinogradConv2D


@pytest.fixture
def measured(monkeypatch):
    """Winograd's form always pays, at widths that tests do not have; the layers that were asked about."""
    asked = []
    monkeypatch.setattr(use_winograd, "LEAST_CHANNELS", 4)
    monkeypatch.setattr(use_winograd, "measured_gain", lambda conv, config: asked.append(conv.name) or 2.0)
    return asked


def forms(model):
    return [layer.name for layer in model.layers if isinstance(layer, WinogradConv2D)]


def test_the_law():
    """Along one axis, in exact enough numbers: four results of a kernel of three."""
    a, g, b = winograd.winograd_matrices()
    random = np.random.default_rng(0)
    pixels, kernel = random.normal(size=6), random.normal(size=3)
    expected = np.correlate(pixels, kernel, "valid")
    assert np.allclose(a @ ((g @ kernel) * (b @ pixels)), expected, rtol=0, atol=1e-13)
    assert np.count_nonzero(b) == 2 * 3 + 4 * 4  # rounding leaves no spurious terms to add up


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
def test_it_is_the_convolution(size, rate, padding, measured):
    image = keras.Input((None, None, 6))
    conv = layers.Conv2D(5, 3, padding=padding, dilation_rate=rate, activation="relu")
    model = randomize_weights(keras.Model(image, conv(image)))
    optimized = tfseg.optimize(model, fixed_size=size)
    assert forms(optimized) == [conv.name]
    same(model, optimized, [size])


def test_batches_without_a_bias_and_saving(measured, tmp_path):
    image = keras.Input((None, None, 6))
    model = randomize_weights(keras.Model(image, layers.Conv2D(5, 3, use_bias=False)(image)))
    optimized = tfseg.optimize(model, fixed_size=(7, 9))
    batch = np.concatenate([random_image(7, 9, channels=6, seed=seed) for seed in range(3)])
    logits = output(optimized, batch)
    assert relative(logits, output(model, batch)) <= 1e-5
    optimized.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert forms(loaded) == forms(optimized) != []
    assert np.array_equal(output(loaded, batch), logits)


@pytest.mark.full
def test_a_dilated_network(measured):
    model = randomize_weights(tfseg.FCN(tfseg.dilate(tfseg.ResNet(18, width=1 / 8), 8), 5))
    optimized = tfseg.optimize(model, fixed_size=(65, 83))
    assert len(forms(optimized)) == 16  # of the blocks all but one, which strides still; and the head
    assert tfseg.metadata(optimized) == tfseg.metadata(model)
    assert (optimized.input_shape, optimized.output_shape) == ((None, 65, 83, 3), (None, 65, 83, 5))
    same(model, optimized, [(65, 83)])
    pixels = random_image(65, 83)
    assert relative(logits_function(optimized)(pixels), output(optimized, pixels)) <= 1e-6
    assert len(measured) < 16  # one of each kind


@pytest.mark.full
def test_an_fcn_with_its_border(measured, monkeypatch):
    monkeypatch.setattr(slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 64)
    model = randomize_weights(tfseg.FCN32s(5, width=1 / 16))
    optimized = tfseg.optimize(model, fixed_size=(47, 66))
    assert {"conv3_2", "conv4_1", "conv5_3"} <= set(forms(optimized))  # among them, some that were split before
    same(model, optimized, [(47, 66)])
    same(model, tfseg.optimize(optimized), [(47, 66)])


def test_what_stays(measured):
    image = keras.Input((None, None, 8))
    kinds = (
        layers.Conv2D(8, 3, strides=2, padding="same"),
        layers.Conv2D(8, 3, groups=2, padding="same"),
        layers.Conv2D(8, (3, 1), padding="same"),
        layers.Conv2D(8, 5, padding="same"),
        layers.Conv2D(3, 3, padding="same"),
        layers.Conv2D(8, 3, padding="same", dtype="mixed_bfloat16"),
        layers.DepthwiseConv2D(3),
    )
    model = randomize_weights(keras.Model(image, [layer(image) for layer in kinds]))
    assert forms(tfseg.optimize(model, fixed_size=(9, 14))) == []
    assert forms(tfseg.optimize(keras.Model(image, layers.Conv2D(8, 3)(image)))) == []
    assert measured == []


def test_only_where_it_pays(measured, monkeypatch):
    gains = itertools.cycle([0.9, 1.3])
    monkeypatch.setattr(use_winograd, "measured_gain", lambda conv, config: next(gains))
    image = keras.Input((None, None, 8))
    first, second = (layers.Conv2D(8, 3, name=name) for name in ("first", "second"))
    model = randomize_weights(keras.Model(image, second(first(image))))
    assert forms(tfseg.optimize(model, fixed_size=(9, 14))) == ["second"]


def test_the_measurement():
    """Both forms run; which is faster here, a test cannot know."""
    image = keras.Input((24, 24, 16))
    conv = layers.Conv2D(16, 3, dilation_rate=2)
    conv(image)
    config = {key: getattr(conv, key) for key in use_winograd.KEPT} | {"dtype": conv.dtype_policy}
    assert 0.001 < use_winograd.measured_gain(conv, config) < 1000


def test_sizes_that_do_not_fit(measured):
    image = keras.Input((None, None, 3))
    model = randomize_weights(keras.Model(image, layers.Conv2D(8, 3, padding="same")(image)))
    optimized = tfseg.optimize(model, fixed_size=(20, 30))
    with pytest.raises(ValueError, match=r"takes images of \(20, 30\), height and width\. Received: \(20, 31\)"):
        tfseg.predict(optimized, np.zeros((20, 31, 3), "uint8"), preprocessing="torch")
    wide = tfseg.predict(optimized, np.zeros((20, 47, 3), "uint8"), preprocessing="torch", window=(20, 30))
    assert wide.shape == (20, 47)
    with pytest.raises(ValueError, match=r"takes images of \(20, 30\)\. Received: fixed_size=\(20, 31\)"):
        tfseg.optimize(optimized, fixed_size=(20, 31))
    for wrong in (20, (20,), (0, 30), (20.5, 30)):
        with pytest.raises(ValueError, match=r"fixed_size is \(height, width\)"):
            tfseg.optimize(model, fixed_size=wrong)


def test_an_export_for_other_runtimes_is_refused(measured, tmp_path):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    model = keras.Model(image, layers.Conv2D(4, 3, padding="same", name="logits")(x))
    optimized = tfseg.optimize(model, fixed_size=(20, 30))
    with pytest.raises(ValueError, match=r"fixed_size= for TensorFlow .*'logits'.*Received: formats=\['onnx'\]"):
        tfseg.export(optimized, tmp_path / "model", ("saved_model", "onnx"), preprocessing="torch")
    assert not list(tmp_path.iterdir())
