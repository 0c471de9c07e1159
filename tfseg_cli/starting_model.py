"""The model that a training starts with: the flags that say which, and what is made of them."""

import glob
import hashlib
import os
import pathlib
from typing import TYPE_CHECKING, Any

from tfseg_cli import channel_flags, choices, datasets, flag_types, path_flags
from tfseg_cli.launch import UsageError, check_name, show_download
from tfseg_cli.network_options import check_options

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from converters.identification.sources import Source
    from tfseg import data

_MODEL = flag_types.text(
    "model",
    None,
    "The network, by default that of the weights; `tfseg list` prints the names of all. A decoder, such as unet, takes "
    "--options=backbone=resnet34.",
)
_WEIGHTS = path_flags.model_source(
    "weights",
    "A checkpoint or a .keras file, a URL, or the name of a published file; by default the weights are random. A head "
    "for other classes is replaced.",
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
_FIRST_CONV = flag_types.choice(
    "first_conv",
    "average",
    choices.FIRST_CONVS,
    "With --channels and --weights: what the channels after the first three get of the pretrained first convolution.",
)


def check() -> None:
    """Refuses flags that contradict each other, before anything is loaded.

    Raises:
        UsageError: a flag is missing, or two exclude each other.
    """
    if _MODEL.value is None and _WEIGHTS.value is None:
        raise UsageError("--model is missing: what is to be trained? Or --weights=checkpoint, or both")
    if _OPTIONS.value and _MODEL.value is None:
        raise UsageError("--model is missing: --options are those of a network, such as --model=fcn8s")
    if _PUBLIC.value and _WEIGHTS.value is None:
        raise UsageError("--public builds the network of a file of weights: add --weights")
    if _PUBLIC.value and _MODEL.value:
        raise UsageError("--public and --model both say which network it is: give one of them")
    if _FIRST_CONV.present and not (datasets.channels() and _WEIGHTS.value):
        raise UsageError("--first_conv is for pretrained --weights on images of other --channels: add both")
    channel_flags.given()  # refused now if it is invalid


def check_names() -> None:
    """Refuses names and options that the library does not know; it must be loaded.

    Raises:
        UsageError: an unknown name, with the nearest known one.
    """
    import tfseg

    check_name(_MODEL, [*tfseg.list_models(), *tfseg.list_models("decoders")], "networks")
    check_name(_PREPROCESSING, list(tfseg.specs.PREPROCESSING), "ways to prepare images")
    if _MODEL.value:
        check_options(_OPTIONS, _MODEL.value)


def origin() -> dict[str, Any]:
    """What the model is made from, as plain values: the run's folder keeps them, and a resumed run compares them."""
    made: dict[str, Any] = {
        "name": _MODEL.value,
        "options": _OPTIONS.value or {},
        "skip": list(_SKIP.value),
        "public": _PUBLIC.value,
        "preprocessing": _PREPROCESSING.value,
        "statistics": channel_flags.given(),
        "first_conv": _FIRST_CONV.value if _FIRST_CONV.present else None,
        "weights": _WEIGHTS.value and _mark(_WEIGHTS.value),
    }
    if _WEIGHTS.value:
        made["weights_from"] = _WEIGHTS.value
    return made


def _mark(weights: str) -> str:
    """What tells weights from others: the hash of their files, the name of a published file, or an address."""
    from converters.downloads.published import find
    from tfseg.prediction.fingerprint import content_mark

    path = pathlib.Path(os.path.expanduser(weights))
    if path.is_file():
        return content_mark(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    else:  # the prefix of a TensorFlow checkpoint
        files = sorted(path.parent.glob(f"{glob.escape(path.name)}.*"))
    if files:
        marks = [f"{file.relative_to(path.parent)} {content_mark(file)}" for file in files]
        return hashlib.blake2b("\n".join(marks).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    published = find(weights)
    return published.name if published else weights


def build(dataset: "data.Dataset") -> "keras.Model":
    """The model to start with.

    Args:
        dataset: data set to train on.
    Raises:
        UsageError: options that the network does not take.
        ConversionError: weights that cannot be read, or fit nowhere.
    """
    import tfseg

    weights, name, options = _WEIGHTS.value, _MODEL.value, dict[str, Any]()
    if name:
        name, options = check_options(_OPTIONS, name)
    if not weights:
        if dataset.photographs.channels:
            options = {"channels": dataset.photographs.channels, **options}
        try:
            model = tfseg.build(name, num_classes=dataset.num_classes, **options)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--options: {name} cannot be built: {error}") from error
        return _for_images(model, dataset, print)
    from converters import warm_start

    start = warm_start(
        _opened(weights),
        dataset.num_classes,
        network=name,
        options=options,
        skip=_SKIP.value,
        preprocessing=_PREPROCESSING.value,
        public=_PUBLIC.value,
    )
    if start.receipt is None:
        for note in start.notes:
            print(f"{start.model.name}: {note}")
        return _for_images(start.model, dataset, lambda note: print(f"{start.model.name}: {note}"))
    model = _for_images(start.model, dataset, start.receipt.notes.append)
    start.receipt.preprocessing = tfseg.metadata(model)["preprocessing"]
    print(start.receipt)
    return model


def _opened(weights: str) -> "Source | str":
    """The source of the weights; the path itself of a model of one's own, and of a program, which `convert` reads."""
    from converters import ConversionError
    from converters.identification.sources import open_source

    if pathlib.Path(weights).suffix == ".keras" and os.path.exists(weights):
        return weights
    try:
        return open_source(weights, progress=show_download)
    except ConversionError:
        if _MODEL.value or _PUBLIC.value:
            raise
        return weights


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
