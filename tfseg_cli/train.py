"""Trains a segmenter on your own masks, beginning from a checkpoint, and goes on where it was interrupted.

    tfseg-train --data=mine --num_classes=5 --split=train --val_split=val --model=fcn8s --weights=vgg16-397923af.pth \
        --crop=320,320 --run=runs/mine

--weights is any checkpoint that tfseg-convert reads, or a .keras file; --model names another network than the file's,
into which its weights are transplanted. The run's folder gets config.json, log.csv, curves.png, best.keras and
last.keras. The same command again goes on from the last state, to the bit.
"""

from absl import flags

from tfseg.training import RECIPES, train
from tfseg_cli import datasets
from tfseg_cli.common import load_model
from tfseg_cli.launch import launch, show_download

_RUN = flags.DEFINE_string("run", None, "Folder of the run.", required=True)
_SPLIT = flags.DEFINE_string("split", "train", "What to train on; empty: all of a folder.")
_VAL_SPLIT = flags.DEFINE_string("val_split", None, "What to validate on; by default nothing.")
_MODEL = flags.DEFINE_string("model", None, "The network, as tfseg.build knows it; by default that of the weights.")
_WEIGHTS = flags.DEFINE_string("weights", None, "A checkpoint, or a .keras file; none: from random weights.")
_OPTIONS = flags.DEFINE_list("options", [], "Of tfseg.build, as in padding=same,width=0.5; wants --model.")
_SKIP = flags.DEFINE_multi_string("skip", [], "Regular expression of weights to leave at random; may be repeated.")
_RECIPE = flags.DEFINE_enum("recipe", "poly", list(RECIPES), "How to train.")
_EPOCHS = flags.DEFINE_integer("epochs", 50, "Passes over the data.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Photographs a step; by default the recipe's.")
_CROP = flags.DEFINE_list("crop", None, "Height and width of what is cut out of a photograph for a step.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "In place of the recipe's.")
_BATCH_NORM = flags.DEFINE_enum(
    "batch_norm", None, ["plain", "frozen", "synchronised"], "What BatchNorm does; by default the recipe's."
)
_FREEZE = flags.DEFINE_multi_string("freeze", [], "Regular expression of variable paths to leave; may be repeated.")
_CLASS_WEIGHTS = flags.DEFINE_enum(
    "class_weights", None, ["median_frequency", "enet"], "Weighs rare classes up, by their frequency in the data."
)
_CLIPNORM = flags.DEFINE_float("clipnorm", None, "The largest norm of a gradient.")
_ACCUMULATE = flags.DEFINE_integer("accumulate", 1, "Steps whose gradients are averaged before weights change.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "What it computes in.")
_XLA = flags.DEFINE_bool("xla", False, "Whether XLA compiles the step.")
_SEED = flags.DEFINE_integer("seed", 0, "Of order, augmentation and dropout.")
_VALIDATE_EVERY = flags.DEFINE_integer("validate_every", 1, "Epochs between two validations.")
_SKIP_UNREADABLE = flags.DEFINE_bool("skip_unreadable", False, "Go on without pictures that cannot be read.")
flags.adopt_module_key_flags(datasets)


def main():
    launch(_train)


def _train():
    from tfseg.training.devices import strategy

    recipe = RECIPES[_RECIPE.value]
    recipe = recipe._replace(
        learning_rate=_LEARNING_RATE.value or recipe.learning_rate,
        batch_norm=_BATCH_NORM.value or recipe.batch_norm,
        frozen=(*recipe.frozen, *_FREEZE.value),
    )
    with strategy().scope():
        dataset = datasets.open_dataset(_SPLIT.value or None)
        train(
            lambda: _model(dataset),
            dataset,
            _RUN.value,
            recipe=recipe,
            epochs=_EPOCHS.value,
            validation=datasets.open_dataset(_VAL_SPLIT.value) if _VAL_SPLIT.value else None,
            validate_every=_VALIDATE_EVERY.value,
            batch_size=_BATCH_SIZE.value,
            crop=_CROP.value and tuple(map(int, _CROP.value)),
            seed=_SEED.value,
            class_weights=datasets.class_weights(dataset, _CLASS_WEIGHTS.value),
            clipnorm=_CLIPNORM.value,
            accumulate=_ACCUMULATE.value,
            dtype=_DTYPE.value,
            jit_compile=_XLA.value,
            skip_unreadable=_SKIP_UNREADABLE.value,
        )
    return 0


def _model(dataset):
    """The network to begin with."""
    import tfseg
    from converters import convert, import_weights
    from converters.identification.sources import open_source

    weights, network = _WEIGHTS.value, _MODEL.value
    if weights is None and network is None:
        raise ValueError("What is to be trained? --weights=checkpoint, --model=fcn_resnet50, or both.")
    if network is None and weights.endswith(".keras"):
        return load_model(weights)
    options = {key: _plain(value) for key, _, value in (one.partition("=") for one in _OPTIONS.value)}
    source = weights and open_source(weights, progress=show_download)
    if weights and not options:
        model, receipt = convert(source, network=network, num_classes=dataset.num_classes, skip=_SKIP.value)
        print(receipt)
        return model
    if network is None:
        raise ValueError("--options are those of tfseg.build: name the network too, --model=fcn8s.")
    model = tfseg.build(network, num_classes=dataset.num_classes, **options)
    if weights:
        print(import_weights(model, source, skip=_SKIP.value))
    return model


def _plain(text):
    """A flag's text as the number or truth value that it is."""
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
