"""The subtree under a prefix that the user names."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

from converters.errors import ConversionError
from converters.identification.known_names import known_names
from converters.identification.prefixes.belonging import Judge
from converters.identification.prefixes.places import places_of
from converters.identification.prefixes.view import View, renamed, wrapper_of
from converters.identification.prefixes.wrapping import without_wrapping
from converters.identification.sources import Source
from converters.reading.pytorch.module_tree import ModuleTree


def asked_view(source: Source, prefix: str) -> View | None:
    """The one subtree under a prefix, in the source or in a further set of tensors of its file; None if there is none.

    Everything else is left out.

    Args:
        source: the opened source.
        prefix: text before keys in the file, or names of the dictionaries that hold the tensors, and such text.
    """
    for tensors in (source, *source.others):
        for text in _spellings(tensors, prefix):
            if any(_has(tensors, key, text) for key in tensors):
                return _view(tensors, text)
    return None


def refuse_prefix(source: Source, prefix: str) -> ConversionError:
    """The error for a prefix that no key has, with those that exist.

    Args:
        source: the opened source.
        prefix: prefix that was asked for.
    """
    counts: Counter[str] = Counter()
    for tensors in (source, *source.others):
        for key in tensors:
            parts = tensors.name_in_file(key).split(".", 4)
            counts.update(".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), 4)))
    # Of prefixes with the same tensors the longest says most.
    listed = [f"{text!r} ({count} tensors)" for text, count in counts.most_common(12)]
    return ConversionError(
        f"{source.name} has no tensor under that prefix. Expected one of those that its keys have, such as "
        f"{', '.join(listed) or 'none'}. Received: prefix={prefix!r}"
    )


def _spellings(source: Source, prefix: str) -> Iterator[str]:
    """What a user may mean by a prefix: text before keys, or names of the dictionaries that hold the tensors."""
    dotted = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
    yield dotted
    for checkpoint in source.checkpoints[:1]:
        for count in range(1, len(checkpoint.wrapper) + 1):
            outer = ".".join(checkpoint.wrapper[-count:]) + "."
            if dotted.startswith(outer):
                yield dotted.removeprefix(outer)


def _has(source: Source, key: str, prefix: str) -> bool:
    name = source.name_in_file(key)
    return name.startswith(prefix) and name != prefix


def _view(source: Source, prefix: str) -> View:
    inside = {key: source.name_in_file(key)[len(prefix) :] for key in source if _has(source, key, prefix)}
    names = dict(inside)
    short = without_wrapping(inside)
    if places := [place for place in places_of(short, {key: source.shapes[key] for key in short}) if not place.prefix]:
        names = {key: places[0].name(text) for key, text in short.items()}
    kept, left_out, _ = Judge(source).sort(names, {}, known_names(names.values()))
    left_out |= {source.name_in_file(key): "beside the prefix" for key in source if key not in inside}
    view = renamed(source, {key: names[key] for key in kept}, _inner_modules(source, prefix))
    view.module = _inner_module(source.module, prefix)
    return View(view, prefix, wrapper_of(source), left_out, ())


def _inner_modules(source: Source, prefix: str) -> ModuleTree:
    """The modules under a prefix, the first of them being the network."""
    tree: dict[str, object] = {}
    for name, record in source.modules.items():
        if f"{name}.".startswith(prefix):
            inner = name[len(prefix) :] if len(name) >= len(prefix) else ""
            tree[inner] = dataclasses.replace(record, name=inner)
    return tree  # type: ignore[return-value]


def _inner_module(module: Any, prefix: str) -> Any:
    """The live module under a prefix; the whole one, if the prefix names no module in it."""
    if module is None:
        return None
    return dict(module.named_modules(remove_duplicate=False)).get(prefix.rstrip("."), module)
