"""Which photograph, and which mask, a line of a list names."""

import pathlib
from collections.abc import Mapping

from tfseg.data.labels import first_few
from tfseg.data.named_files import MASK_SUFFIXES, NamedFiles, normal
from tfseg.data.split_lists import columns
from tfseg.images import IMAGE_SUFFIXES


class ListedNames:
    """Finds photographs and masks by what a line of a list says.

    Args:
        root: directory of the data set, for paths in lines.
        files: its photographs and masks.
    """

    def __init__(self, root: pathlib.Path, files: NamedFiles) -> None:
        self._images, self._masks = _Names(root, files.images), _Names(root, {**files.lossy, **files.masks})
        self._files = files

    def line(self, line: str) -> tuple[str, pathlib.Path | None] | None:
        """The name of a line's photograph, and the mask that the line names; None: there is no such photograph.

        Args:
            line: a line of a list.
        """
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

    def why_not(self, line: str) -> str:
        """Why a line of a list names no pair.

        Args:
            line: a line of a list.
        """
        for first, second in columns(line):
            if self._images.find(first):
                lossy = self._masks.find(second) is not None
                return f"{second!r} is {'a mask in JPEG or its like, which changes values' if lossy else 'no mask'}"
        several = self._images.several(line)
        return f"{first_few(sorted(several))} are called so" if several else "there is no such photograph"


class _Names:
    """Files by every form of their names: in full, without suffix, with directories in front, and by their ends."""

    def __init__(self, root: pathlib.Path, files: Mapping[str, pathlib.Path]) -> None:
        self._forms: dict[str, str] = {}
        ends: dict[str, set[str]] = {}
        for name, path in files.items():
            from_root = normal(path.relative_to(root).as_posix()) if path.is_relative_to(root) else normal(path.name)
            for form in (normal(path.as_posix()), from_root, name + path.suffix, name):
                self._forms.setdefault(form, name)
            for form in (path.stem, path.name):
                ends.setdefault(normal(form), set()).add(name)
        self._ends = {end: next(iter(names)) for end, names in ends.items() if len(names) == 1}
        self._several = {end: names for end, names in ends.items() if len(names) > 1}

    def several(self, text: str) -> set[str]:
        """The names of the files that a text may mean, if there are several."""
        last = normal(text.strip().strip('"').replace("\\", "/")).rpartition("/")[2]
        return self._several.get(last, set())

    def find(self, text: str, *, whole: bool = False) -> str | None:
        """The name of the file that a text means, or that its last part means if not `whole`.

        None if there is none, or several.
        """
        text = normal(text.strip().strip('"').replace("\\", "/")).removeprefix("./")
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
