"""One subtree of a source, as a source."""

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from converters.identification.prefixes.beside import FASTAI_HEAD, PREPARATION
from converters.identification.sources import Source
from converters.reading.pytorch.module_tree import ModuleTree

_NAMED = 6


@dataclasses.dataclass(frozen=True)
class View:
    """One subtree of a source, as a source.

    Attributes:
        source: the subtree's tensors under the network's own keys, with the tensors of a head beside it.
        prefix: text before its keys in the file.
        wrapper: keys of the dictionary that the tensors lie in, for messages.
        left_out: key in the file -> what it is.
        strange: keys beside the subtree that may read its features.
    """

    source: Source
    prefix: str
    wrapper: str
    left_out: Mapping[str, str]
    strange: tuple[str, ...]

    @property
    def where(self) -> str:
        """Where the subtree is, in words."""
        return repr(self.prefix or self.wrapper)

    def notes(self, also: Sequence[str] = ()) -> tuple[str, ...]:
        """Sentences for the receipt.

        Args:
            also: where else a network of the same kind is complete.
        """
        sentences = [f"the network stands under {self.prefix!r} in the file"] if self.prefix else []
        if also:
            sentences.append(f"also complete under {', '.join(also)}: prefix= (--prefix) chooses")
        if self.left_out or self.strange:
            sentences.append(f"left out: {_grouped([*self.left_out, *self.strange])}")
        if FASTAI_HEAD in self.left_out.values():
            sentences.append(
                "fastai's head is left out: its tensors do not tell its poolings and activations. The model gives the "
                "features; the live module converts as a whole"
            )
        if PREPARATION in self.left_out.values():
            sentences.append("the mean and std beside the network prepare its images: compare them with preprocessing")
        return tuple(sentences)

    def with_notes(self, also: Sequence[str] = ()) -> Source:
        """The view as a source that carries these sentences."""
        source = copy.copy(self.source)
        source.notes = (*self.source.notes, *self.notes(also))
        return source


def wrapper_of(source: Source) -> str:
    """The keys of the dictionary that a source's tensors lie in."""
    return "/".join(source.checkpoints[0].wrapper) if len(source.checkpoints) == 1 else ""


def renamed(source: Source, names: Mapping[str, str], modules: ModuleTree) -> Source:
    """A source of some tensors under other keys.

    Args:
        source: the whole source.
        names: key -> key of the new source, for the tensors that it has.
        modules: modules of the new source.
    """
    owners = {name: key for key, name in names.items()}
    view = Source(
        _RenamedArrays(source, owners),
        source.name,
        {name: source.shapes[key] for name, key in owners.items()},
        {name: source.dtypes[key] for name, key in owners.items()},
        source.checkpoints,
        notes=source.notes,
        module=source.module,
        names_in_file={name: source.name_in_file(key) for name, key in owners.items()},
    )
    view.modules = modules
    return view


def translated_skip(source: Source, skip: Sequence[str]) -> tuple[str, ...]:
    """Patterns that find in a view's keys what the given ones find in those keys or in the file's.

    Args:
        source: the view.
        skip: regular expressions.
    """
    more = [
        f"^{re.escape(key)}$"
        for key in source
        if any(re.search(text, source.name_in_file(key)) for text in skip)
        and not any(re.search(text, key) for text in skip)
    ]
    return (*skip, *more)


class _RenamedArrays(Mapping[str, np.ndarray]):
    def __init__(self, arrays: Mapping[str, np.ndarray], owners: Mapping[str, str]) -> None:
        self._arrays, self._owners = arrays, owners

    def __getitem__(self, key: str) -> np.ndarray:
        return self._arrays[self._owners[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)


def _grouped(keys: Sequence[str]) -> str:
    """Keys by their first parts: few by name, many by number."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        first = ".".join(key.split(".")[:2]) if key.startswith("module.") else key.split(".")[0]
        groups.setdefault(first, []).append(key)
    listed = [
        ", ".join(members) if len(members) <= 2 else f"{len(members)} tensors under {first}."
        for first, members in groups.items()
    ]
    more = f"; and {len(listed) - _NAMED} more groups" if len(listed) > _NAMED else ""
    return "; ".join(listed[:_NAMED]) + more
