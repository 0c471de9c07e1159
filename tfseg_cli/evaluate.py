"""Measures a model on a data set, and prints the table that a paper would.

tfseg-evaluate --model=street.keras --protocol=camvid-11 --data=CamVid
tfseg-evaluate --model=mine.keras --data=mine --num_classes=5 --split=val --scales=0.5,1,1.5 --flip
"""

import pathlib

from absl import flags

from tfseg import data, evaluation
from tfseg.progress import track
from tfseg_cli import datasets
from tfseg_cli.common import load_model
from tfseg_cli.launch import launch

_MODEL = flags.DEFINE_string("model", None, "The network, a .keras file.", required=True)
_PROTOCOL = flags.DEFINE_enum(
    "protocol", None, list(data.PROTOCOLS), "Data set and split as published scores were measured on them."
)
_NETWORK = flags.DEFINE_string("network", None, "Whose published score to print beside; by default the model's name.")
_SPLIT = flags.DEFINE_string("split", "val", "Which part of the data set.")
_SCALES = flags.DEFINE_list("scales", ["1"], "Sizes at which the model sees a photograph, as in 0.5,1,1.5.")
_FLIP = flags.DEFINE_bool("flip", False, "Whether it sees it mirrored too.")
_WINDOW = flags.DEFINE_list("window", None, "Height and width that it sees at once, slid over the photograph.")
_OVERLAP = flags.DEFINE_float("overlap", 1 / 3, "Of two windows side by side.")
_JSON = flags.DEFINE_string("json", None, "Where to write all figures, as JSON.")
_WORST = flags.DEFINE_string("worst", None, "Directory for overlays of the eight worst photographs, beside the truth.")
_CONFUSION = flags.DEFINE_string("confusion", None, "Where to draw the confusion matrix, as PNG.")
flags.adopt_module_key_flags(datasets)


def main():
    launch(_evaluate)


def _evaluate():
    model = load_model(_MODEL.value)
    published, shorter_side = None, None
    if _PROTOCOL.value:
        dataset = datasets.open_protocol(_PROTOCOL.value)
        protocol = data.PROTOCOLS[_PROTOCOL.value]
        score, shorter_side = protocol.published.get(_NETWORK.value or model.name), protocol.shorter_side
        published = score and (score, _PROTOCOL.value)
    else:
        dataset = datasets.open_dataset(_SPLIT.value)
    options = {
        "scales": tuple(map(float, _SCALES.value)),
        "flip": _FLIP.value,
        "window": _WINDOW.value and tuple(map(int, _WINDOW.value)),
        "overlap": _OVERLAP.value,
    }
    found = evaluation.evaluate(model, dataset, track=track, published=published, shorter_side=shorter_side, **options)
    print(found)
    if _JSON.value:
        found.save(_JSON.value)
    if _CONFUSION.value:
        evaluation.draw_confusion(found, _CONFUSION.value)
    if _WORST.value:
        directory = pathlib.Path(_WORST.value)
        directory.mkdir(parents=True, exist_ok=True)
        for rank, pair in enumerate(found.worst(), 1):
            picture = evaluation.overlay(model, pair, dataset, **options)
            picture.save(directory / f"{rank}_{pair.image.stem}.jpg", quality=92)
    return 0


if __name__ == "__main__":
    main()
