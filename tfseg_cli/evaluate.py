"""Measures a model on a data set, and prints the table that a paper prints.

tfseg-evaluate --model=street.keras --protocol=camvid-11 --data=CamVid
tfseg-evaluate --model=mine.keras --data=mine --num_classes=5 --split=val --scales=0.5,1,1.5 --flip
"""

import pathlib

from absl import flags

from tfseg_cli import datasets
from tfseg_cli.launch import launch

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The network: a .keras file, a folder of tfseg-export, or what tfseg-convert reads.",
    required=True,
)
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    None,
    "Data set and split that published scores were measured on, as camvid-11 or voc2012-val: a name of "
    "tfseg.data.PROTOCOLS.",
)
_NETWORK = flags.DEFINE_string(
    "network", None, "Network whose published score is printed below the scores; by default the name of the model."
)
_SPLIT = flags.DEFINE_string("split", "val", "Which part of the data set.")
_SCALES = flags.DEFINE_list("scales", ["1"], "Sizes at which the model sees a photograph, as in 0.5,1,1.5.")
_FLIP = flags.DEFINE_bool("flip", False, "Whether the model sees the mirrored photograph, too.")
_WINDOW = flags.DEFINE_list(
    "window", None, "Height and width of the window that slides over the photograph, in pixels."
)
_OVERLAP = flags.DEFINE_float("overlap", 1 / 3, "How much of its side a window shares with the next one.")
_JSON = flags.DEFINE_string("json", None, "Where to write all figures, as JSON.")
_WORST = flags.DEFINE_string(
    "worst", None, "Directory for pictures of the eight worst photographs, with the predicted and the true classes."
)
_CONFUSION = flags.DEFINE_string("confusion", None, "Where to draw the confusion matrix, as PNG.")
flags.adopt_module_key_flags(datasets)


def main() -> None:
    """Runs `tfseg-evaluate`."""
    launch(_evaluate)


def _evaluate() -> int:
    import tfseg
    from tfseg import data, evaluation

    model = tfseg.load(_MODEL.value)
    published, shorter_side = None, None
    if _PROTOCOL.value:
        dataset = datasets.open_protocol(_PROTOCOL.value)
        protocol = data.PROTOCOLS[_PROTOCOL.value]
        score, shorter_side = protocol.published.get(_NETWORK.value or model.name), protocol.shorter_side
        published = (score, _PROTOCOL.value) if score else None
    else:
        dataset = datasets.open_dataset(_SPLIT.value)
    options = {
        "scales": tuple(map(float, _SCALES.value)),
        "flip": _FLIP.value,
        "window": _WINDOW.value and tuple(map(int, _WINDOW.value)),
        "overlap": _OVERLAP.value,
    }
    result = evaluation.evaluate(
        model, dataset, progress=True, published=published, shorter_side=shorter_side, **options
    )
    print(result)
    if _JSON.value:
        result.save(_JSON.value)
    if _CONFUSION.value:
        evaluation.draw_confusion(result, _CONFUSION.value)
    if _WORST.value:
        directory = pathlib.Path(_WORST.value)
        directory.mkdir(parents=True, exist_ok=True)
        for rank, pair in enumerate(result.worst(), 1):
            picture = evaluation.draw_pair(model, pair, dataset, **options)
            picture.save(directory / f"{rank}_{pair.image.stem}.jpg", quality=92)
    return 0


if __name__ == "__main__":
    main()
