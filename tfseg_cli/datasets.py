"""The flags by which commands find a data set."""

import pathlib

from absl import flags

from tfseg import data, losses

_KINDS = ("folder", "voc", "cityscapes", "camvid", "ade20k", "coco")

_DATA = flags.DEFINE_string("data", None, "Directory of the data set.", required=True)
_DATASET = flags.DEFINE_enum("dataset", "folder", _KINDS, "How it lies; folder: images/ and masks/ of equal names.")
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "Of a folder: ids in its masks are 0 to num_classes - 1.")
_CLASSES = flags.DEFINE_list("classes", None, "Of a folder: the names of its classes, in order of their ids.")
_VOID = flags.DEFINE_multi_integer("void", [255], "Of a folder: ids in its masks that do not count; may be repeated.")
_PALETTE = flags.DEFINE_string(
    "palette", None, "Of a folder with masks in colours: a text file with a line `red green blue name` a class."
)
_SBD = flags.DEFINE_string("sbd", None, "Directory `dataset` of SBD, for the split trainaug of VOC.")


def open_dataset(split):
    """The `tfseg.data.Dataset` that the flags mean, one split of it."""
    kind, root = _DATASET.value, _DATA.value
    if kind == "voc":
        return data.voc(root, split or "train", sbd=_SBD.value)
    if kind != "folder":
        return getattr(data, kind)(root, **({"split": split} if split else {}))
    classes, palette, void = _CLASSES.value, None, tuple(_VOID.value)
    if _PALETTE.value:
        palette, named = read_palette(_PALETTE.value)
        classes = classes or named
    count = _NUM_CLASSES.value or (classes and len(classes))
    if not count:
        raise ValueError("How many classes do the masks have? --num_classes=, --classes=, or --palette=.")
    return data.folder(root, split, num_classes=count, void=void, palette=palette, classes=classes)


def open_protocol(name):
    """The same of a protocol."""
    return data.open_protocol(name, _DATA.value, _SBD.value)


def class_weights(dataset, how):
    """Weights by the classes' frequencies in the masks; None without a `how`."""
    if how is None:
        return None
    found = data.inspect_dataset(dataset)
    return getattr(losses, f"{how}_weights")(found.pixels[:-1])


def read_palette(path):
    """`({(red, green, blue): id}, names)` of a text file, a colour a line; several of one name are one class.

    The name "void", or "unlabelled", stands for what does not count.

    Raises:
        ValueError: a line that is none.
    """
    palette, names = {}, []
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        *color, name = line.split(None, 3)
        if len(color) != 3 or not all(one.isdecimal() and int(one) < 256 for one in color):
            raise ValueError(f"{path}, line {number}: expected `red green blue name`, 0 to 255. Received: {line!r}")
        name = name.strip()
        if name.lower() in ("void", "unlabelled", "unlabeled"):
            palette[tuple(map(int, color))] = data.VOID
            continue
        if name not in names:
            names.append(name)
        palette[tuple(map(int, color))] = names.index(name)
    return palette, names
