"""Measures a model on a data set, and prints the table that a paper prints.

tfseg evaluate street.keras --protocol=camvid-11 --data=CamVid
tfseg evaluate mine.keras --data=mine --num_classes=5 --split=val --scales=0.5,1,1.5 --flip
"""

import importlib.util
import pathlib

from absl import flags

from tfseg_cli import channel_flags, datasets, engine_flags, flag_types, path_flags
from tfseg_cli.launch import UsageError, check_name, launch
from tfseg_cli.quiet import load_library

_MODEL = path_flags.model_source(
    "model",
    "The network: a .keras file, a folder of `tfseg export`, a checkpoint that `tfseg convert` reads, or the name of a "
    "published file.",
)
_PUBLIC = path_flags.public_code()
_PROTOCOL = flag_types.text(
    "protocol",
    None,
    "Data set and split that published scores were measured on, such as camvid-11 or voc2012-val: a name of "
    "tfseg.data.PROTOCOLS.",
)
_NETWORK = flag_types.text(
    "network",
    None,
    "With --protocol: the network whose published score is printed below the scores; by default the model's name.",
)
_PREPROCESSING = flag_types.text(
    "preprocessing",
    None,
    "How images are prepared, such as torch or caffe, if the model does not say it: a name of "
    "tfseg.specs.PREPROCESSING.",
)
_SPLIT = path_flags.split("split", "val", "Which part of the data set; empty: all of a folder.")
_SCALES = flag_types.numbers(
    "scales", (1.0,), "Sizes at which the model sees a photograph, such as 0.5,1,1.5.", above=0
)
_FLIP = flags.DEFINE_bool("flip", False, "Whether the model sees the mirrored photograph, too.")
_WINDOW = flag_types.size("window", "Height and width of the window that slides over the photograph, in pixels.")
_OVERLAP = flag_types.number(
    "overlap", 1 / 3, "How much of its side a window shares with the next one; default: a third.", least=0, below=1
)
_JSON = path_flags.output_file("json", "Where to write all figures, as JSON; a file that exists is replaced.")
_WORST = path_flags.output_directory(
    "worst", "Directory for pictures of the eight worst photographs, with the predicted and the true classes."
)
_CONFUSION = path_flags.output_file(
    "confusion",
    "Where to draw the confusion matrix, or to write it as numbers of pixels (.csv); a file that exists is replaced.",
    suffixes=(".png", ".csv"),
)
flags.adopt_module_key_flags(datasets)
flags.adopt_module_key_flags(channel_flags)
flags.adopt_module_key_flags(engine_flags)


def main() -> None:
    """Runs `tfseg evaluate`."""
    launch(_evaluate, required=("model", "data"), positional="model")


def _evaluate() -> int:
    if _NETWORK.value and not _PROTOCOL.value:
        raise UsageError("--network chooses a published score of a protocol: add --protocol=, or leave it out")
    if not _PROTOCOL.value:
        datasets.check_flags(needs_classes=False)
    elif datasets.channels():
        raise UsageError("--channels is for data sets of one's own, and --protocol for photographs: give one of them")
    if channel_flags.given() and _PREPROCESSING.value:  # the former is refused now if it is invalid
        raise UsageError("--preprocessing and --mean both say how images are prepared: give one of them")
    drawn = _CONFUSION.value and _CONFUSION.value.endswith(".png")
    if drawn and importlib.util.find_spec("matplotlib") is None:
        raise ValueError('--confusion needs matplotlib: pip install "tfseg[plots]"')

    load_library()
    import tfseg
    from tfseg import data, evaluation
    from tfseg.outputs import logits_of
    from tfseg.preprocessing import channels_of, is_stored

    engine_flags.check()
    check_name(_PROTOCOL, list(data.PROTOCOLS), "protocols")
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    check_name(_NETWORK, tfseg.list_models(), "networks")
    dataset = datasets.open_protocol(_PROTOCOL.value) if _PROTOCOL.value else None
    model = tfseg.load(_MODEL.value, public=_PUBLIC.value)
    named = _PREPROCESSING.value and tfseg.specs.PREPROCESSING[_PREPROCESSING.value]
    preprocessing = named or channel_flags.preprocessing(model) or tfseg.metadata(model)["preprocessing"]
    if dataset is None:  # the model says which images it takes
        channels = channels_of(preprocessing) if preprocessing and is_stored(preprocessing) else None
        dataset = datasets.open_dataset(_SPLIT.value or None, channels=channels, model=model)
    classes = logits_of(model.output).shape[-1]
    if classes > dataset.num_classes:
        raise UsageError(
            f"the model has {classes} classes, and the data set {dataset.num_classes}: they must be the same"
        )
    published, shorter_side = None, None
    if _PROTOCOL.value:
        protocol = data.PROTOCOLS[_PROTOCOL.value]
        score, shorter_side = protocol.published.get(_NETWORK.value or model.name), protocol.shorter_side
        published = (score, _PROTOCOL.value) if score else None
    if _WORST.value:
        pathlib.Path(_WORST.value).mkdir(parents=True, exist_ok=True)
    options = {"scales": _SCALES.value, "flip": _FLIP.value, "window": _WINDOW.value, "overlap": _OVERLAP.value}
    options |= {"preprocessing": preprocessing, "engine": engine_flags.chosen(model)}
    result = evaluation.evaluate(
        model,
        dataset,
        progress=True,
        published=published,
        shorter_side=shorter_side,
        explain=engine_flags.explain(),
        **options,
    )
    try:
        if _JSON.value:
            result.save(_JSON.value)
        if _CONFUSION.value:
            save = evaluation.draw_confusion if drawn else evaluation.write_confusion
            save(result, _CONFUSION.value)
        if _WORST.value:
            for rank, pair in enumerate(result.worst(), 1):
                picture = evaluation.draw_pair(model, pair, dataset, **options)
                picture.save(pathlib.Path(_WORST.value) / f"{rank}_{pair.image.stem}.jpg", quality=92)
    finally:
        print(result)  # even if a disk is full; and last, because its reader may be gone (`| head`)
    return 0


if __name__ == "__main__":
    main()
