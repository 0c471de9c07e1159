"""Data sets in two directories: photographs and masks are matched by file name."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence

from tfseg.data.datasets import Dataset, Pair
from tfseg.data.masks import VOID, Color, Labels, first_few
from tfseg.images import IMAGE_SUFFIXES
from tfseg.types import Path

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".mat")


def folder(
    root: Path,
    split: Path | None = None,
    *,
    num_classes: int,
    images: str = "images",
    masks: str = "masks",
    void: Iterable[int] = (VOID,),
    palette: Mapping[Color, int] | None = None,
    classes: Iterable[str] | None = None,
) -> Dataset:
    """A data set in two directories with equal file names: `images/NAME.jpg` and `masks/NAME.png`.

    Args:
        root: directory that holds both directories.
        split: None for all pairs; or a name of directories inside both (`images/train/`, `masks/train/`), or of a file
            with one name per line (`train.txt`, in `root` or in `root/splits`); or the path of such a file.
        num_classes: number of classes; ids in the masks are 0 to num_classes - 1.
        images: name of the directory with the photographs.
        masks: name of the directory with the masks; their names may have `_mask` or `_L` after the photograph's name.
        void: raw values of ignored pixels in the masks.
        palette: class id of each `(red, green, blue)`, for masks that are color images.
        classes: names of the classes.
    Raises:
        ValueError: a missing directory, photographs without a mask, or no pairs.
    Example:
        >>> import shutil
        >>> for directory, file in (("images", "street.png"), ("masks", "street_classes.png")):
        ...     pathlib.Path("mine", directory).mkdir(parents=True)
        ...     copy = shutil.copy(file, pathlib.Path("mine", directory, "street.png"))
        >>> tfseg.data.folder("mine", num_classes=11)
        <Dataset 'mine': 1 pairs, 11 classes>
    """
    root = pathlib.Path(root)
    image_directory, mask_directory, names = existing_directory(root, images), existing_directory(root, masks), None
    if split is not None:
        if (image_directory / split).is_dir() and (mask_directory / split).is_dir():
            image_directory, mask_directory = image_directory / split, mask_directory / split
        else:
            names = split_names(root, split)
    labels = Labels(num_classes, void=tuple(void), palette=palette)
    pairs = match_pairs(root, image_directory, mask_directory, names, mask_endings=("_mask", "_L"))
    name = f"{root.name}/{split}" if split else root.name
    return Dataset(name, pairs, labels, None if classes is None else tuple(classes))


def match_pairs(
    root: pathlib.Path,
    images: pathlib.Path,
    masks: pathlib.Path,
    names: Sequence[str] | None = None,
    *,
    mask_endings: Sequence[str] = (),
) -> tuple[Pair, ...]:
    """Pairs of photographs and masks with equal names.

    Args:
        root: directory of the data set, for messages.
        images: directory with the photographs.
        masks: directory with the masks.
        names: names without suffix that belong to the data set; None: all photographs.
        mask_endings: endings that the names of masks may have.
    Raises:
        ValueError: a name without a photograph, a photograph without a mask, or no photograph.
    """
    image_of = _paths_by_name(images, IMAGE_SUFFIXES)
    mask_of = _paths_by_name(masks, MASK_SUFFIXES, mask_endings)
    wanted = sorted(image_of) if names is None else names
    without_image = [name for name in wanted if name not in image_of]
    without_mask = [name for name in wanted if name in image_of and name not in mask_of]
    if without_image or without_mask or not wanted:
        problems = []
        if without_image:
            problems.append(f"{len(without_image)} names without a photograph ({first_few(without_image)})")
        if without_mask:
            problems.append(f"{len(without_mask)} photographs without a mask ({first_few(without_mask)})")
        raise ValueError(
            f"{root}: expected a mask for every photograph, with the same name. Received: "
            f"{' and '.join(problems) or 'no photograph'}."
        )
    return tuple(Pair(image_of[name], mask_of[name]) for name in wanted)


def _paths_by_name(
    directory: pathlib.Path, suffixes: Sequence[str], endings: Sequence[str] = ()
) -> dict[str, pathlib.Path]:
    """`{name: path}` of the files with these suffixes; a name loses its suffix and the first matching ending."""
    paths: dict[str, pathlib.Path] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            name = next((path.stem.removesuffix(end) for end in endings if path.stem.endswith(end)), path.stem)
            if name in paths:
                raise ValueError(f"{paths[name]} and {path} have the same name, which is ambiguous: remove one.")
            paths[name] = path
    return paths


def has_split(root: Path, split: Path, *, images: str = "images", masks: str = "masks") -> bool:
    """Whether `folder` knows a split: two directories of its name, or a list.

    Args:
        root: directory that holds both directories.
        split: name of the split, or path of the list.
        images: name of the directory with the photographs.
        masks: name of the directory with the masks.
    """
    root = pathlib.Path(root)
    in_directories = all((root / directory / split).is_dir() for directory in (images, masks))
    return in_directories or any(path.is_file() for path in _lists(root, split))


def _lists(root: pathlib.Path, split: Path) -> list[pathlib.Path]:
    """Where the list of a split may be."""
    return [pathlib.Path(split), root / f"{split}.txt", root / "splits" / f"{split}.txt"]


def split_names(root: Path, split: Path) -> list[str]:
    """The file names, without suffix, that a split's file lists.

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
    # A line may be a path, and may have a second column with the mask.
    return [pathlib.PurePath(line.split()[0]).stem for line in read_lines(path)]


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a list of names, without empty ones.

    Args:
        path: path of the text file.
    Raises:
        ValueError: no such file.
    """
    if not path.is_file():
        raise ValueError(f"There is no list {path}.")
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


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
