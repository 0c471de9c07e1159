"""What tests of the rewrites share: models, and what must hold for an optimized one."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import pytest
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from keras import layers

import tfseg
from tfseg.rewrites import slice_convolutions, split_filters
from tfseg.types import Size


def assert_same_outputs(
    model: keras.Model, optimized: keras.Model, sizes: Iterable[Size], tolerance: float = 1e-5
) -> None:
    """Asserts that both models compute the same logits and classes for images of each size."""
    for size in sizes:
        image = random_image(*size, channels=model.inputs[0].shape[3])
        outputs = (keras.tree.flatten(output(network, image)) for network in (optimized, model))
        for logits, expected in zip(*outputs, strict=True):
            assert logits.shape == expected.shape
            assert relative(logits, expected) <= tolerance
            assert np.mean(logits.argmax(-1) == expected.argmax(-1)) >= 0.9999


def layer_classes(model: keras.Model) -> set[type]:
    return {type(layer) for layer in model.layers}


def lower_thresholds(patch: pytest.MonkeyPatch) -> None:
    """Makes slices and splits apply at the widths that tests have."""
    patch.setattr(slice_convolutions, "LEAST_POINTWISE", 32)
    patch.setattr(slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 24)
    patch.setattr(split_filters, "FILTERS_PER_PART", 4)


def model_of_layers(
    *steps: Callable, channels: int = 4, size: tuple[int | None, int | None] = (None, None)
) -> keras.Model:
    """A model of layers in a row, with random weights."""
    image = x = keras.Input((*size, channels))
    for layer in steps:
        x = layer(x)
    return randomize_weights(keras.Model(image, x))


def randomize_with_bilinear_upsampling(model: keras.Model) -> keras.Model:
    """Draws random weights, but leaves transposed convolutions bilinear, as the networks begin with; returns the model."""
    for layer in randomize_weights(model).layers:
        if isinstance(layer, layers.Conv2DTranspose):
            layer.kernel.assign(tfseg.BilinearInitializer()(layer.kernel.shape))
    return model
