"""Preparation of a model: frozen variables, BatchNorm, dtype, optimizer and losses."""

import dataclasses
import re

import keras
import numpy as np
import pytest
from helpers.data_sets import scenes
from helpers.training_models import RECIPE, small_model, small_model_with_aux

import tfseg
from tfseg import data, training
from tfseg.layers.metadata import set_size_multiple
from tfseg.optimizers import Poly
from tfseg.training.network_facts import HEAD, head_pattern, with_fitting_crop
from tfseg.training.precision import with_dtype
from tfseg.training.preparation import adapt_to_dataset
from tfseg.training.validation import validate


def test_pattern_that_no_variable_matches_is_refused():
    with pytest.raises(ValueError, match=r"No variable is called 'conv1'"):
        training.prepare(small_model(), frozen=["conv1"])


@pytest.mark.parametrize("mode", ["plain", "frozen", "synchronized", "synchronised"])
def test_batch_norm_modes(mode):
    model = small_model()
    training.prepare(model, batch_norm=mode)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.trainable for layer in layers} == {mode != "frozen"}
    assert {layer.synchronized for layer in layers} == {mode.startswith("synchron")}


def test_unknown_batch_norm_mode_is_refused():
    with pytest.raises(ValueError, match="batch_norm is one of 'plain'"):
        training.prepare(small_model(), batch_norm="live")


def test_scores_with_a_bias_stay_in_float32():
    """TensorFlow's bfloat16 gradient of a bias overruns its buffer unless its length is a multiple of 16."""
    model = with_dtype(tfseg.FCN8s(11, padding="same", width=1 / 4), "mixed_bfloat16")
    float32_layers = {layer.name for layer in model.layers if layer.weights and layer.compute_dtype == "float32"}
    assert float32_layers == {"score_fr", "score_pool4", "score_pool3"}
    assert model.output.dtype == "float32"


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_model_of_half_the_bits_computes_in_the_dtype_of_the_recipe(tmp_path, dtype):
    half = with_dtype(small_model(), "mixed_bfloat16")
    model = adapt_to_dataset(half, scenes(tmp_path), dtype)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32", dtype}
    for ours, other in zip(model.weights, half.weights, strict=True):
        np.testing.assert_array_equal(ours, other)


def test_class_weight_of_fit_ends_in_a_sentence(tmp_path):
    """Keras looks for one class per image, and ends in a TypeError of its own."""
    model, images, masks = small_model(), np.zeros((2, 16, 16, 3), "float32"), np.zeros((2, 16, 16), "uint8")
    training.compile_model(model, dataclasses.replace(RECIPE, batch_norm="frozen"), steps=2)
    with pytest.raises(ValueError, match=r"class_weight of fit is for one class per image.*class_weights=.*Received"):
        model.fit(images, masks, class_weight={0: 1.0, 1: 3.0}, verbose=0)
    assert len(model.fit(images, masks, 2, epochs=1, verbose=0).history["loss"]) == 1
    model.save(tmp_path / "m.keras")
    assert tfseg.load(tmp_path / "m.keras").name == model.name


def test_compiled_model_learns_by_fit(tmp_path):
    dataset = scenes(tmp_path / "data")
    model = small_model_with_aux()
    training.compile_model(model, RECIPE, steps=40)
    examples = data.batches(dataset, 2, "torch", augmentation=RECIPE.augmentation, outputs=2)
    history = model.fit(examples, steps_per_epoch=10, epochs=4, shuffle=False, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert any(key.endswith("mean_iou") for key in history)


def test_recipe_sets_the_options_of_optimizer_and_loss():
    model = small_model()
    training.compile_model(model, dataclasses.replace(RECIPE, clipnorm=2.0, accumulate=3, class_weights=(1, 4)), 10)
    assert model.optimizer.clipnorm == 2.0
    assert model.optimizer.gradient_accumulation_steps == 3
    assert model.loss.class_weights == [1.0, 4.0]


def test_falling_rate_needs_the_number_of_steps():
    with pytest.raises(ValueError, match="pass steps="):
        training.compile_model(small_model(), RECIPE)


def test_poly_rises_linearly_and_falls_polynomially():
    schedule = Poly(0.1, 100, power=0.9, warmup=10)
    rates = [float(schedule(step)) for step in (0, 4, 9, 50, 100, 120)]
    expected = [0.01, 0.05 * 0.96**0.9, 0.1 * 0.91**0.9, 0.1 * 0.5**0.9, 0, 0]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)


def test_the_last_layers_are_the_head_of_a_model_that_came_whole():
    """Names of other libraries do not say what is new: the whole model would learn ten times as fast."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="encoder.bn")(keras.layers.Conv2D(4, 3, name="encoder.conv")(image))
    logits = keras.layers.UpSampling2D(name="up")(keras.layers.Conv2D(2, 1, name="classifier")(x))
    aux = keras.layers.Conv2D(2, 1, name="aux_classifier")(x)
    model = keras.Model(image, {"out": logits, "aux": aux})
    pattern = head_pattern(model)
    faster = {variable.path for variable in model.trainable_variables if re.fullmatch(pattern, variable.path)}
    assert faster == {f"{name}/{kind}" for name in ("classifier", "aux_classifier") for kind in ("kernel", "bias")}
    training.compile_model(model, "poly", steps=10)
    assert set(model.optimizer.factors) == {pattern}


def test_all_but_the_trunk_is_the_head_of_our_own_networks():
    assert head_pattern(small_model()) == HEAD


def test_the_crop_fits_a_model_of_one_size():
    image = keras.Input((16, 24, 3))
    fixed = keras.Model(image, keras.layers.Conv2D(2, 1)(image), name="fixed")
    free = dataclasses.replace(RECIPE, augmentation=data.Augmentation())
    assert with_fitting_crop(free, fixed).augmentation.crop == (16, 24)
    assert with_fitting_crop(free, small_model()) is free
    with pytest.raises(ValueError, match=r"'fixed' takes images of 16 x 24 .*a crop of 16 x 16.*--crop=16,24"):
        with_fitting_crop(RECIPE, fixed)
    model = small_model()
    set_size_multiple(model, 32)
    with pytest.raises(ValueError, match=r"multiples of 32 pixels. Received: a crop of 16 x 16"):
        with_fitting_crop(RECIPE, model)


def test_a_model_of_one_size_is_validated_through_windows(tmp_path):
    """The photographs are larger."""
    image = keras.Input((16, 16, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="logits")(x))
    assert 0 <= validate(model, scenes(tmp_path))["mean_iou"] <= 1
