"""Which tensors of a file are those of a module: under which prefix, in which of the file's dictionaries."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from converters.building.public.fill_module import mismatches_of
from converters.building.public.mismatches import Mismatches
from converters.identification.prefixes.asked import refuse_prefix
from converters.identification.prefixes.view import renamed, wrapper_of
from converters.identification.prefixes.wrapping import without_wrapping
from converters.identification.sources import Source

_MOST_PREFIXES = 50


class MatchingTensors(NamedTuple):
    """The tensors of a file that are a module's.

    Attributes:
        source: the tensors under the module's own keys.
        mismatches: what does not fit, also beside the prefix.
        ignored: key in the file -> why it is left out.
        notes: sentences for the receipt.
        prefix: text before the keys in the file.
    """

    source: Source
    mismatches: Mismatches
    ignored: Mapping[str, str]
    notes: tuple[str, ...]
    prefix: str


def match_tensors(module: Any, source: Source, *, prefix: str | None, skip: Sequence[str]) -> MatchingTensors:
    """The set of tensors that fits a module best: the first one that fits, or else the one with fewest mismatches.

    Args:
        module: torch module.
        source: the opened file.
        prefix: text before the module's keys in the file, or names of the dictionaries that hold them; None: found.
        skip: regular expressions of tensors that are left out.
    Raises:
        ConversionError: no tensor has the prefix.
    """
    best: MatchingTensors | None = None
    also: list[str] = []
    for candidate in _candidates(module, source, prefix, skip):
        if best is not None and not best.mismatches:
            if not candidate.mismatches and _place(candidate.source) != _place(best.source):
                also.append(repr(candidate.prefix or wrapper_of(candidate.source)))
            continue
        if best is None or candidate.mismatches.weight() < best.mismatches.weight():
            best = candidate
    if best is None:
        raise refuse_prefix(source, prefix or "")
    notes = [f"the network stands under {best.prefix!r} in the file"] if best.prefix else []
    if also:
        notes.append(f"also complete under {', '.join(dict.fromkeys(also))}: prefix= (--prefix) chooses")
    return best._replace(notes=(*source.notes, *notes))


def _place(tensors: Source) -> tuple[str, frozenset[str]]:
    """Which tensors of the file these are."""
    return wrapper_of(tensors), frozenset(map(tensors.name_in_file, tensors))


def _candidates(module: Any, source: Source, prefix: str | None, skip: Sequence[str]) -> Iterator[MatchingTensors]:
    keys = [key for key, value in module.state_dict().items() if hasattr(value, "shape")]
    for tensors in (source, *source.others):
        wrapper = wrapper_of(tensors).replace("/", ".")
        in_file = {key: tensors.name_in_file(key) for key in tensors}
        tried: list[dict[str, str]] = []
        for names in ({key: key for key in tensors}, in_file, without_wrapping(in_file)):
            if names in tried:
                continue
            tried.append(names)
            for text in _prefixes(names, keys, prefix, wrapper):
                if any(name.startswith(text) for name in names.values()):
                    yield _candidate(module, tensors, names, text, skip, asked=prefix is not None)


def _prefixes(names: Mapping[str, str], keys: Sequence[str], prefix: str | None, wrapper: str) -> list[str]:
    """The texts before the module's keys that the names may have."""
    if prefix is not None:
        dotted = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
        inner = dotted.removeprefix(f"{wrapper}.") if wrapper else dotted
        return list(dict.fromkeys([dotted, inner]))
    longest = sorted(keys, key=lambda key: -key.count("."))[:2]
    prefixes = [name.removesuffix(key) for key in longest for name in names.values() if name.endswith(f".{key}")]
    return list(dict.fromkeys(["", *prefixes]))[:_MOST_PREFIXES]


def _candidate(
    module: Any, tensors: Source, names: Mapping[str, str], prefix: str, skip: Sequence[str], *, asked: bool
) -> MatchingTensors:
    inside, beside, ignored = dict[str, str](), dict[str, str](), dict[str, str]()
    for key, name in names.items():
        short = name.removeprefix(prefix) if name.startswith(prefix) else ""
        listed = (key, name, short, tensors.name_in_file(key))
        if any(re.search(pattern, text) for pattern in skip for text in listed):
            ignored[tensors.name_in_file(key)] = "skip="
        elif short and short not in inside.values():
            inside[key] = short
        elif asked:
            ignored[tensors.name_in_file(key)] = "beside the prefix"
        else:
            beside[key] = name
    view = renamed(tensors, inside, {})
    mismatches = mismatches_of(module, view, view.shapes)
    copies = _copies(beside, inside, tensors)
    ignored |= {tensors.name_in_file(key): "a further copy of the network" for key in copies}
    others = tuple(tensors.name_in_file(key) for key in beside if key not in copies)
    mismatches = mismatches._replace(unused=(*mismatches.unused, *others))
    return MatchingTensors(view, mismatches, ignored, (), prefix)


def _copies(beside: Mapping[str, str], inside: Mapping[str, str], tensors: Source) -> set[str]:
    """The tensors beside the network that are a further whole network of the same names and shapes, as averages are."""
    network = {(name, tensors.shapes[key]) for key, name in inside.items()}
    longest = max(inside.values(), key=lambda name: name.count("."), default="")
    copies: set[str] = set()
    for prefix in {name.removesuffix(longest) for name in beside.values() if longest and name.endswith(f".{longest}")}:
        under = {key: name for key, name in beside.items() if name.startswith(prefix)}
        if {(name.removeprefix(prefix), tensors.shapes[key]) for key, name in under.items()} == network:
            copies |= under.keys()
    return copies
