"""A BatchNorm is folded into the convolution before it, and stays where that is not exact."""

import keras
import pytest
from helpers.optimized_models import assert_same_outputs, model_of_layers
from helpers.random_weights import randomize_weights
from keras import layers

import tfseg

CONVOLUTIONS = [layers.Conv2D(6, 3, groups=2), layers.DepthwiseConv2D(3, depth_multiplier=2)]


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=["Conv2D", "DepthwiseConv2D"])
@pytest.mark.parametrize("options", [{}, {"center": False, "scale": False}])
def test_batch_norm_is_folded_into_the_convolution(conv, options):
    model = model_of_layers(type(conv).from_config(conv.get_config()), layers.BatchNormalization(**options))
    optimized = tfseg.optimize(model)
    assert len(optimized.layers) == 2
    assert_same_outputs(model, optimized, [(9, 14)])


def test_batch_norm_stays_where_it_cannot_be_folded():
    image = keras.Input((None, None, 4))
    read_twice = layers.Conv2D(4, 1)(image)
    shared = layers.BatchNormalization()
    results = [
        layers.BatchNormalization()(layers.Conv2D(4, 1, activation="relu")(image)),
        layers.BatchNormalization()(read_twice),
        read_twice,
        shared(layers.Conv2D(4, 1)(image)),
        shared(layers.Conv2D(4, 1)(image)),
        layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(keras.layers.Resizing(5, 5)(image))),
    ]
    model = randomize_weights(keras.Model(image, results))
    optimized = tfseg.optimize(model)
    assert len(optimized.layers) == len(model.layers)
    assert_same_outputs(model, optimized, [(9, 14)])
