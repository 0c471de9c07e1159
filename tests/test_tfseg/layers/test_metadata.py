"""Metadata survive saving and cloning, and the layer that carries them changes nothing."""

import keras
import numpy as np
import pytest
from helpers.layer_outputs import every_way
from helpers.references import images
from helpers.small_nets import SMALL

import tfseg

METADATA = {
    "preprocessing": {"channel_order": "BGR", "divisor": 1.0, "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]},
    "classes": ["background", "wall"],
    "colors": [[0, 0, 0], [255, 0, 7]],
}


def test_metadata_layer_returns_its_input():
    pixels = images(5, 7)
    for result in every_way(tfseg.layers.Metadata({"divisor": 1.0}, ["a"], [(0, 0, 0)]), pixels):
        np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize(("kind", "order"), [("vgg classifier", "RGB"), ("fcn8s", "BGR"), ("fcn head", "RGB")])
def test_nets_carry_their_preprocessing(kind, order):
    metadata = tfseg.metadata(SMALL[kind]())
    assert metadata["preprocessing"]["channel_order"] == order
    assert metadata["classes"] is metadata["colors"] is None


@pytest.mark.parametrize("kind", ["vgg classifier", "fcn8s", "fcn head"])
def test_metadata_survive_saving_and_cloning(kind, tmp_path):
    model = SMALL[kind]()
    tfseg.set_metadata(model, **METADATA)
    model.save(tmp_path / "model.keras")
    for copy in (model, keras.models.clone_model(model), keras.saving.load_model(tmp_path / "model.keras")):
        assert tfseg.metadata(copy) == METADATA


def test_set_metadata_changes_only_what_it_names():
    model = SMALL["vgg"]()
    tfseg.set_metadata(model, **METADATA)
    tfseg.set_metadata(model, classes=None)
    assert tfseg.metadata(model) == METADATA | {"classes": None}


def test_metadata_of_a_model_without_the_layer_are_unknown():
    assert set(tfseg.metadata(keras.Sequential()).values()) == {None}


def test_set_metadata_refuses_unknown_facts():
    with pytest.raises(ValueError, match=r"preprocessing, classes and colors. Received: names"):
        tfseg.set_metadata(SMALL["vgg"](), names=[])


def test_set_metadata_refuses_a_model_without_the_layer():
    with pytest.raises(ValueError, match=r"'bare' has no tfseg.layers.Metadata"):
        tfseg.set_metadata(keras.Sequential(name="bare"), classes=[])
