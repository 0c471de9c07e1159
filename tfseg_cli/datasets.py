"""The flags with which commands choose a data set."""

import os
import pathlib
from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:
    import numpy as np

    from tfseg import data

_KINDS = ("folder", "voc", "cityscapes", "camvid", "ade20k", "coco")

_DATA = flags.DEFINE_string("data", None, "Directory of the data set.", required=True)
_DATASET = flags.DEFINE_enum("dataset", "folder", _KINDS, "Its layout; folder: images/ and masks/ with equal names.")
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "For a folder: ids in its masks are 0 to num_classes - 1.")
_CLASSES = flags.DEFINE_list("classes", None, "For a folder: names of the classes, in order of their ids.")
_VOID = flags.DEFINE_multi_integer("void", [255], "For a folder: an ignored id in its masks; may be repeated.")
_PALETTE = flags.DEFINE_string(
    "palette", None, "For a folder with masks in colors: a text file with a line `red green blue name` for each color."
)
_SBD = flags.DEFINE_string("sbd", None, "Directory `dataset` of SBD, for the split trainaug of VOC.")


def open_dataset(split: str | None) -> "data.Dataset":
    """One split of the `tfseg.data.Dataset` that the flags choose.

    Args:
        split: name of the split; None: the default of the data set.
    Raises:
        ValueError: an unknown number of classes, or a data set that is not there.
    """
    from tfseg import data

    kind, root = _DATASET.value, _DATA.value
    if kind == "voc":
        return data.voc(root, split or "train", sbd=_SBD.value)
    if kind != "folder":
        open_kind = {"cityscapes": data.cityscapes, "camvid": data.camvid, "ade20k": data.ade20k, "coco": data.coco}
        return open_kind[kind](root, **({"split": split} if split else {}))
    classes, palette, void = _CLASSES.value, None, tuple(_VOID.value)
    if _PALETTE.value:
        palette, names = read_palette(_PALETTE.value)
        classes = classes or names
    num_classes = _NUM_CLASSES.value or (classes and len(classes))
    if not num_classes:
        raise ValueError("How many classes do the masks have? Pass --num_classes=, --classes= or --palette=.")
    return data.folder(root, split, num_classes=num_classes, void=void, palette=palette, classes=classes)


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


def read_palette(path: str | os.PathLike[str]) -> tuple[dict[tuple[int, int, int], int], list[str]]:
    """`({(red, green, blue): id}, names)` of a text file with one color per line.

    Several colors with one name are one class. The names "void", "unlabelled" and "unlabeled" stand for ignored pixels.

    Args:
        path: path of the text file.
    Raises:
        ValueError: an invalid line.
    """
    from tfseg.data import VOID

    palette: dict[tuple[int, int, int], int] = {}
    names: list[str] = []
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        *color, name = line.split(None, 3)
        if len(color) != 3 or not all(part.isdecimal() and int(part) < 256 for part in color):
            raise ValueError(f"{path}, line {number}: expected `red green blue name`, 0 to 255. Received: {line!r}")
        red, green, blue = map(int, color)
        name = name.strip()
        if name.lower() in ("void", "unlabelled", "unlabeled"):
            palette[red, green, blue] = VOID
            continue
        if name not in names:
            names.append(name)
        palette[red, green, blue] = names.index(name)
    return palette, names
