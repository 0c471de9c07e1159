"""Trains a segmenter on your own masks, starting from a checkpoint, and resumes an interrupted run.

    tfseg-train --data=mine --num_classes=5 --split=train --val_split=val --model=fcn8s --weights=vgg16-397923af.pth \
        --crop=320,320 --run=runs/mine

--weights is any checkpoint that tfseg-convert reads, or a .keras file. If --model names another network than the one in
the file, the weights that fit are loaded (a partial load, or warm start). The run folder gets config.json, log.csv,
curves.png, best.keras and last.keras. The same command again continues from the last state, with bit-identical results.
"""

import ast
import dataclasses
from typing import TYPE_CHECKING, Any

from absl import flags

from tfseg_cli import datasets
from tfseg_cli.launch import launch, show_download

if TYPE_CHECKING:
    import keras

    from tfseg import data
    from tfseg.training import Recipe

_RUN = flags.DEFINE_string("run", None, "Folder of the run.", required=True)
_SPLIT = flags.DEFINE_string("split", "train", "Split to train on; empty: all of a folder.")
_VAL_SPLIT = flags.DEFINE_string("val_split", None, "Split to validate on; by default there is no validation.")
_MODEL = flags.DEFINE_string("model", None, "Name of the network for tfseg.build; by default that of the weights.")
_WEIGHTS = flags.DEFINE_string("weights", None, "A checkpoint or a .keras file; by default the weights are random.")
_OPTIONS = flags.DEFINE_list("options", [], "Options of tfseg.build, such as padding=same,width=0.5; needs --model.")
_SKIP = flags.DEFINE_multi_string("skip", [], "Regular expression of weights that stay random; may be repeated.")
_RECIPE = flags.DEFINE_enum("recipe", "poly", ["fcn-heavy", "poly", "adamw"], "How to train.")
_EPOCHS = flags.DEFINE_integer("epochs", 50, "Passes over the data.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Photographs per step; by default the recipe's number.")
_CROP = flags.DEFINE_list("crop", None, "Height and width of the random crop of each photograph.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "Learning rate; by default the recipe's.")
_BATCH_NORM = flags.DEFINE_enum(
    "batch_norm",
    None,
    ["plain", "frozen", "synchronized", "synchronised"],
    "Mode of the BatchNorm layers; by default the recipe's.",
)
_FREEZE = flags.DEFINE_multi_string(
    "freeze", [], "Regular expression of variable paths that are not trained; may be repeated."
)
_CLASS_WEIGHTS = flags.DEFINE_enum(
    "class_weights",
    None,
    ["median_frequency", "enet"],
    "Gives rare classes more weight, by their frequency.",
)
_CLIPNORM = flags.DEFINE_float("clipnorm", None, "Largest norm of a gradient; by default the recipe's.")
_ACCUMULATE = flags.DEFINE_integer("accumulate", 1, "Number of steps whose gradients are averaged.")
_DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "Dtype of the computations."
)
_XLA = flags.DEFINE_bool("xla", False, "Whether XLA compiles the step.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of order, augmentation and dropout.")
_VALIDATE_EVERY = flags.DEFINE_integer("validate_every", 1, "Number of epochs between two validations.")
_SKIP_UNREADABLE = flags.DEFINE_bool("skip_unreadable", False, "Skip unreadable images, with a warning.")
flags.adopt_module_key_flags(datasets)


def main() -> None:
    """Runs the command."""
    launch(_train)


def _train() -> int:
    from tfseg.training import train
    from tfseg.training.devices import strategy

    with strategy().scope():
        dataset = datasets.open_dataset(_SPLIT.value or None)
        train(
            lambda: _build_model(dataset),
            dataset,
            _RUN.value,
            recipe=_recipe(dataset),
            epochs=_EPOCHS.value,
            validation=datasets.open_dataset(_VAL_SPLIT.value) if _VAL_SPLIT.value else None,
            validate_every=_VALIDATE_EVERY.value,
            seed=_SEED.value,
            jit_compile=_XLA.value,
            skip_unreadable=_SKIP_UNREADABLE.value,
        )
    return 0


def _recipe(dataset: "data.Dataset") -> "Recipe":
    """The recipe of --recipe with the changes of the other flags."""
    from tfseg.training import RECIPES

    recipe = RECIPES[_RECIPE.value]
    recipe = dataclasses.replace(
        recipe,
        learning_rate=_LEARNING_RATE.value or recipe.learning_rate,
        batch_size=_BATCH_SIZE.value or recipe.batch_size,
        batch_norm=_BATCH_NORM.value or recipe.batch_norm,
        frozen=(*recipe.frozen, *_FREEZE.value),
        class_weights=datasets.class_weights(dataset, _CLASS_WEIGHTS.value),
        clipnorm=_CLIPNORM.value or recipe.clipnorm,
        accumulate=_ACCUMULATE.value,
        dtype=_DTYPE.value,
    )
    if not _CROP.value:
        return recipe
    height, width = map(int, _CROP.value)
    return recipe.with_crop((height, width))


def _build_model(dataset: "data.Dataset") -> "keras.Model":
    """The model to start with."""
    import tfseg
    from converters import convert, import_weights
    from converters.identification.sources import open_source

    weights, name = _WEIGHTS.value, _MODEL.value
    if weights is None and name is None:
        raise ValueError("What is to be trained? Pass --weights=checkpoint, --model=fcn_resnet50, or both.")
    if name is None and weights.endswith(".keras"):
        return tfseg.load(weights)
    options = {key: _parse_value(value) for key, _, value in (option.partition("=") for option in _OPTIONS.value)}
    source = weights and open_source(weights, progress=show_download)
    if weights and not options:
        model, receipt = convert(source, network=name, num_classes=dataset.num_classes, skip=_SKIP.value)
        print(receipt)
        return model
    if name is None:
        raise ValueError("--options are those of tfseg.build: name the network too, --model=fcn8s.")
    model = tfseg.build(name, num_classes=dataset.num_classes, **options)
    if weights:
        print(import_weights(model, source, skip=_SKIP.value))
    return model


def _parse_value(text: str) -> Any:
    """The number or truth value that a text stands for, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
