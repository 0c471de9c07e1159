"""What tests of the rewrites share: models, and what must hold of one that was optimized."""

import keras
import numpy as np
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from keras import layers

import tfseg
from tfseg.rewrites import slice_convolutions, split_filters


def same(model, optimized, sizes, tolerance=1e-5):
    """Asserts that both compute the same at each size, and the same classes."""
    for size in sizes:
        pixels = random_image(*size, channels=model.inputs[0].shape[3])
        for ours, theirs in zip(*(keras.tree.flatten(output(one, pixels)) for one in (optimized, model)), strict=True):
            assert ours.shape == theirs.shape
            assert relative(ours, theirs) <= tolerance
            assert np.mean(ours.argmax(-1) == theirs.argmax(-1)) >= 0.9999


def kinds(model):
    return {type(layer) for layer in model.layers}


def eager(patch):
    """Slices pay at widths that tests do not have."""
    patch.setattr(slice_convolutions, "LEAST_POINTWISE", 32)
    patch.setattr(slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 24)
    patch.setattr(split_filters, "FILTERS_PER_PART", 4)


def network(x, *made):
    for layer in made:
        x = layer(x)
    return x


def model_of(*made, channels=4, size=(None, None)):
    image = keras.Input((*size, channels))
    return randomize_weights(keras.Model(image, network(image, *made)))


def bilinear(model):
    """Lively, with the transposed convolutions that the networks begin with."""
    for layer in randomize_weights(model).layers:
        if isinstance(layer, layers.Conv2DTranspose):
            layer.kernel.assign(tfseg.BilinearInitializer()(layer.kernel.shape))
    return model
