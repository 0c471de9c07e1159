"""Trains a segmenter on your own masks, starting from a checkpoint, and resumes an interrupted run.

    tfseg train mine --num_classes=5 --split=train --val_split=val --model=fcn8s --weights=vgg16-397923af.pth \
--crop=320,320 --run=runs/mine

    tfseg train mine --num_classes=5 --model=unet --options=backbone=mobilenet_v2 --run=runs/unet

--model names a network, or a decoder whose backbone --options names. --weights is any checkpoint that `tfseg convert`
reads, or a .keras file. A head for other classes is replaced. If --model names another network than the one in the
file, the weights that fit are loaded (a partial load, or warm start).
--public names the code of a network that no table has, and runs it.

The run folder gets config.json, log.csv, curves.png, best.keras and last.keras. The same command again continues from
the last state, with bit-identical results. With more --epochs it prolongs a run, finished or not. --find_rate tries
learning rates instead, and writes nothing.
"""

from typing import TYPE_CHECKING

from absl import flags

from tfseg_cli import channel_flags, datasets, flag_types, path_flags, recipe_flags, starting_model
from tfseg_cli.launch import UsageError, launch
from tfseg_cli.quiet import load_library

if TYPE_CHECKING:
    import keras

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
_VAL_WINDOW = flag_types.size(
    "val_window",
    "Height and width of the window that slides over a photograph in validation; by default photographs above 4 "
    "million pixels are seen through windows of 1024x1024.",
)
_EPOCHS = flag_types.integer("epochs", 50, "Passes over the data.", least=1)
_PATIENCE = flag_types.integer(
    "patience", None, "Ends the run after so many validations without a better mean IoU.", least=1
)
_FIND_RATE = flags.DEFINE_bool(
    "find_rate", False, "Tries learning rates on 100 steps, prints their losses and a proposal, and ends."
)
_XLA = flags.DEFINE_bool("xla", False, "Whether XLA compiles the step.")
_SEED = flag_types.integer("seed", 0, "Seed of order, augmentation and dropout.", least=0, most=2**32 - 1)
_VALIDATE_EVERY = flag_types.integer("validate_every", 1, "Number of epochs between two validations.", least=1)
_SKIP_UNREADABLE = flags.DEFINE_bool("skip_unreadable", False, "Skip unreadable images, with a warning.")
for _module in (starting_model, recipe_flags, datasets, channel_flags):
    flags.adopt_module_key_flags(_module)


def main() -> None:
    """Runs `tfseg train`."""
    launch(_train, required=("data",), positional="data")


def _train() -> int:
    starting_model.check()
    if _VAL_SPLIT.value and _VAL_SHARE.value is not None:
        raise UsageError("--val_split and --val_share both say what to validate on: give one of them")
    if (_PATIENCE.value or _VAL_WINDOW.value) and not (_VAL_SPLIT.value or _VAL_SHARE.value):
        raise UsageError("--patience and --val_window are about validation: add --val_split or --val_share")
    if _RUN.value is None and not _FIND_RATE.value:
        raise UsageError("--run is missing: the folder of the run")
    datasets.check_flags()

    load_library()
    starting_model.check_names()
    recipe_flags.check()

    from tfseg.training import find_rate, train
    from tfseg.training.devices import all_devices

    with all_devices():
        dataset, validation = _training_sets()
        if _FIND_RATE.value:
            model = starting_model.build(dataset)
            recipe, line = recipe_flags.recipe_for(model, dataset)
            print(line)
            print(find_rate(model, dataset, recipe=recipe, seed=_SEED.value, progress=True))
            return 0
        lines: list[str] = []

        def chosen_recipe(model: "keras.Model") -> "Recipe":
            recipe, line = recipe_flags.recipe_for(model, dataset)
            lines.append(line)
            return recipe

        train(
            lambda: starting_model.build(dataset),
            dataset,
            _RUN.value,
            recipe=chosen_recipe,
            epochs=_EPOCHS.value,
            validation=validation,
            validate_every=_VALIDATE_EVERY.value,
            validation_window=_VAL_WINDOW.value,
            patience=_PATIENCE.value,
            seed=_SEED.value,
            jit_compile=_XLA.value,
            skip_unreadable=_SKIP_UNREADABLE.value,
            origin=starting_model.origin(),
            started=lambda: print(*lines, sep="\n"),
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


if __name__ == "__main__":
    main()
