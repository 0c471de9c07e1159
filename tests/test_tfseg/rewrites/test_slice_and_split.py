"""Convolutions as matrix products over slices, or in parts of few filters, are the convolutions."""

import keras
import pytest
from helpers.optimized_models import assert_same_outputs, lower_thresholds, model_of_layers
from keras import layers

import tfseg
from tfseg.rewrites.slice_convolutions import SlicedConv2D
from tfseg.rewrites.split_filters import SplitConv2D


@pytest.fixture
def low_thresholds(monkeypatch):
    lower_thresholds(monkeypatch)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kind", "kernel_size", "dilation_rate"),
    [(SlicedConv2D, size, rate) for size in ((5, 5), (4, 7)) for rate in (1, (2, 3))]
    + [(SplitConv2D, 3, 1), (SplitConv2D, (3, 1), 1), (SplitConv2D, 3, (2, 3)), (SplitConv2D, 3, 4)],
)
def test_convolutions_are_sliced_or_split(kind, padding, kernel_size, dilation_rate, low_thresholds):
    """Nine filters are two parts of 4, and one of 1."""
    options = {"padding": padding, "dilation_rate": dilation_rate, "activation": "relu"}
    model = model_of_layers(layers.Conv2D(9, kernel_size, **options), channels=24)
    optimized = tfseg.optimize(model)
    assert type(optimized.layers[-1]) is kind
    assert optimized.layers[-1].kernel.path.endswith(model.layers[-1].kernel.path)
    assert_same_outputs(model, optimized, [(25, 30)])


def test_small_or_strided_convolutions_stay(low_thresholds):
    image = keras.Input((None, None, 32))
    convolutions = [layers.Conv2D(32, 1), layers.Conv2D(8, 5), layers.Conv2D(8, 3)]
    convolutions += [layers.Conv2D(8, 3, **options) for options in ({"strides": 2}, {"groups": 2})]
    convolutions += [layers.Conv2D(8, 1), layers.Conv2D(4, 3)]
    optimized = tfseg.optimize(keras.Model(image, [layer(image) for layer in convolutions]))
    expected = [SlicedConv2D, SlicedConv2D, SplitConv2D] + 4 * [layers.Conv2D]
    assert [type(layer) for layer in optimized.layers[1:]] == expected
