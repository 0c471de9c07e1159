"""Segmenters that return several results: which of them are the logits, and which ones are trained."""

import dataclasses

import keras
import numpy as np
import pytest

import tfseg
from tfseg.outputs import logits_of, trained_outputs
from tfseg.training.step import make_step

CLASSES = 4


def segmenter(structure):
    """A network of logits `a`, auxiliary logits `b` and depth `d`, which it returns as the function says."""
    image = keras.Input((None, None, 3), name="image")
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    x = keras.layers.Conv2D(6, 3, padding="same", name="features")(x)
    a, b, d = (keras.layers.Conv2D(n, 1, name=name)(x) for name, n in (("a", CLASSES), ("b", CLASSES), ("d", 1)))
    return keras.Model(image, structure(a, b, d))


STRUCTURES = {
    "tensor": (lambda a, b, d: a, 1),
    "list": (lambda a, b, d: [a, b], 2),
    "torchvision": (lambda a, b, d: {"aux": b, "out": a}, 2),
    "transformers": (lambda a, b, d: {"hidden_states": [d, b], "logits": a}, 1),
    "other keys": (lambda a, b, d: {"semantic": a, "depth": d}, 1),
    "nested": (lambda a, b, d: {"logits": [a, b], "depth": d}, 1),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_logits_are_found(name):
    structure, trained = STRUCTURES[name]
    model = segmenter(structure)
    assert logits_of(model.output) is model.get_layer("a").output
    assert [part._keras_history.operation.name for part in trained_outputs(model.output)] == ["a", "b"][:trained]


def test_the_classes_of_a_dictionary_are_those_of_its_logits():
    model = segmenter(STRUCTURES["torchvision"][0])
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")
    alone = keras.Model(model.input, model.get_layer("a").output)
    np.testing.assert_array_equal(tfseg.predict(model, image), tfseg.predict(alone, image))


@pytest.mark.full
@pytest.mark.parametrize("name", ["torchvision", "other keys"])
@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # no loss reads the depth
def test_a_dictionary_is_trained_by_its_logits(name):
    model, trained = segmenter(STRUCTURES[name][0]), STRUCTURES[name][1]
    recipe = dataclasses.replace(tfseg.training.RECIPES["adamw"], batch_size=2)
    tfseg.training.compile_model(model, recipe, steps=4)
    kernels = {layer.name: layer.kernel for layer in model.layers if layer.name in "abd"}
    before = {name: kernel.numpy() for name, kernel in kernels.items()}
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    masks = np.random.default_rng(0).integers(0, CLASSES, (2, 16, 16))
    make_step(model, recipe)((images, masks), np.int64(0))
    changed = "".join(sorted(name for name, kernel in kernels.items() if not np.array_equal(before[name], kernel)))
    assert changed == "ab"[:trained]


def test_a_model_of_several_inputs_is_no_segmenter():
    inputs = [keras.Input((None, None, channels), name=name) for name, channels in (("color", 3), ("depth", 1))]
    model = keras.Model(inputs, keras.layers.Concatenate()(inputs))
    with pytest.raises(ValueError, match=r"takes 2 inputs: color, depth\. Call it on arrays"):
        tfseg.predict(model, np.zeros((8, 8, 3), "uint8"), preprocessing="torch")
