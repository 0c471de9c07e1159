"""How a network is trained: a recipe, and the flags that change it."""

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

from tfseg_cli import choices, datasets, flag_types
from tfseg_cli.launch import UsageError

if TYPE_CHECKING:
    import keras

    from tfseg import data
    from tfseg.training import Recipe

_RECIPE = flag_types.choice(
    "recipe",
    None,
    choices.RECIPES,
    "How to train; by default the recipe of the network: poly for BatchNorm in the trunk, vgg for VGG16, else adamw.",
)
_BATCH_SIZE = flag_types.integer("batch_size", None, "Photographs per step; by default the recipe's number.", least=1)
_CROP = flag_types.size("crop", "Height and width of the random crop of each photograph, in pixels.")
_NO_FLIP = flags.DEFINE_bool("no_flip", False, "Mirrors no photograph, as where left and right are classes.")
_ROTATE = flag_types.number(
    "rotate", None, "Largest angle in degrees by which photographs are turned, to either side.", least=0, most=180
)
_LOSS = flag_types.text(
    "loss",
    None,
    f"What is minimized: {', '.join(choices.LOSSES)}, or a sum such as cross_entropy+0.5*dice.",
)
_LEARNING_RATE = flag_types.number("learning_rate", None, "Learning rate; by default the recipe's.", above=0)
_WARMUP = flag_types.number(
    "warmup", None, "Share of all steps in which the rate rises from 0; by default the recipe's.", least=0, most=1
)
_BATCH_NORM = flag_types.choice(
    "batch_norm", None, choices.BATCH_NORMS, "Mode of the BatchNorm layers; by default the recipe's."
)
_FREEZE = flag_types.patterns("freeze", "Regular expression of variable paths that are not trained; may be repeated.")
_CLASS_WEIGHTS = flag_types.choice(
    "class_weights", None, choices.CLASS_WEIGHTS, "Gives rare classes more weight, by their frequency."
)
_CLIPNORM = flag_types.number("clipnorm", None, "Largest norm of a gradient; by default the recipe's.", above=0)
_ACCUMULATE = flag_types.integer("accumulate", 1, "Number of steps whose gradients are averaged.", least=1)
_EMA = flag_types.number(
    "ema",
    None,
    "Share of the weights' moving averages that a step keeps, such as 0.999; the averages are validated and kept.",
    above=0,
    below=1,
)
_DTYPE = flag_types.choice("dtype", "float32", choices.DTYPES, "Dtype of the computations.")


def recipe_for(model: "keras.Model", dataset: "data.Dataset") -> "tuple[Recipe, str]":
    """The recipe of --recipe, or that of the network, with the changes of the other flags; and a line about it.

    Args:
        model: the network to train.
        dataset: data set to train on.
    Raises:
        ValueError: an unknown loss.
    """
    from tfseg.training import RECIPES, default_recipe

    name = _RECIPE.value or default_recipe(model)
    recipe = RECIPES[name]
    recipe = dataclasses.replace(
        recipe,
        learning_rate=_LEARNING_RATE.value or recipe.learning_rate,
        warmup=recipe.warmup if _WARMUP.value is None else _WARMUP.value,
        batch_size=_BATCH_SIZE.value or recipe.batch_size,
        batch_norm=_BATCH_NORM.value or recipe.batch_norm,
        frozen=(*recipe.frozen, *_FREEZE.value),
        class_weights=datasets.class_weights(dataset, _CLASS_WEIGHTS.value),
        clipnorm=_CLIPNORM.value or recipe.clipnorm,
        accumulate=_ACCUMULATE.value,
        dtype=_DTYPE.value,
        loss=_LOSS.value or recipe.loss,
        ema=_EMA.value or recipe.ema,
        augmentation=dataclasses.replace(
            recipe.augmentation,
            flip=recipe.augmentation.flip and not _NO_FLIP.value,
            rotate=recipe.augmentation.rotate if _ROTATE.value is None else _ROTATE.value,
        ),
    )
    line = f"recipe {name}: {recipe.summary()}"
    return recipe.with_crop(_CROP.value) if _CROP.value else recipe, line


def check() -> None:
    """Refuses an unknown loss, before anything is built.

    Raises:
        UsageError: an unknown loss.
    """
    from tfseg.training.recipes import loss_terms

    try:
        loss_terms(_LOSS.value or "cross_entropy")
    except ValueError as error:
        raise UsageError(f"--loss: {error}") from error
