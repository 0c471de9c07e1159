"""`skip_constant_border`: the border of an FCN that is computed once is exact."""

import keras
import numpy as np
import pytest
from helpers.optimized_models import assert_same_outputs, layer_classes, model_of_layers
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from keras import layers

import tfseg
from tfseg.rewrites.border_axes import BorderAxis
from tfseg.rewrites.border_layers import PastedBorder


def trunk(padding, *filters):
    """An FCN's first stages, one for each of `filters`; the second-to-last map has a reader, too."""
    image = keras.Input((None, None, 3))
    x, maps = layers.ZeroPadding2D(padding)(image), []
    for index, count in enumerate(filters):
        for number in range(2 if index < 2 else 3):
            x = layers.Conv2D(count, 3, padding="same" if index or number else "valid", activation="relu")(x)
        x = layers.MaxPooling2D(padding="same")(x)
        maps.append(layers.Conv2D(2, 1)(x))
    return randomize_weights(keras.Model(image, [maps[-2], maps[-1]]))


def test_the_border_is_exact_at_every_remainder():
    """The far edge differs for each remainder of the size by 8, along either axis."""
    model = trunk(44, 4, 4, 5)
    optimized = tfseg.optimize(model)
    assert sum(isinstance(layer, PastedBorder) for layer in optimized.layers) == 2
    assert_same_outputs(model, optimized, [(height, (3 * height) % 8 + 1) for height in range(1, 9)])


@pytest.mark.full
def test_the_border_is_exact_at_every_pair_of_remainders():
    model = trunk(100, 4, 4, 4, 5)
    assert_same_outputs(
        model, tfseg.optimize(model), [(height, width) for height in range(30, 46) for width in range(14, 30)]
    )


def test_the_border_of_uneven_paddings_and_kernels_is_exact():
    """Four different sides, kernels that are not square, a map of even size, and a batch."""
    convolutions = [
        layers.ZeroPadding2D(((20, 30), (25, 18))),
        layers.Conv2D(5, (3, 5), activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2D(6, (5, 3), padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2D(6, 3, padding="same"),
    ]
    model = model_of_layers(*convolutions)
    optimized = tfseg.optimize(model)
    assert PastedBorder in layer_classes(optimized)
    assert_same_outputs(model, optimized, [(height, 30 - height) for height in range(7, 15)])
    batch = np.concatenate([random_image(9, 12, channels=4, seed=seed) for seed in (1, 2)])
    assert relative(output(optimized, batch), output(model, batch)) <= 1e-5
    fixed = model_of_layers(*(type(layer).from_config(layer.get_config()) for layer in convolutions), size=(12, 17))
    assert_same_outputs(fixed, tfseg.optimize(fixed), [(12, 17)])


def test_the_border_ends_where_the_image_reaches_the_edge():
    def poolings(padding):
        axis, count = BorderAxis.of_padding((padding, padding)), 0
        while (axis := axis.after_stage(2, 0)) is not None:
            count += 1
        return count

    assert [poolings(padding) for padding in (1, 5, 10, 20, 60)] == [0, 1, 1, 2, 3]
    model = model_of_layers(layers.ZeroPadding2D(3), layers.Conv2D(4, 3), layers.MaxPooling2D(padding="same"))
    thin = model_of_layers(layers.ZeroPadding2D(1), layers.Conv2D(4, 3), layers.MaxPooling2D(padding="same"))
    assert [PastedBorder in layer_classes(tfseg.optimize(network)) for network in (model, thin)] == [True, False]
