"""The border of an FCN that is computed once is the border."""

import keras
import numpy as np
import pytest
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from helpers.rewritten import kinds, model_of, same
from keras import layers

import tfseg
from tfseg.rewrites.border_axes import BorderAxis
from tfseg.rewrites.border_layers import PastedBorder


def trunk(padding, *filters):
    """So many stages of an FCN, in few channels; the map in their middle has a reader, too."""
    image = keras.Input((None, None, 3))
    x, maps = layers.ZeroPadding2D(padding)(image), []
    for index, count in enumerate(filters):
        for number in range(2 if index < 2 else 3):
            x = layers.Conv2D(count, 3, padding="same" if index or number else "valid", activation="relu")(x)
        x = layers.MaxPooling2D(padding="same")(x)
        maps.append(layers.Conv2D(2, 1)(x))
    return randomize_weights(keras.Model(image, [maps[-2], maps[-1]]))


def test_the_border_is_exact_at_every_remainder():
    """The far edge is another one for each remainder of the size: by 8 here, along either axis."""
    model = trunk(44, 4, 4, 5)
    optimized = tfseg.optimize(model)
    assert sum(isinstance(layer, PastedBorder) for layer in optimized.layers) == 2
    same(model, optimized, [(height, (3 * height) % 8 + 1) for height in range(1, 9)])


@pytest.mark.full
def test_the_border_is_exact_at_every_pair_of_remainders():
    model = trunk(100, 4, 4, 4, 5)
    same(model, tfseg.optimize(model), [(height, width) for height in range(30, 46) for width in range(14, 30)])


def test_the_border_of_other_shapes():
    """Not square, another one on each side, an even map, and a batch."""
    made = [
        layers.ZeroPadding2D(((20, 30), (25, 18))),
        layers.Conv2D(5, (3, 5), activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2D(6, (5, 3), padding="same", activation="relu"),
        layers.MaxPooling2D(padding="same"),
        layers.Conv2D(6, 3, padding="same"),
    ]
    model = model_of(*made)
    optimized = tfseg.optimize(model)
    assert PastedBorder in kinds(optimized)
    same(model, optimized, [(height, 30 - height) for height in range(7, 15)])
    batch = np.concatenate([random_image(9, 12, channels=4, seed=seed) for seed in (1, 2)])
    assert relative(output(optimized, batch), output(model, batch)) <= 1e-5
    still = model_of(*(type(one).from_config(one.get_config()) for one in made), size=(12, 17))
    same(still, tfseg.optimize(still), [(12, 17)])


def test_a_border_lasts_as_long_as_its_constant():
    def poolings(padding):
        axis, count = BorderAxis.of_padding((padding, padding)), 0
        while (axis := axis.after_stage(2, 0)) is not None:
            count += 1
        return count

    assert [poolings(padding) for padding in (1, 5, 10, 20, 60)] == [0, 1, 1, 2, 3]
    model = model_of(layers.ZeroPadding2D(3), layers.Conv2D(4, 3), layers.MaxPooling2D(padding="same"))
    thin = model_of(layers.ZeroPadding2D(1), layers.Conv2D(4, 3), layers.MaxPooling2D(padding="same"))
    assert [PastedBorder in kinds(tfseg.optimize(one)) for one in (model, thin)] == [True, False]
