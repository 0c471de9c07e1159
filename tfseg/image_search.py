"""How image files are matched: in directories at any depth, and by patterns.

Paths are text here: a million of them take seconds and 100 MB, where objects of pathlib take a minute and 1 GB.
"""

import functools
import glob
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tfseg.images import IMAGE_SUFFIXES
from tfseg.types import Path


class FoundImages(NamedTuple):
    """What `search` finds.

    Attributes:
        folders: the path of each image, sorted by its parts -> its folder, relative to the place where it was matched.
        left_out: sorted paths of the files in directories that are no images by their suffix, and of directories that
            were not entered.
    """

    folders: dict[str, str]
    left_out: list[pathlib.Path]


def find_images(where: Path | Iterable[Path]) -> list[pathlib.Path]:
    """Sorted paths of the images in a directory, at any depth, or of all files that a pattern matches.

    Args:
        where: directory, file, or pattern; or several of them. `**` in a pattern stands for directories of any depth,
            and `~` at its beginning for the home directory.
    Raises:
        ValueError: there are no images, or one of several places has none.
    """
    return list(map(pathlib.Path, search(where).folders))


def search(
    where: Path | Iterable[Path],
    *,
    without: Iterable[pathlib.Path] = (),
    marker: str = "",
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
) -> FoundImages:
    """The images in directories, at any depth, and those that patterns match; and the files that are left out.

    Args:
        where: directory, file, or pattern; or several of them, see `find_images`.
        without: directories that are not searched when a directory above them is.
        marker: how the name of a file begins; a directory that holds such a file is not searched when a directory above
            it is.
        suffixes: suffixes of images, in lower case.
    Raises:
        ValueError: there are no images, or one of several places has none.
    """
    places = [where] if isinstance(where, str | os.PathLike) else list(where)
    if not places:
        raise ValueError("No images: expected a directory, a file or a pattern. Received: an empty list")
    finder = _Finder({directory.resolve() for directory in without}, marker, frozenset(suffixes))
    for place in map(os.path.expanduser, places):
        others = len(finder.others)
        if not finder.add(place):
            raise ValueError(
                f"No images: {place!r} is neither a directory with images ({', '.join(suffixes)}) nor a "
                f"pattern that matches files.{_first_others(finder.others[others:])}"
            )
    folders = finder.folders
    if not (len(places) == 1 and os.path.isdir(os.path.expanduser(places[0]))):  # of one, they come in this order
        folders = dict(sorted(folders.items(), key=lambda item: item[0].split(os.sep)))
    left_out = sorted({pathlib.Path(path) for path in finder.others if path not in folders})
    return FoundImages(folders, left_out)


def stem_and_suffix(name: str) -> tuple[str, str]:
    """The two parts of a file's name, as pathlib has them.

    Args:
        name: name of a file, without its directory.
    """
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, "")


def _first_others(others: list[str]) -> str:
    names = ", ".join(os.path.basename(path) for path in sorted(others)[:3])
    return f" It has {len(others)} files of other kinds: {names}{', ...' if len(others) > 3 else ''}" if others else ""


class _Finder:
    """What is matched place by place; the first place decides about an image that several have."""

    def __init__(self, closed: set[pathlib.Path], marker: str, suffixes: frozenset[str]) -> None:
        self._closed, self._marker, self._suffixes = closed, marker, suffixes
        self.folders: dict[str, str] = {}
        self.others: list[str] = []

    def add(self, place: str) -> bool:
        """Searches one place; returns whether it has images, be they new or not."""
        path = pathlib.Path(place)
        if path.is_dir():
            return self._enter("" if path == pathlib.Path() else os.path.join(path, ""), os.curdir, ())
        if path.exists():  # an existing name is no pattern, even if it has brackets
            matched = {str(path): os.curdir} if path.is_file() else {}
        else:
            root = _fixed_part(path)
            matches = [pathlib.Path(match) for match in glob.glob(place, recursive=True)]
            entered = _without(self._closed, root)
            matched = {
                str(match): str(match.parent.relative_to(root))
                for match in matches
                if match.is_file() and entered(match)
            }
        for image, folder in matched.items():
            self.folders.setdefault(image, folder)
        return bool(matched)

    def _enter(self, prefix: str, folder: str, above: tuple[pathlib.Path, ...]) -> bool:
        """Takes the images of a directory, whose path with a separator behind is `prefix`, at any depth."""
        directory = prefix or os.curdir
        resolved = pathlib.Path(directory).resolve()
        if above and resolved in self._closed:
            return False
        names, directories, special = [], set(), set()
        try:
            for entry in os.scandir(pathlib.Path(directory)):
                names.append(name := entry.name)
                if entry.is_dir():
                    directories.add(name)
                elif not entry.is_file():
                    special.add(name)
        except PermissionError:
            if not above:
                raise
            self.others.append(prefix.removesuffix(os.sep))
            return False
        marked = self._marker and any(name.startswith(self._marker) for name in names)
        if above and (
            marked or os.path.basename(prefix[:-1]).startswith(".") or resolved in above
        ):  # a link leads back
            self.others.append(prefix.removesuffix(os.sep))
            return False
        has_images = False
        names.sort()
        for name in names:
            if name in directories:
                inner = name if folder == os.curdir else os.path.join(folder, name)
                has_images |= self._enter(f"{prefix}{name}{os.sep}", inner, (*above, resolved))
            elif name[name.rfind(".") :].lower() in self._suffixes and name[0] != "." and name not in special:
                self.folders.setdefault(prefix + name, folder)
                has_images = True
            else:
                self.others.append(prefix + name)
        return has_images


def _without(closed: set[pathlib.Path], root: pathlib.Path) -> Callable[[pathlib.Path], bool]:
    """Whether a file below `root` is outside the closed directories; those around `root` do not count."""
    around = {root.resolve(), *root.resolve().parents}

    @functools.cache
    def entered(directory: pathlib.Path) -> bool:
        resolved = directory.resolve()
        return closed.isdisjoint({resolved, *resolved.parents} - around)

    return lambda file: entered(file.parent)


def _fixed_part(pattern: pathlib.Path) -> pathlib.Path:
    """The directories at the beginning of a pattern that stand for themselves."""
    parts = pattern.parts[:-1]
    count = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return pathlib.Path(*parts[:count])
