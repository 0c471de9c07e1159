"""The flags with which commands choose a data set."""

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

from tfseg_cli import annotation_flags, choices, flag_types, path_flags
from tfseg_cli.launch import UsageError, invalid
from tfseg_cli.palette_files import read_palette

if TYPE_CHECKING:
    import keras
    import numpy as np

    from tfseg import data

_DATA = path_flags.existing_directory("data", "Directory of the data set.")
_DATASET = flag_types.choice(
    "dataset",
    "folder",
    choices.DATA_SETS,
    "Its layout; folder: images/ and masks/ with equal names; coco_json, labelme and cvat: annotations of any classes.",
)
_NUM_CLASSES = flag_types.integer(
    "num_classes", None, "For a folder: ids in its masks are 0 to num_classes - 1.", least=1
)
_CLASSES = flag_types.texts(
    "classes", None, "For a folder or annotations: names of the classes, in order of their ids."
)
_VOID = flag_types.integers(
    "void",
    [],
    "For a folder: an ignored value in its masks; may be repeated. By default 255, if no class has it.",
)
_MASK_VALUES = flag_types.whole_numbers(
    "mask_values", "For a folder: the value of each class in its masks, in order, such as 0,255."
)
_REDUCE_ZERO_LABEL = flags.DEFINE_bool(
    "reduce_zero_label", False, "For a folder: whether 0 in its masks is ignored, and 1 is the first class."
)
_IMAGES = flag_types.text(
    "images", "images", "For a folder or annotations: directory of photographs; . is that of --data itself."
)
_MASKS = flag_types.text("masks", "masks", "For a folder: its directory of masks.")
_MASK_PATTERN = flag_types.text(
    "mask_pattern", None, "For a folder: how masks are named after photographs, such as {name}_mask."
)
_EXIF = flag_types.choice(
    "exif",
    "sizes",
    choices.EXIF_RULES,
    "For a folder: whether photographs are turned as their EXIF orientation says; sizes: if their masks fit then.",
)
_IMAGE_BITS = flag_types.integer(
    "image_bits", None, "For a folder: bits of photographs in files of 16 bits, such as 12.", least=8, most=16
)
_CHANNELS = flag_types.integer(
    "channels",
    None,
    "For a folder or annotations: channels of images that are read as they are stored: .npy (height, width, channels), "
    "GeoTIFF and others. By default they are photographs.",
    least=1,
)
_NO_DATA = flag_types.no_data(
    "no_data",
    "For a folder or annotations: the value of pixels without data, which become void; none: all have data. By default "
    "what a TIFF says.",
)
_PALETTE = path_flags.existing_file(
    "palette", "For a folder with masks in colors: a text file with a line `red green blue name` for each color."
)
_SBD = path_flags.existing_directory(
    "sbd", "Directory `dataset` of SBD, for the split trainaug of VOC, and for the protocol voc2011-seg11valid."
)


flags.adopt_module_key_flags(annotation_flags)

_SPLITS = ("train", "val", "valid", "validation", "test")


def check_flags(*, needs_classes: bool = True) -> None:
    """Refuses flags that choose no data set, before anything is loaded.

    Args:
        needs_classes: whether the flags must say the classes of a folder; a model may say them, too.
    Raises:
        UsageError: the number of classes of a folder is not given, two flags give two numbers, or a palette is no
            palette.
    """
    annotation_flags.check(_DATASET.value)
    for flag in (_CHANNELS, _NO_DATA):
        if flag.present and _DATASET.value not in ("folder", *choices.ANNOTATIONS):
            raise UsageError(f"--{flag.name} is for a folder or annotations, not for --dataset={_DATASET.value}")
    if _CHANNELS.value and _IMAGE_BITS.value:
        raise UsageError("--image_bits is for photographs: images with --channels are read as they are stored")
    if _DATASET.value != "folder":
        return
    names = _PALETTE.value and _palette()[1]
    classes = _CLASSES.value or names
    if needs_classes and not classes and not _NUM_CLASSES.value and not _MASK_VALUES.value:
        raise UsageError("--num_classes is missing: how many classes do the masks have? Or --classes=, or --palette=")
    if _CLASSES.value and _NUM_CLASSES.value not in (None, len(_CLASSES.value)):
        raise invalid(_CLASSES, f"expected {_NUM_CLASSES.value} names, because of --num_classes={_NUM_CLASSES.value}")
    if names and (_CLASSES.value or _NUM_CLASSES.value) and (_NUM_CLASSES.value or len(classes)) < len(names):
        flag = _CLASSES if _CLASSES.value else _NUM_CLASSES
        raise invalid(flag, f"expected {len(names)} classes, because --palette={_PALETTE.value} names so many")


