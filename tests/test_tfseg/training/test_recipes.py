"""Recipes: records whose equal values are equal, and whose invalid values are refused."""

import dataclasses

import numpy as np
import pytest

from tfseg import training
from tfseg.training.objectives import make_optimizer
from tfseg.training.recipes import find_recipe


def test_recipe_by_name():
    assert find_recipe("poly") is training.RECIPES["poly"]
    with pytest.raises(ValueError, match=r"recipe is a Recipe or one of 'fcn-heavy', .* Received: 'sgd'"):
        find_recipe("sgd")


def test_default_recipes_of_networks_warm_up_new_heads():
    """The first gradients of a new head are large."""
    for name in ("poly", "vgg", "adamw"):
        recipe = training.RECIPES[name]
        rate = make_optimizer(recipe, 1000)._learning_rate
        rates = [float(rate(step)) for step in (0, round(1000 * recipe.warmup) - 1)]
        assert rates[0] < 0.11 * recipe.learning_rate
        assert rates[1] > 0.97 * recipe.learning_rate


def test_a_recipe_says_in_one_line_how_fast_it_is():
    heavy = training.RECIPES["fcn-heavy"]
    assert heavy.summary() == "sgd at 1e-10; batches of 1"
    changed = dataclasses.replace(heavy, power=1.0, warmup=0.125, head_factor=10.0)
    assert changed.summary() == (
        "sgd at 1e-10 (head: 1e-09), falling to 0, after a warm-up in 12.5 % of the steps; batches of 1"
    )


def test_british_spelling_is_an_alias():
    recipe = training.Recipe(batch_norm="synchronised")
    assert recipe.batch_norm == "synchronized"
    assert recipe == training.Recipe(batch_norm="synchronized")


def test_class_weights_may_be_an_array():
    recipe = training.Recipe(class_weights=np.array([1, 2], "float32"))
    assert recipe == training.Recipe(class_weights=[1, 2])
    assert recipe.class_weights == (1.0, 2.0)


def test_with_crop_keeps_the_rest_of_the_augmentation():
    recipe = training.RECIPES["fcn-heavy"].with_crop((64, 96))
    assert recipe.augmentation.crop == (64, 96)
    assert not recipe.augmentation.flip
    assert (
        dataclasses.replace(recipe, augmentation=training.RECIPES["fcn-heavy"].augmentation)
        == (training.RECIPES["fcn-heavy"])
    )


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("optimizer", r"optimizer is 'sgd' or 'adamw'. Received: 'none'"),
        ("batch_norm", r"batch_norm is one of 'plain', 'frozen', 'synchronized'. Received: 'none'"),
        ("dtype", r"dtype is one of 'float32', .* Received: 'none'"),
    ],
)
def test_invalid_field_is_refused(field, message):
    with pytest.raises(ValueError, match=message):
        training.Recipe(**{field: "none"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "median"}, r"reduction is 'mean' or 'sum'. Received: 'median'"),
        ({"batch_size": 0}, r"batch_size is a whole number above 0. Received: 0"),
        ({"batch_size": "4"}, r"batch_size is a whole number above 0. Received: '4'"),
        ({"accumulate": 1.5}, r"accumulate is a whole number above 0. Received: 1.5"),
        ({"learning_rate": -0.1}, r"learning_rate is a number above 0. Received: -0.1"),
        ({"clipnorm": float("nan")}, r"clipnorm is a number above 0. Received: nan"),
        ({"momentum": "0.9"}, r"momentum is a number at least 0. Received: '0.9'"),
        ({"warmup": 100}, r"warmup is a share of all steps, from 0 to 1. Received: 100"),
        ({"frozen": "conv1.*"}, r"frozen holds regular expressions, .* Received: 'conv1.\*'"),
    ],
)
def test_value_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        training.Recipe(**options)


@pytest.mark.parametrize("crop", [(0, 0), "ab", (3.5, 4), (320,), 320])
def test_invalid_crop_is_refused(crop):
    with pytest.raises(ValueError, match=r"crop is \(height, width\) in pixels"):
        training.RECIPES["poly"].with_crop(crop)
