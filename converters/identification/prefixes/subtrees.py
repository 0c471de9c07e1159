"""The subtrees of a file that may be a network, each as a view."""

import copy
import functools
import re
from collections.abc import Iterator, Sequence

from converters.families import FamilyNetwork
from converters.families.differences import describe_differences
from converters.identification.known_names import index_of, known_names
from converters.identification.prefixes.belonging import Judge
from converters.identification.prefixes.beside import COPY
from converters.identification.prefixes.places import Place, places_of
from converters.identification.prefixes.view import View, renamed, wrapper_of
from converters.identification.prefixes.wrapping import without_wrapping
from converters.identification.sources import Source
from converters.types import Shape


class Subtree:
    """A subtree that begins as a network does.

    Args:
        file: the tensors that it is a part of.
        place: where it is, and how its names are read.
    """

    def __init__(self, file: "_File", place: Place) -> None:
        self._file, self._place = file, place

    def can_be_one_of(self, networks: Sequence[FamilyNetwork]) -> bool:
        """Whether it may be one of these networks: the first tensor of another one says no, at once.

        Args:
            networks: records of networks.
        """
        index, judge = index_of(networks), self._file.judge
        names = self._file.names_in(self._place)
        return not any(judge.is_foreign(key, name) and not index.knows(name) for key, name in names if name)

    def view(self, skip: Sequence[str] = ()) -> View:
        """The subtree as a source.

        Args:
            skip: regular expressions; tensors beside it whose keys match do not count.
        """
        return self._file.view(self._place, skip)


class _File:
    """One set of tensors, with what all views of it need."""

    def __init__(self, source: Source) -> None:
        self.source, self.short = source, without_wrapping({key: key for key in source})
        self.places = places_of(self.short, source.shapes)
        self._kernels: dict[Place, frozenset[tuple[str, Shape]]] = {}

    @functools.cached_property
    def judge(self) -> Judge:
        """What says which tensors belong to the network in a subtree."""
        return Judge(self.source)

    def names_in(self, place: Place) -> Iterator[tuple[str, str]]:
        """`(key, name in the network)` of the tensors of a subtree."""
        start = len(place.prefix)
        for key, text in self.short.items():
            if text.startswith(place.prefix):
                yield key, place.name(text[start:])

    def view(self, place: Place, skip: Sequence[str]) -> View:
        """A subtree as a source."""
        source, copies = self.source, self._copies(place)
        inside = {key: name for key, name in self.names_in(place) if name}
        outside, copied = {}, {}
        # fastai has a body and a head, in this order; its head begins with two poolings and a BatchNorm.
        parent = place.prefix.removesuffix("0.")
        fastai = parent != place.prefix and f"{parent}1.2.running_mean" in self.short.values()
        for key, text in self.short.items():
            if key in inside:
                continue
            if copies and text.startswith(copies):
                copied[source.name_in_file(key)] = COPY
            elif not (skip and _is_found(skip, text, source.name_in_file(key))):
                outside[key] = _relative(text, place.prefix, "fastai_head" if fastai else "head")
        kept, left_out, strange = self.judge.sort(inside, outside, known_names(inside.values()))
        keys = {key: inside.get(key) or outside[key] for key in kept}
        if len(set(keys.values())) < len(keys):  # a second head of the same name
            strange = (*strange, *(key for key in kept if key in outside))
            keys = {key: name for key, name in keys.items() if key in inside}
        begin = next(iter(inside))
        in_file = source.name_in_file(begin)
        prefix = in_file[: len(in_file) - len(self.short[begin]) + len(place.prefix)]
        names_in_file = tuple(source.name_in_file(key) for key in strange)
        view = renamed(source, keys, source.modules)
        return View(view, prefix, wrapper_of(source), copied | left_out, names_in_file)

    def _copies(self, place: Place) -> tuple[str, ...]:
        """The prefixes of the subtrees with the same kernels."""
        same = self._kernels_of(place)
        return tuple(
            other.prefix for other in self.places if other.prefix != place.prefix and self._kernels_of(other) == same
        )

    def _kernels_of(self, place: Place) -> frozenset[tuple[str, Shape]]:
        if place not in self._kernels:
            shapes = self.source.shapes
            self._kernels[place] = frozenset(
                (name, shapes[key]) for key, name in self.names_in(place) if len(shapes[key]) == 4
            )
        return self._kernels[place]


def subtrees(source: Source) -> Iterator[Subtree]:
    """The subtrees of a source, and of the further sets of tensors in its file, in the documented order.

    Args:
        source: the opened source.
    """
    for tensors in (source, *source.others):
        if tensors.graph is None and any("." in key for key in tensors):
            file = _File(tensors)
            yield from (Subtree(file, place) for place in file.places)


def _is_found(patterns: Sequence[str], *names: str) -> bool:
    return any(re.search(pattern, name) for pattern in patterns for name in names)


def with_other_sets(source: Source, network: FamilyNetwork) -> Source:
    """The source, with a sentence for the receipt if further sets of tensors in its file are of the same network.

    Args:
        source: source that fits as it is.
        network: network that it fits.
    """
    same = [other for other in source.others if not describe_differences(network, other.shapes)]
    if not same:
        return source
    noted = copy.copy(source)
    listed = ", ".join(repr(wrapper_of(other)) for other in same)
    noted.notes = (
        *source.notes,
        f"taken from {wrapper_of(source)!r}; also complete under {listed}: prefix= (--prefix) chooses",
    )
    return noted


def _relative(text: str, prefix: str, head: str) -> str:
    """A key beside a subtree as the module that holds both names it."""
    parent = prefix.rstrip(".").rpartition(".")[0]
    parent = f"{parent}." if parent else ""
    name = text.removeprefix(parent)
    return f"{head}.{name[2:]}" if prefix == f"{parent}0." and name.startswith("1.") else name