def open_dataset(
    split: str | None, flag: str = "split", *, channels: int | None = None, model: "keras.Model | None" = None
) -> "data.Dataset":
    """One split of the `tfseg.data.Dataset` that the flags choose.

    Args:
        split: name of the split, or the path of its list; None: the default of the data set.
        flag: name of the flag that gives the split.
        channels: number of channels of images without --channels; None: photographs.
        model: the model whose classes a folder has if no flag says them.
    Raises:
        UsageError: flags that choose no data set, or a split that a folder does not have.
        ValueError: a data set that is not there.
    """
    check_flags(needs_classes=model is None)
    from tfseg import data

    kind, root = _DATASET.value, _DATA.value
    if kind == "voc":
        if split == "trainaug" and not _SBD.value:
            raise UsageError("--sbd is missing: the split trainaug is VOC and SBD together")
        return data.voc(root, split or "train", sbd=_SBD.value)
    if kind in choices.ANNOTATIONS:
        images = _IMAGES.value if _IMAGES.present else None
        dataset = annotation_flags.open_dataset(kind, root, split, images, _CLASSES.value)
        if _NUM_CLASSES.value not in (None, dataset.num_classes):
            raise invalid(
                _NUM_CLASSES, f"the annotations have {dataset.num_classes}: {', '.join(dataset.classes or ())}"
            )
        photographs = data.Photographs(_EXIF.value, _IMAGE_BITS.value, _CHANNELS.value or channels, _NO_DATA.value)
        return dataclasses.replace(dataset, photographs=photographs)
    if kind != "folder":
        open_kind = {"cityscapes": data.cityscapes, "camvid": data.camvid, "ade20k": data.ade20k, "coco": data.coco}
        return open_kind[kind](root, **({"split": split} if split else {}))
    if split and not has_split(split):
        places = f"neither {_IMAGES.value}/{split} and {_MASKS.value}/{split} nor a list {split}.txt is in {root}"
        raise UsageError(f"--{flag}={split}: there is no such split: {places}")
    palette, names = _palette() if _PALETTE.value else (None, None)
    classes, count = _CLASSES.value or names, _NUM_CLASSES.value
    if model is not None and not (classes or count or _MASK_VALUES.value):
        classes, count = _classes_of(model)
    return data.folder(
        root,
        split,
        num_classes=count or len(classes or _MASK_VALUES.value or ()),
        images=_IMAGES.value,
        masks=_MASKS.value,
        void=tuple(_VOID.value) or None,
        palette=palette,
        classes=classes,
        mask_values=_MASK_VALUES.value,
        reduce_zero_label=_REDUCE_ZERO_LABEL.value,
        mask_pattern=_MASK_PATTERN.value,
        exif=_EXIF.value,
        image_bits=_IMAGE_BITS.value,
        channels=_CHANNELS.value or channels,
        no_data=_NO_DATA.value,
    )


def channels() -> int | None:
    """The number of channels that --channels says; None for photographs."""
    return _CHANNELS.value


def has_split(split: str) -> bool:
    """Whether a folder or annotations have a split; data sets of other layouts always have theirs.

    Args:
        split: name of the split, or the path of its list.
    """
    from tfseg.data import folders

    if _DATASET.value in choices.ANNOTATIONS:
        return annotation_flags.has_split(_DATASET.value, _DATA.value, split)
    return _DATASET.value != "folder" or folders.has_split(_DATA.value, split, images=_IMAGES.value, masks=_MASKS.value)


def other_splits(split: str | None) -> "list[data.Dataset]":
    """The other splits of a folder, by the names that people give them; empty for the whole folder.

    Args:
        split: the split that is looked at; None or "": all of the folder.
    """
    if not split or _DATASET.value != "folder":
        return []
    return [open_dataset(name) for name in _SPLITS if name != split and has_split(name)]


def open_protocol(name: str) -> "data.Dataset":
    """The `tfseg.data.Dataset` of a protocol, in the directory that the flags name.

    Args:
        name: a name of `tfseg.data.PROTOCOLS`.
    """
    from tfseg import data

    return data.open_protocol(name, _DATA.value, _SBD.value)


def class_weights(dataset: "data.Dataset", method: str | None) -> "np.ndarray | None":
    """The weight of each class in the loss, from the class frequencies in the masks; None without a method.

    Args:
        dataset: data set whose masks are counted.
        method: "median_frequency", "enet" or None.
    """
    from tfseg import data, losses

    if method is None:
        return None
    counts = data.inspect_dataset(dataset).pixel_counts[:-1]
    return losses.enet_weights(counts) if method == "enet" else losses.median_frequency_weights(counts)


def _classes_of(model: "keras.Model") -> tuple[list[str] | None, int]:
    """The names of a model's classes, if it has them, and their number."""
    import tfseg
    from tfseg.outputs import logits_of

    return tfseg.metadata(model)["classes"], int(logits_of(model.output).shape[-1])


def _palette() -> tuple[dict[tuple[int, int, int], int], list[str]]:
    """The palette of --palette and the names of its classes."""
    try:
        palette, names = read_palette(_PALETTE.value)
    except UnicodeDecodeError:
        raise invalid(_PALETTE, "expected a text file with a line `red green blue name` for each color") from None
    except ValueError as error:
        raise UsageError(f"--palette={error}") from None
    if not names:
        raise invalid(_PALETTE, "expected a line `red green blue name` for each color. It has none")
    return palette, names
