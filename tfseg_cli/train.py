"""Trains a segmenter on your own masks, starting from a checkpoint, and resumes an interrupted run.

    tfseg train mine --num_classes=5 --split=train --val_split=val --model=fcn8s --weights=vgg16-397923af.pth \
        --crop=320,320 --run=runs/mine

--weights is any checkpoint that `tfseg convert` reads, or a .keras file. --public names the code of a network that no
table has, and runs it. If --model names another network than the one in the file, the weights that fit are loaded (a
partial load, or warm start). The run folder gets config.json, log.csv, curves.png, best.keras and last.keras. The same
command again continues from the last state, with bit-identical results.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from absl import flags

from tfseg_cli import channel_flags, choices, datasets, flag_types, path_flags
from tfseg_cli.launch import UsageError, check_name, launch, show_download
from tfseg_cli.network_options import check_options
from tfseg_cli.quiet import load_library

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from converters.conversion.requests import Conversion
    from converters.identification.sources import Source
    from tfseg import data
    from tfseg.training import Recipe

_RUN = path_flags.output_directory("run", "Folder of the run.")
_SPLIT = path_flags.split(
    "split",
    None,
    "Split to train on, or a list of names; empty: all of a folder. By default train, or all of a folder that has no "
    "such split if --val_split is not given.",
)
_VAL_SPLIT = path_flags.split("val_split", None, "Split to validate on; by default there is no validation.")
_VAL_SHARE = flag_types.number(
    "val_share",
    None,
    "Random share of the photographs to validate on, such as 0.2; whole directories of a folder that has several.",
    above=0,
    below=1,
)
_MODEL = flag_types.text(
    "model", None, "The network, by default that of the weights; `tfseg list` prints the names of all."
)
_WEIGHTS = path_flags.model_source(
    "weights",
    "A checkpoint or a .keras file, a URL, or the name of a published file; by default the weights are random.",
)
_OPTIONS = flag_types.options(
    "options", "Options of the network, such as padding=same,width=0.5 (see tfseg.build); needs --model."
)
_PUBLIC = path_flags.public_code()
_PREPROCESSING = flag_types.text(
    "preprocessing",
    None,
    "How images are prepared for --weights that do not say it: a name of tfseg.specs.PREPROCESSING, such as torch.",
)
_SKIP = flag_types.patterns("skip", "Regular expression of weights that stay random; may be repeated.")
_RECIPE = flag_types.choice("recipe", "poly", choices.RECIPES, "How to train.")
_EPOCHS = flag_types.integer("epochs", 50, "Passes over the data.", least=1)
_BATCH_SIZE = flag_types.integer("batch_size", None, "Photographs per step; by default the recipe's number.", least=1)
_CROP = flag_types.size("crop", "Height and width of the random crop of each photograph, in pixels.")
_LEARNING_RATE = flag_types.number("learning_rate", None, "Learning rate; by default the recipe's.", above=0)
_BATCH_NORM = flag_types.choice(
    "batch_norm", None, choices.BATCH_NORMS, "Mode of the BatchNorm layers; by default the recipe's."
)
_FREEZE = flag_types.patterns("freeze", "Regular expression of variable paths that are not trained; may be repeated.")
_CLASS_WEIGHTS = flag_types.choice(
    "class_weights", None, choices.CLASS_WEIGHTS, "Gives rare classes more weight, by their frequency."
)
_CLIPNORM = flag_types.number("clipnorm", None, "Largest norm of a gradient; by default the recipe's.", above=0)
_ACCUMULATE = flag_types.integer("accumulate", 1, "Number of steps whose gradients are averaged.", least=1)
_DTYPE = flag_types.choice("dtype", "float32", choices.DTYPES, "Dtype of the computations.")
_XLA = flags.DEFINE_bool("xla", False, "Whether XLA compiles the step.")
_SEED = flag_types.integer("seed", 0, "Seed of order, augmentation and dropout.", least=0, most=2**32 - 1)
_VALIDATE_EVERY = flag_types.integer("validate_every", 1, "Number of epochs between two validations.", least=1)
_SKIP_UNREADABLE = flags.DEFINE_bool("skip_unreadable", False, "Skip unreadable images, with a warning.")
_FIRST_CONV = flag_types.choice(
    "first_conv",
    "average",
    choices.FIRST_CONVS,
    "With --channels and --weights: what the channels after the first three get of the pretrained first convolution.",
)
flags.adopt_module_key_flags(datasets)
flags.adopt_module_key_flags(channel_flags)


def main() -> None:
    """Runs `tfseg train`."""
    launch(_train, required=("data", "run"), positional="data")


def _train() -> int:
    if _MODEL.value is None and _WEIGHTS.value is None:
        raise UsageError("--model is missing: what is to be trained? Or --weights=checkpoint, or both")
    if _OPTIONS.value and _MODEL.value is None:
        raise UsageError("--model is missing: --options are those of a network, such as --model=fcn8s")
    if _PUBLIC.value and _WEIGHTS.value is None:
        raise UsageError("--public builds the network of a file of weights: add --weights")
    if _PUBLIC.value and _MODEL.value:
        raise UsageError("--public and --model both say which network it is: give one of them")
    if _VAL_SPLIT.value and _VAL_SHARE.value is not None:
        raise UsageError("--val_split and --val_share both say what to validate on: give one of them")
    if _FIRST_CONV.present and not (datasets.channels() and _WEIGHTS.value):
        raise UsageError("--first_conv is for pretrained --weights on images of other --channels: add both")
    datasets.check_flags()
    channel_flags.given()  # refused now if it is invalid

    load_library()
    import tfseg

    check_name(_MODEL, tfseg.list_models(), "networks")
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    if _MODEL.value:
        check_options(_OPTIONS, _MODEL.value)

    from tfseg.training import train
    from tfseg.training.devices import strategy

    with strategy().scope():
        dataset, validation = _training_sets()
        train(
            lambda: _build_model(dataset),
            dataset,
            _RUN.value,
            recipe=_recipe(dataset),
            epochs=_EPOCHS.value,
            validation=validation,
            validate_every=_VALIDATE_EVERY.value,
            seed=_SEED.value,
            jit_compile=_XLA.value,
            skip_unreadable=_SKIP_UNREADABLE.value,
        )
    return 0


def _training_set() -> "data.Dataset":
    """The data set of --split; by default the split train, or all of a folder that has no splits."""
    if _SPLIT.value is not None:
        return datasets.open_dataset(_SPLIT.value or None)
    has_splits = _VAL_SPLIT.value or datasets.has_split("train")
    return datasets.open_dataset("train" if has_splits else None)


def _training_sets() -> "tuple[data.Dataset, data.Dataset | None]":
    """What to train on, and what to validate on: another split, or a random share of the first."""
    dataset = _training_set()
    if _VAL_SPLIT.value:
        return dataset, datasets.open_dataset(_VAL_SPLIT.value, "val_split")
    if _VAL_SHARE.value is None:
        return dataset, None
    from tfseg import data

    return data.split_randomly(dataset, _VAL_SHARE.value, seed=_SEED.value)


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
    return recipe.with_crop(_CROP.value) if _CROP.value else recipe


def _build_model(dataset: "data.Dataset") -> "keras.Model":
    """The model to start with."""
    import tfseg
    from converters import import_weights

    weights, name, options = _WEIGHTS.value, _MODEL.value, _OPTIONS.value
    if name is None and weights.endswith(".keras") and not _PUBLIC.value:
        model = tfseg.load(weights)
        if _PREPROCESSING.value:
            tfseg.set_metadata(model, preprocessing=tfseg.specs.PREPROCESSING[_PREPROCESSING.value])
        return _for_images(model, dataset, lambda note: print(f"{model.name}: {note}"))
    source = weights and _opened(weights)
    if weights and not options:
        model, receipt = _converted(source, dataset)
        model = _for_images(model, dataset, receipt.notes.append)
        receipt.preprocessing = tfseg.metadata(model)["preprocessing"]
        print(receipt)
        return model
    options = options or {}
    if not weights and dataset.photographs.channels:
        options = {"channels": dataset.photographs.channels, **options}
    try:
        model = tfseg.build(name, num_classes=dataset.num_classes, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--options: {name} cannot be built: {error}") from error
    if not weights:
        return _for_images(model, dataset, print)
    receipt = import_weights(model, source, skip=_SKIP.value)
    model = _for_images(model, dataset, receipt.notes.append)
    receipt.preprocessing = tfseg.metadata(model)["preprocessing"]
    print(receipt)
    return model


def _opened(weights: str) -> "Source | str":
    """The source of the weights; the path itself of a program in a file, which `convert` alone reads."""
    from converters import ConversionError
    from converters.identification.sources import open_source

    try:
        return open_source(weights, progress=show_download)
    except ConversionError:
        if _MODEL.value or _PUBLIC.value:
            raise
        return weights


def _converted(source: "Source | str", dataset: "data.Dataset") -> "Conversion":
    """The network of a file: one of a family, with a head for the classes; else what its program or its code says."""
    from converters import ConversionError, convert

    prepared = {"preprocessing": _PREPROCESSING.value}
    if _PUBLIC.value:
        return _with_classes(convert(source, public=_PUBLIC.value, skip=_SKIP.value, **prepared), dataset)
    try:
        return convert(source, network=_MODEL.value, num_classes=dataset.num_classes, skip=_SKIP.value, **prepared)
    except ConversionError:
        if _MODEL.value or _SKIP.value:
            raise
        try:
            converted = convert(source, **prepared)
        except ConversionError:
            converted = None
        if converted is None or not converted.receipt.steps:  # of a family, whose head has other classes
            raise
    return _with_classes(converted, dataset)


def _with_classes(converted: "Conversion", dataset: "data.Dataset") -> "Conversion":
    """The same, if it has the classes of the data set: a network that was built from a program keeps its head."""
    from tfseg.outputs import logits_of

    classes = logits_of(converted.model.output).shape[-1]
    if classes == dataset.num_classes:
        return converted
    raise UsageError(
        f"the network of --weights has {classes} classes, and the data set {dataset.num_classes}. Its head is part of "
        "the program that it was built from. Convert it, put another head on it in Python, and give that .keras file "
        "as --weights"
    )


def _for_images(model: "keras.Model", dataset: "data.Dataset", note: "Callable[[str], object]") -> "keras.Model":
    """The model for the images of a data set: their channels, and their mean and deviation.

    Args:
        model: the model as it was built or loaded.
        dataset: data set to train on.
        note: is called with a sentence about what was changed in the weights.
    """
    import tfseg
    from tfseg.preprocessing import is_stored, stored_preprocessing
    from tfseg.surgery.adapt_channels import channels_note

    channels, statistics = dataset.photographs.channels, channel_flags.given()
    known, taken = tfseg.metadata(model)["preprocessing"], model.input_shape[-1]
    if channels is None or (is_stored(known) and taken == channels):  # they may be scaled in another way
        if prepared := channel_flags.preprocessing(model):
            tfseg.set_metadata(model, preprocessing=prepared)
        return model
    prepared = stored_preprocessing(*statistics) if statistics else _measured(dataset)
    if len(prepared["mean"]) != channels:
        raise UsageError(f"--mean: expected {channels} numbers, because of --channels={channels}")
    if taken == channels and (known is None or not _WEIGHTS.value):  # it was built for these images
        tfseg.set_metadata(model, preprocessing=prepared)
        return model
    if _WEIGHTS.value:
        note(channels_note(model, channels, _FIRST_CONV.value))
    return tfseg.adapt_channels(model, channels, first_conv=_FIRST_CONV.value, preprocessing=prepared)


def _measured(dataset: "data.Dataset") -> dict[str, Any]:
    """The preprocessing for the mean and the deviation that the training images have."""
    from tfseg import data

    inspection = data.inspect_dataset(dataset)
    prepared = inspection.preprocessing
    mean, std = (",".join(f"{value:g}" for value in prepared[key]) for key in ("mean", "std"))
    print(f"measured on {len(dataset.pairs)} images: --mean={mean} --std={std}")
    return prepared


if __name__ == "__main__":
    main()
