"""Data sets in two directories: photographs and masks are matched by file name."""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from tfseg.data.datasets import Dataset, Pair
from tfseg.data.labels import VOID, Color, Labels, MaskValues, first_few, labels_of
from tfseg.data.masks import raw_values
from tfseg.data.named_files import list_files
from tfseg.data.pairing import match
from tfseg.data.photographs import ExifRule, Photographs
from tfseg.data.split_lists import read_lines
from tfseg.images import IMAGE_SUFFIXES
from tfseg.missing_data import NoData
from tfseg.stored_channels import ARRAY_SUFFIX, SUFFIXES
from tfseg.types import Path

_MOST_LOOKED_AT = 24  # masks that are read when a data set is opened


def folder(
    root: Path,
    split: Path | None = None,
    *,
    num_classes: int,
    images: str = "images",
    masks: str = "masks",
    void: Iterable[int] | None = None,
    palette: Mapping[Color, int] | None = None,
    classes: Iterable[str] | None = None,
    mask_values: MaskValues | None = None,
    reduce_zero_label: bool = False,
    mask_pattern: str | None = None,
    exif: ExifRule = "sizes",
    image_bits: int | None = None,
    channels: int | None = None,
    no_data: NoData = None,
) -> Dataset:
    """A data set in two directories with equal file names: `images/NAME.jpg` and `masks/NAME.png`.

    Names of masks may have the endings that people use (`_mask`, `_gt`, `_label`, `_L` and others); equal names come
    first. Directories inside both are searched too.

    Args:
        root: directory that holds both directories.
        split: None for all pairs; or a name of directories inside both (`images/train/`, `masks/train/`), or around
            both (`train/images/`, `train/masks/`), or of a file with one name per line (`train.txt`, in `root` or in
            `root/splits`); or the path of such a file. A line may be a path, and a second column may name the mask.
        num_classes: number of classes, at least 2; ids in the masks are 0 to num_classes - 1.
        images: name of the directory with the photographs; "." is `root`.
        masks: name of the directory with the masks; it may be the directory of the photographs.
        void: raw values of ignored pixels in the masks; None: 255, if no class has it.
        palette: class id of each `(red, green, blue)`; then colors decide in pictures of every kind.
        classes: names of the classes.
        mask_values: the raw value of each class, such as `(0, 255)`, in order of the classes; or a dictionary from raw
            values to classes.
        reduce_zero_label: True: 0 in the masks is ignored, and 1 is the first class.
        mask_pattern: how a mask is named after its photograph, such as "{name}_mask".
        exif: what turns a photograph that says how it was held: "sizes" turns it where it then has its mask's size;
            "apply" always, "ignore" never.
        image_bits: bits of photographs in files of 16 bits, such as 12; None: 16.
        channels: number of channels of images that are read as they are stored: `.npy` `(height, width, channels)`,
            GeoTIFF, and others without loss. None: photographs, 8 bits of red, green and blue.
        no_data: value of pixels without data, which become void; None: what a TIFF says; "none": there are none.
    Raises:
        ValueError: a missing directory, photographs without a mask, or no pairs; masks of 0 and 255 alone, without
            `mask_values` or `void`.
    Example:
        >>> import shutil
        >>> for directory, file in (("images", "street.png"), ("masks", "street_classes.png")):
        ...     pathlib.Path("mine", directory).mkdir(parents=True)
        ...     copy = shutil.copy(file, pathlib.Path("mine", directory, "street.png"))
        >>> tfseg.data.folder("mine", num_classes=11)
        <Dataset 'mine': 1 pairs, 11 classes>
    """
    root = pathlib.Path(root)
    if isinstance(classes, str):  # it would become a list of its letters
        raise ValueError(f'classes is a list of names, such as ["road", "tree"]. Received: {classes!r}')
    labels = labels_of(
        num_classes, void=void, palette=palette, mask_values=mask_values, reduce_zero_label=reduce_zero_label
    )
    name = f"{root.name}/{split}" if split else root.name
    lines, directories = None, None if split is None else _split_directories(root, split, images, masks)
    if directories is None:
        _check_not_split_first(root, images, masks)
        directories = existing_directory(root, images), existing_directory(root, masks)
        lines = None if split is None else split_lines(root, split)
    image_directory, mask_directory = directories
    suffixes = IMAGE_SUFFIXES if channels is None else SUFFIXES
    files = list_files(image_directory, mask_directory, suffixes)
    if not files.images and any(image_directory.rglob(f"*{ARRAY_SUFFIX}")):
        raise ValueError(
            f"{image_directory}: expected photographs. Received: arrays ({ARRAY_SUFFIX}). Say how many channels they "
            "have: channels= (--channels)."
        )
    pairs = match(root, files, lines, mask_pattern=mask_pattern)
    if void is None and palette is None:
        _check_not_black_and_white(pairs, labels)
    photographs = Photographs(exif, image_bits, channels, no_data)
    return Dataset(name, pairs, labels, None if classes is None else tuple(classes), photographs=photographs)


