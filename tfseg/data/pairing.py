"""Which mask belongs to which photograph: by their names."""

import pathlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfseg.data.datasets import Pair
from tfseg.data.labels import first_few
from tfseg.data.split_lists import columns
from tfseg.images import IMAGE_SUFFIXES

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".pbm", ".mat", ".npy")
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".avif", ".heic", ".heif", ".jp2", ".j2k")
MASK_ENDINGS = (
    "_mask", "_masks", "_gt", "_label", "_labels", "_L", "_seg", "_segmentation", "_annotation", "_labelIds", "_matte",
    "-mask", "-gt", "-label", "-seg", ".mask", " mask",
)  # fmt: skip
# What says that a name is a photograph's or a mask's: `img_0001.jpg` and `mask_0001.png`, `7_sat.jpg` and `7_mask.png`.
_KIND = r"images?|img|photos?|pic|sat|rgb|leftImg8bit|masks?|gt|gtFine_labelIds|labels?|labelIds|seg|annotation"
_KIND_OF_NAME = re.compile(rf"(?:^|(?<=/))(?:{_KIND})[_-]?(?=[^/]*\d[^/]*$)|[_-](?:{_KIND})$", re.IGNORECASE)
_MOST_LISTED = 3


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


def find_mask(
    name: str, masks: Mapping[str, pathlib.Path], endings: Sequence[str] = MASK_ENDINGS
) -> pathlib.Path | None:
    """The mask of a photograph: the one of equal name, else the one with an ending that names of masks have.

    Args:
        name: name of the photograph.
        masks: mask of each name.
        endings: the endings, the first one first.
    """
    return next((masks[name + ending] for ending in ("", *endings) if name + ending in masks), None)


def match(
    root: pathlib.Path,
    files: NamedFiles,
    lines: Sequence[str] | None = None,
    *,
    mask_pattern: str | None = None,
    endings: Sequence[str] = MASK_ENDINGS,
) -> tuple[Pair, ...]:
    """Pairs of photographs and masks.

    Args:
        root: directory of the data set, for messages and for paths in lines.
        files: its photographs and masks.
        lines: lines of a list, each a name or path of a photograph, and maybe one of its mask; None: all photographs.
        mask_pattern: name of a photograph's mask, such as "{name}_mask"; None: what people use.
        endings: endings that the names of masks may have.
    Raises:
        ValueError: a line without a photograph, a photograph without a mask, no photograph, or a pattern without
            "{name}".
    """
    finder = _Finder(root, files)
    wanted: list[tuple[str, pathlib.Path | None]] = []
    strange = []
    for line in sorted(files.images) if lines is None else lines:
        entry = (line, None) if lines is None else finder.line(line)
        if entry is None:
            strange.append(line)
        else:
            wanted.append(entry)
    mask_of = _masks_of([name for name, mask in wanted if mask is None], files, mask_pattern, endings)
    without = [name for name, mask in wanted if mask is None and name not in mask_of]
    if strange or without or not wanted:
        raise ValueError(_refusal(root, files, strange, without, mask_pattern))
    return tuple(Pair(files.images[name], mask or mask_of[name]) for name, mask in wanted)


class _Finder:
    """Finds photographs and masks by what a line of a list says."""

    def __init__(self, root: pathlib.Path, files: NamedFiles) -> None:
        self._images, self._masks = _Names(root, files.images), _Names(root, {**files.lossy, **files.masks})
        self._files = files

    def line(self, line: str) -> tuple[str, pathlib.Path | None] | None:
        """The name of a line's photograph, and the mask that the line names; None: there is no such photograph."""
        if name := self._images.find(line, whole=True):
            return name, None
        has_photograph = False
        for first, second in columns(line):
            name, mask = self._images.find(first), self._masks.find(second)
            if name and mask and mask in self._files.masks:
                return name, self._files.masks[mask]
            has_photograph |= bool(name)
        # The end of a line alone may name another photograph than its first column.
        name = None if has_photograph else self._images.find(line)
        return (name, None) if name else None


class _Names:
    """Files by every form of their names: in full, without suffix, with directories in front, and by their ends."""

    def __init__(self, root: pathlib.Path, files: Mapping[str, pathlib.Path]) -> None:
        self._forms: dict[str, str] = {}
        ends: dict[str, set[str]] = {}
        for name, path in files.items():
            from_root = _normal(path.relative_to(root).as_posix()) if path.is_relative_to(root) else _normal(path.name)
            for form in (_normal(path.as_posix()), from_root, name + path.suffix, name):
                self._forms.setdefault(form, name)
            for form in (path.stem, path.name):
                ends.setdefault(_normal(form), set()).add(name)
        self._ends = {end: names.pop() for end, names in ends.items() if len(names) == 1}

    def find(self, text: str, *, whole: bool = False) -> str | None:
        """The name of the file that a text means, or that its last part means if not `whole`.

        None if there is none, or several.
        """
        text = _normal(text.strip().strip('"').replace("\\", "/")).removeprefix("./")
        if text in self._forms:
            return self._forms[text]
        without = str(pathlib.PurePosixPath(text).with_suffix("")) if _has_suffix(text) else text
        if whole or without in self._forms:
            return self._forms.get(without)
        # A path of another machine: its last part, if only one file is called so.
        last, last_without = text.rpartition("/")[2], without.rpartition("/")[2]
        return self._ends.get(last) or self._ends.get(last_without)


