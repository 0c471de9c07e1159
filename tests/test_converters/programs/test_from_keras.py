"""The steps of Keras layers: what is equal, and what is not."""

import keras
import pytest
from keras import layers

from converters.programs import from_keras
from converters.programs.steps import StepFactory


def describe(*calls, factory=None):
    """The step of the last of these layers, each called on the result of the one before."""
    x = image = keras.Input((None, None, 3))
    for call in calls:
        x = call(x)
    (step,) = from_keras.describe(keras.Model(image, x), factory or StepFactory((33, 48), 3))
    return step


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            [layers.Conv2D(4, 3, padding="same", name="conv")],
            [layers.ZeroPadding2D(1), layers.Conv2D(4, 3, name="conv")],
        ),
        ([layers.ReLU(), layers.MaxPooling2D(2, 2)], [layers.ReLU(), layers.MaxPooling2D(2, 2)]),
        ([layers.Activation("relu")], [layers.Activation("relu"), layers.Activation("relu")]),
        ([layers.Dropout(0.5), layers.Activation("linear")], []),
        ([layers.AveragePooling2D((33, 48))], [layers.GlobalAveragePooling2D(keepdims=True)]),
        ([layers.Rescaling(1.0)], []),
    ],
)
def test_equal_computations_have_equal_numbers(first, second):
    factory = StepFactory((33, 48), 3)
    assert describe(*first, factory=factory).number == describe(*second, factory=factory).number


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([layers.Conv2D(4, 3, name="conv")], [layers.Conv2D(4, 3, padding="same", name="conv")]),
        ([layers.Conv2D(4, 3, name="conv")], [layers.Conv2D(4, 3, name="other")]),
        ([layers.AveragePooling2D(3, 1)], [layers.AveragePooling2D(3, 1, padding="same")]),
        ([layers.Activation("sigmoid")], [layers.Activation("tanh")]),
        ([layers.DepthwiseConv2D(1, name="scale")], [layers.DepthwiseConv2D(3, padding="same", name="scale")]),
        ([layers.BatchNormalization(name="bn")], [layers.BatchNormalization(epsilon=1e-5, name="bn")]),
        ([layers.UpSampling2D(2)], []),
        ([layers.Conv2D(4, 3, name="conv")], [layers.Conv2D(4, 3, activation="relu", name="conv")]),
        (
            [layers.Conv2D(4, 3, strides=2, padding="same", name="conv")],
            [layers.ZeroPadding2D(1), layers.Conv2D(4, 3, strides=2, name="conv")],
        ),
        ([layers.DepthwiseConv2D(3, name="d")], [layers.DepthwiseConv2D(3, strides=2, name="d")]),
        ([layers.LeakyReLU(0.1)], [layers.LeakyReLU(0.2)]),
        ([layers.ReLU()], [layers.ReLU(6.0)]),
    ],
)
def test_different_computations_have_different_numbers(first, second):
    factory = StepFactory((33, 48), 3)
    assert describe(*first, factory=factory).number != describe(*second, factory=factory).number


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (layers.Conv2DTranspose(4, 4, strides=2, padding="same"), (66, 96)),
        (layers.Conv2DTranspose(4, 4, strides=2), (68, 98)),
        (layers.Conv2D(4, 3, strides=2), (16, 23)),
        (layers.MaxPooling2D(2, 2, padding="same"), (17, 24)),
        (layers.AveragePooling2D(3, 1, padding="same"), (33, 48)),
        (layers.ZeroPadding2D(((0, 1), (2, 0))), (34, 50)),
    ],
)
def test_sizes_of_steps_are_those_of_the_layers(layer, size):
    assert describe(layer).size == size
    assert tuple(layer.compute_output_shape((None, 33, 48, 3))[1:3]) == size


def test_unknown_layers_with_weights_have_a_key():
    assert describe(layers.SeparableConv2D(4, 3, name="separable")).key == "separable"


def test_same_padding_with_strides_says_that_it_depends_on_the_size():
    step = describe(layers.Conv2D(4, 3, strides=2, padding="same", name="conv"))
    assert step.facts["padding"] == "same, by the size of the map"
    assert (step.facts["pad"], step.size) == (((1, 1), (0, 1)), (17, 24))
