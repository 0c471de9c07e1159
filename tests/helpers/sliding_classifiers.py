"""Small classifiers of images of one size, and what must hold when they slide."""

from typing import Any

import keras
import numpy as np
from helpers.chains import Step, branches, chain
from helpers.random_weights import is_nonconstant, random_image, randomize_weights
from helpers.references import output, relative
from keras import layers, ops

import tfseg
from tfseg.types import Size

SIZE = (33, 41)  # of the images; the last maps have 6 x 8 pixels


def trunk(x: Any) -> Any:
    """Layers of stride 4 without padding, up to a map of 8 channels."""
    x = layers.MaxPooling2D(2)(layers.Conv2D(6, 3, strides=2, activation="relu", name="first")(x))
    return layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, activation="elu", name="second")(x))


def classifier(*steps: Step, size: tuple[int | None, int | None] = SIZE, front: Step = trunk) -> keras.Model:
    image = keras.Input((*size, 3), name="image")
    return keras.Model(image, chain(front, *steps)(image), name="classifier")


def dense(units: int, activation: str | None = None, **options: Any) -> Step:
    return lambda x: layers.Dense(units, activation=activation, **options)(x)


def average(**options: Any) -> Step:
    return lambda x: layers.GlobalAveragePooling2D(**options)(x)


def largest(x: Any) -> Any:
    return layers.GlobalMaxPooling2D()(x)


def flat(x: Any) -> Any:
    return layers.Flatten()(x)


HEADS = {
    "flatten": chain(flat, dense(9, "relu"), layers.Dropout(0.5), dense(5, "softmax")),
    "flatten, equal units": chain(flat, layers.ReLU(), layers.Dropout(0.2), dense(5, use_bias=False)),
    "flatten by a reshape": chain(layers.Reshape((-1,)), dense(5)),
    "flatten by an operation": chain(lambda x: ops.reshape(x, (-1, 6 * 8 * 8)), dense(5)),
    "average": chain(average(), dense(5)),
    "average, kept": chain(average(keepdims=True), layers.Dropout(0.1), layers.Conv2D(5, 1), layers.Reshape((5,))),
    "average, kept, flattened": chain(average(keepdims=True), flat, dense(5)),
    "average by an operation": chain(lambda x: ops.mean(x, axis=(1, 2)), dense(5)),
    "maximum": chain(largest, dense(5)),
    "maximum by an operation": chain(
        lambda x: ops.max(x, axis=(1, 2), keepdims=True), lambda x: ops.squeeze(x, (1, 2))
    ),
    "average pooling of all": chain(layers.AveragePooling2D((6, 8)), flat, dense(5)),
    "torch's average": chain(tfseg.layers.AdaptiveAveragePooling(1), flat, dense(5)),
    "torch's average of nothing": chain(layers.AdaptiveAveragePooling2D((6, 8)), flat, dense(5)),
    "scores, then average": chain(layers.Conv2D(5, 1), average(), layers.Softmax()),
    "convolutions": chain(layers.Conv2D(9, (6, 8), activation="relu"), layers.Conv2D(5, 1)),
    "convolutions, flattened": chain(layers.Conv2D(9, (6, 8)), layers.Conv2D(5, 1), flat, layers.Activation("softmax")),
    "norms": chain(
        average(),
        layers.BatchNormalization(axis=1),
        dense(7),
        layers.LayerNormalization(axis=1),
        layers.PReLU(),
        dense(5),
    ),
    "operations": chain(average(), dense(5), lambda x: ops.softmax(2 * x - np.arange(5, dtype="float32"), axis=1)),
    "two poolings": chain(branches(layers.Concatenate(axis=1), average(), largest), dense(5)),
    "two readers": branches(layers.Add(), chain(flat, dense(5)), chain(average(), dense(5))),
    "a skip": chain(average(), branches(layers.Add(), dense(8, "relu"), lambda x: x), dense(5)),
    "features": average(),
}


def convolutionalize_and_check(
    model: keras.Model, *, size: Size = SIZE, tolerance: float = 1e-6, **options: Any
) -> keras.Model:
    """The result of `tfseg.convolutionalize` on a model with random weights, asserted to be equal at its own size."""
    randomize_weights(model)
    slid = tfseg.convolutionalize(model, **options)
    assert slid.input_shape == (None, None, None, 3)
    expected, scores = (output(network, random_image(*size)) for network in (model, slid))
    assert is_nonconstant(expected)
    assert scores.shape == (1, 1, 1, expected.shape[-1])
    assert relative(scores.reshape(expected.shape), expected) <= tolerance
    return slid