def _split_directories(
    root: pathlib.Path, split: Path, images: str, masks: str
) -> tuple[pathlib.Path, pathlib.Path] | None:
    """The directories of a split, inside those of all photographs and masks, or around them; None if there are none."""
    inside, around = (root / images / split, root / masks / split), (root / split / images, root / split / masks)
    return next((pair for pair in (inside, around) if all(directory.is_dir() for directory in pair)), None)


def _check_not_split_first(root: pathlib.Path, images: str, masks: str) -> None:
    """Names the splits of a root that has nothing but them.

    Raises:
        ValueError: there are `train/images` and the like, and no `images`.
    """
    if (root / images).is_dir() or not root.is_dir():
        return
    splits = [path.name for path in sorted(root.iterdir()) if _split_directories(root, path.name, images, masks)]
    if splits:
        raise ValueError(
            f"There is no directory {root / images}, but there is one in {first_few(splits)}: name one of them, such "
            f'as split="{splits[0]}" (--split={splits[0]}).'
        )


def _check_not_black_and_white(pairs: tuple[Pair, ...], labels: Labels) -> None:
    """Refuses masks of 0 and 255 alone, where 255 would be ignored: the object that is to be learned.

    Raises:
        ValueError: the masks that are looked at hold 0 and 255, and no class but 0.
    """
    if VOID not in labels.void or labels.ids is not None:
        return
    chosen = np.unique(np.linspace(0, len(pairs) - 1, _MOST_LOOKED_AT).round().astype(int))
    seen: set[int] = set()
    for index in chosen:
        mask = pairs[index].mask
        if not isinstance(mask, pathlib.Path) or mask.suffix.lower() == ".mat":
            return
        try:
            values = raw_values(mask)
        except (ValueError, OSError):  # told when the mask is read in earnest
            continue
        if values is None:
            return
        seen.update(np.unique(values).tolist())
        if not seen <= {0, VOID}:
            return
    if seen == {0, VOID}:
        raise ValueError(
            f"{pairs[chosen[0]].mask}: the masks hold 0 and 255 alone, and 255 stands for ignored pixels, so that "
            "nothing but class 0 could be learned. If 255 is the object: mask_values=(0, 255) with num_classes=2 "
            "(--mask_values=0,255 --num_classes=2). If it is to be ignored anyway: void=(255,) (--void=255)."
        )


def has_split(root: Path, split: Path, *, images: str = "images", masks: str = "masks") -> bool:
    """Whether `folder` knows a split: directories of its name, or a list.

    Args:
        root: directory that holds both directories.
        split: name of the split, or path of the list.
        images: name of the directory with the photographs.
        masks: name of the directory with the masks.
    """
    root = pathlib.Path(root)
    return _split_directories(root, split, images, masks) is not None or any(
        path.is_file() for path in _lists(root, split)
    )


def _lists(root: pathlib.Path, split: Path) -> list[pathlib.Path]:
    """Where the list of a split may be."""
    return [pathlib.Path(split), root / f"{split}.txt", root / "splits" / f"{split}.txt"]


def split_lines(root: Path, split: Path) -> list[str]:
    """The lines that a split's file lists.

    Args:
        root: directory of the data set.
        split: path of the file; or its name without `.txt`, in `root` or in `root/splits`.
    Raises:
        ValueError: no such file.
    """
    root = pathlib.Path(root)
    places = _lists(root, split)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise ValueError(
            f"There is no split {str(split)!r}: neither directories of this name nor {places[1]} nor {places[2]}. "
            f"Received: {list_directory(root)}."
        )
    return read_lines(path)


def existing_directory(root: pathlib.Path, *parts: str) -> pathlib.Path:
    """The directory `root/parts[0]/parts[1]/...`.

    Args:
        root: directory of the data set.
        parts: names of directories, outermost first.
    Raises:
        ValueError: no such directory; the message lists what `root` holds.
    """
    path = root.joinpath(*parts)
    if not path.is_dir():
        raise ValueError(f"There is no directory {path}. Received: {list_directory(root)}.")
    return path


def list_directory(root: pathlib.Path) -> str:
    """What a directory holds, as text for messages.

    Args:
        root: path of the directory; it need not exist.
    """
    if not root.is_dir():
        return f"{root}, which is no directory"
    return first_few(sorted(path.name for path in root.iterdir())) or f"{root}, which is empty"
