"""Annotation files and the pictures that they name."""

import json
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from tfseg.data.labels import first_few
from tfseg.images import IMAGE_SUFFIXES
from tfseg.types import Path

# What the keys of another file of annotations tell about it.
_KINDS = {
    "shapes": "LabelMe's annotations of one picture: tfseg.data.labelme (--dataset=labelme)",
    "_via_img_metadata": "a project of VIA: export it as COCO's annotations",
    "images": "COCO's annotations: tfseg.data.coco_json (--dataset=coco_json)",
    "features": "GeoJSON: draw its polygons into masks",
}


def read_json(path: pathlib.Path, needed: Iterable[str], what: str) -> dict[str, Any]:
    """The content of a JSON file.

    Args:
        path: path of the file.
        needed: keys that it must have.
        what: what is expected, for messages.
    Raises:
        ValueError: the file is not JSON, or another kind of it.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected {what}, a whole JSON file. Received: {error}") from error
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f"{path}: expected {what} with {first_few(missing)}. Received: {_kind(content)}")
    return content


def _kind(content: Any) -> str:
    if not isinstance(content, dict):
        first = content[0] if isinstance(content, list) and content and isinstance(content[0], dict) else {}
        results = {"image_id", "category_id"} <= first.keys()
        return "a list of results, as a detector writes them" if results else f"a {type(content).__name__}"
    known = next((said for key, said in _KINDS.items() if key in content), None)
    return known or f"the keys {first_few(content) or 'of nothing'}"


def annotation_file(root: pathlib.Path, split: Path | None, places: Sequence[str], suffix: str) -> pathlib.Path:
    """The annotation file of a split.

    Args:
        root: directory of the data set.
        split: name of the split, path of the file itself, or None for the only file.
        places: where the file may be, in `root`; {split} stands for the split. Those with it are for splits.
        suffix: suffix of annotation files.
    Raises:
        ValueError: there is no such file, or several may be meant.
    """
    if split is not None:
        for path in (pathlib.Path(split), root / split):
            if path.is_file():
                return path
    candidates = [root / place.format(split=split) for place in places if ("{split}" in place) == (split is not None)]
    existing = next((path for path in candidates if path.is_file()), None)
    if existing:
        return existing
    beside = (
        []
        if split is not None
        else [path for folder in (root, root / "annotations") for path in _files(folder, suffix)]
    )
    if len(beside) == 1:
        return beside[0]
    tried = ", ".join(str(path.relative_to(root)) for path in candidates)
    several = f"Received several: {first_few(path.relative_to(root) for path in beside)}. " if beside else ""
    raise ValueError(
        f"{root}: expected the annotations in {tried}{f', or one file *{suffix}' if split is None else ''}. {several}"
        "Name the file: split= (--split)."
    )


def _files(directory: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    return sorted(directory.glob(f"*{suffix}")) if directory.is_dir() else []


def find_pictures(names: Sequence[str], directories: Sequence[pathlib.Path], source: object) -> list[pathlib.Path]:
    """The pictures that annotations name, in the first directory that has any of them.

    Args:
        names: names of the pictures, as the tool has written them: with the directories of any machine.
        directories: where they may be.
        source: the annotations, for messages.
    Raises:
        ValueError: pictures that are not there.
    """
    best: list[pathlib.Path | None] = []
    for directory in dict.fromkeys(directories):
        paths = [picture_below(directory, name) for name in names]
        if sum(map(bool, paths)) > sum(map(bool, best)):
            best = paths
    missing = [name for name, path in zip(names, best or [None] * len(names), strict=True) if path is None]
    if missing:
        raise ValueError(
            f"{source}: {len(missing)} of {len(names)} pictures are missing ({first_few(missing)}). Looked for in "
            f"{first_few(dict.fromkeys(map(str, directories)))}. Name their directory: images= (--images)."
        )
    pictures = [path for path in best if path is not None]
    if len(set(pictures)) < len(pictures):
        twice = next(path for path in pictures if pictures.count(path) > 1)
        raise ValueError(f"{source}: expected a picture for every name. Received: several names for {twice}")
    return pictures


def picture_below(directory: pathlib.Path, name: str) -> pathlib.Path | None:
    """A picture in a directory: with the folders of its name, or without them; None if it is not there.

    Args:
        directory: path of the directory.
        name: name of the picture; its separators may be those of Windows.
    """
    # Accents are stored in one of two ways, which depends on the machine that wrote the name.
    for text in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        parts = [part for part in pathlib.PureWindowsPath(text).parts if not part.endswith(("\\", "/"))]
        for start in range(len(parts)):
            path = directory.joinpath(*parts[start:])
            if ".." not in parts[start:] and path.is_file():
                return path
    return None


def same_name(path: pathlib.Path) -> pathlib.Path | None:
    """The picture beside a file that differs from it in its suffix alone; None if there is none.

    Args:
        path: path of the file.
    """
    beside = (path.with_suffix(suffix) for suffix in IMAGE_SUFFIXES)
    return next((candidate for candidate in beside if candidate.is_file()), None)