def _has_suffix(text: str) -> bool:
    return pathlib.PurePosixPath(text).suffix.lower() in {*IMAGE_SUFFIXES, *MASK_SUFFIXES}


def _masks_of(
    names: Sequence[str], files: NamedFiles, pattern: str | None, endings: Sequence[str]
) -> dict[str, pathlib.Path]:
    """The mask of each photograph that has one."""
    if pattern is not None:
        if "{name}" not in pattern:
            raise ValueError(f'mask_pattern has "{{name}}" for the name of the photograph. Received: {pattern!r}')
        stems = {name: _filled(pattern, name) for name in names}
        return {name: files.masks[stem] for name, stem in stems.items() if stem in files.masks}
    masks = {name: mask for name in names if (mask := find_mask(name, files.masks, endings))}
    if names and not masks:  # none is as people usually name them: one rule for all, or none
        return _by_common_ending(names, files.masks) or _by_core(names, files)
    return masks


def _filled(pattern: str, name: str) -> str:
    folder, _, stem = name.rpartition("/")
    filled = pattern.replace("{name}", stem)
    for suffix in MASK_SUFFIXES:
        filled = filled.removesuffix(suffix)
    return f"{folder}/{filled}" if folder else filled


def _by_common_ending(names: Sequence[str], masks: Mapping[str, pathlib.Path]) -> dict[str, pathlib.Path]:
    """Masks that all have the same ending after the photograph's name; empty without such an ending, or with two."""
    first = names[0]
    endings = [mask[len(first) :] for mask in masks if mask.startswith(first) and not mask[len(first)].isalnum()]
    fitting = [ending for ending in endings if all(name + ending in masks for name in names)]
    return {name: masks[name + fitting[0]] for name in names} if len(fitting) == 1 else {}


def _by_core(names: Sequence[str], files: NamedFiles) -> dict[str, pathlib.Path]:
    """Masks whose names are the photographs' but for the words that say what they are; empty if two become equal."""
    images, masks = ([_KIND_OF_NAME.sub("", name) for name in kind] for kind in (files.images, files.masks))
    if len(set(images)) < len(images) or len(set(masks)) < len(masks):
        return {}
    mask_of = dict(zip(masks, files.masks.values(), strict=True))
    cores = {name: _KIND_OF_NAME.sub("", name) for name in names}
    return {name: mask_of[core] for name, core in cores.items() if core in mask_of}


def _refusal(
    root: pathlib.Path, files: NamedFiles, strange: Sequence[str], without: Sequence[str], pattern: str | None
) -> str:
    """The message about photographs and masks that do not fit, with three of each side."""
    problems, ways = [], []
    if strange:
        problems.append(f"{len(strange)} names without a photograph ({first_few(strange[:_MOST_LISTED])})")
    if without:
        problems.append(f"{len(without)} photographs without a mask ({first_few(without[:_MOST_LISTED])})")
        if lossy := [name for name in without if find_mask(name, files.lossy)]:
            kinds = {files.lossy[name].suffix.lower() for name in files.lossy}
            kind = "JPEG" if ".jpg" in kinds or ".jpeg" in kinds else " and ".join(sorted(kinds))
            ways.append(
                f"{len(lossy)} have a mask in {kind}, which changes the values of a mask along every edge: find the "
                "masks as PNG."
            )
        stems = {
            name: next((name.removesuffix(end) for end in MASK_ENDINGS if name.endswith(end)), "") for name in without
        }
        if among := [name for name, stem in stems.items() if stem in files.images]:
            ways.append(
                f"{first_few(among[:_MOST_LISTED])} among the photographs look like masks: move them to the masks."
            )
    if not files.images:
        problems.append("no photograph")
    images, masks = (first_few([path.name for path in kind.values()][:_MOST_LISTED]) for kind in files[:2])
    if not ways:
        ways.append(
            f'If the masks have other names, say which: mask_pattern="{{name}}_mask" (--mask_pattern). Received: '
            f"{pattern!r}."
            if pattern
            else 'If the masks have other names, say which: mask_pattern="{name}_mask" (--mask_pattern).'
        )
    seen = f" Photographs: {images or 'none'}. Masks: {masks or 'none'}."
    return (
        f"{root}: expected a mask for every photograph, with the same name. Received: "
        f"{' and '.join(problems) or 'no photograph'}.{seen} {' '.join(ways)}"
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
        name = _normal(path.relative_to(directory).with_suffix("").as_posix())
        if unique and name in paths:
            raise ValueError(f"{paths[name]} and {path} have the same name, which is ambiguous: remove one.")
        paths[name] = path
    return paths


def _files_in(directory: pathlib.Path) -> list[pathlib.Path]:
    """All files in a directory, at any depth; hidden ones are left out."""
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    ]


def _in_one_directory(directory: pathlib.Path, suffixes: Sequence[str]) -> NamedFiles:
    named: dict[str, list[pathlib.Path]] = {}
    for path in sorted(_files_in(directory)):
        if path.suffix.lower() in {*suffixes, *MASK_SUFFIXES}:
            named.setdefault(_normal(path.relative_to(directory).with_suffix("").as_posix()), []).append(path)
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


def _normal(text: str) -> str:
    """A name in Unicode's form NFC: macOS stores letters and accents apart."""
    return unicodedata.normalize("NFC", text)
