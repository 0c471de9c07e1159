"""The photographs and masks of a data set, by their names."""

import os
import pathlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfseg.images import IMAGE_SUFFIXES

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".pbm", ".mat", ".npy")
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".avif", ".heic", ".heif", ".jp2", ".j2k")
MASK_ENDINGS = (
    "_mask", "_masks", "_gt", "_label", "_labels", "_L", "_seg", "_segmentation", "_annotation", "_labelIds", "_matte",
    "-mask", "-gt", "-label", "-seg", ".mask", " mask",
)  # fmt: skip


class NamedFiles(NamedTuple):
    """The photographs and masks of a data set.

    Attributes:
        images: photograph of each name; a name is the path in its directory without suffix, in Unicode's form NFC.
        masks: mask of each name.
        lossy: masks in JPEG, which changes values.
    """

    images: Mapping[str, pathlib.Path]
    masks: Mapping[str, pathlib.Path]
    lossy: Mapping[str, pathlib.Path]


def list_files(images: pathlib.Path, masks: pathlib.Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> NamedFiles:
    """The photographs and masks in two directories, at any depth, or in one that holds both.

    Args:
        images: directory with the photographs.
        masks: directory with the masks. In the directory of the photographs, masks are the files that have a
            photograph's name and an ending such as `_mask`. Beside a JPEG, the other file of its name is its mask.
        suffixes: suffixes of photographs, in lower case.
    Raises:
        ValueError: two files of one name.
    """
    if images.resolve() == masks.resolve():
        return _in_one_directory(images, suffixes)
    return NamedFiles(
        _by_name(images, suffixes, without=masks),
        _by_name(masks, MASK_SUFFIXES, without=images),
        _by_name(masks, LOSSY_SUFFIXES, without=images, unique=False),
    )


def _by_name(
    directory: pathlib.Path, suffixes: Sequence[str], *, without: pathlib.Path, unique: bool = True
) -> dict[str, pathlib.Path]:
    """Files of some kinds in a directory; not those of a directory inside it that holds the other side."""
    paths: dict[str, pathlib.Path] = {}
    inside = without.is_relative_to(directory)
    for path in sorted(_files_in(directory)):
        if path.suffix.lower() not in suffixes or (inside and path.is_relative_to(without)):
            continue
        name = normal(path.relative_to(directory).with_suffix("").as_posix())
        if unique and name in paths:
            raise ValueError(f"{paths[name]} and {path} have the same name, which is ambiguous: remove one.")
        paths[name] = path
    return paths


def _files_in(directory: pathlib.Path) -> list[pathlib.Path]:
    """All files in a directory, at any depth, also behind links; hidden ones are left out."""
    files: list[pathlib.Path] = []
    for folder, names, file_names in os.walk(directory, followlinks=True):
        inside = pathlib.Path(folder)
        names[:] = [name for name in names if not name.startswith(".") and not _leads_back(inside / name)]
        files += [inside / name for name in file_names if not name.startswith(".") and (inside / name).is_file()]
    return files


def _leads_back(directory: pathlib.Path) -> bool:
    """Whether a link leads to a directory above it."""
    return directory.is_symlink() and directory.resolve() in map(pathlib.Path.resolve, directory.parents)


def _in_one_directory(directory: pathlib.Path, suffixes: Sequence[str]) -> NamedFiles:
    named: dict[str, list[pathlib.Path]] = {}
    for path in sorted(_files_in(directory)):
        if path.suffix.lower() in {*suffixes, *MASK_SUFFIXES}:
            named.setdefault(normal(path.relative_to(directory).with_suffix("").as_posix()), []).append(path)
    images: dict[str, pathlib.Path] = {}
    masks: dict[str, pathlib.Path] = {}
    for name, paths in named.items():
        stem = next((name.removesuffix(end) for end in MASK_ENDINGS if name.endswith(end)), name)
        lossy = [path for path in paths if path.suffix.lower() in LOSSY_SUFFIXES]
        if not lossy and len(paths) == 2 and ".npy" in suffixes:  # of images of many channels, these are the files
            lossy = [path for path in paths if path.suffix.lower() in (".npy", ".tif", ".tiff")][:1]
        others = [path for path in paths if path not in lossy]
        if len(lossy) > 1 or len(others) > 1:
            raise ValueError(f"{paths[0]} and {paths[1]} have the same name, which is ambiguous: remove one.")
        if stem != name and stem in named:
            if others:
                masks[name] = others[0]
            if lossy:
                images[name] = lossy[0]
        elif lossy and others:
            images[name], masks[name] = lossy[0], others[0]
        elif paths[0].suffix.lower() in suffixes:
            images[name] = paths[0]
    return NamedFiles(images, masks, {})


def normal(text: str) -> str:
    """A name in Unicode's form NFC: macOS stores letters and accents apart.

    Args:
        text: the name.
    """
    return unicodedata.normalize("NFC", text)
