"""Whether the fields of a record hold what their annotations say: a user's record is checked before it is used."""

import collections.abc
import dataclasses
import types
import typing
from typing import Any


def wrong_types(record: Any) -> list[str]:
    """What in a record is of another type than its annotation, in words.

    Args:
        record: instance of a dataclass.

    Returns: one sentence for each such field; empty if all are right.

    Example:
        >>> import dataclasses
        >>> from converters.families import FAMILIES
        >>> from converters.families.record_types import wrong_types
        >>> wrong_types(dataclasses.replace(FAMILIES["torchvision/resnet"], dilates="no"))
        ["dilates is a bool, not 'no'"]
    """
    hints = typing.get_type_hints(type(record))
    return [
        f"{field.name} is {_in_words(hints[field.name])}, not {getattr(record, field.name)!r}"
        for field in dataclasses.fields(record)
        if not _is_a(getattr(record, field.name), hints[field.name])
    ]


def _is_a(value: object, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(value, choice) for choice in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_a(item, inner[0]) for item in value)
    if origin is collections.abc.Mapping:
        return isinstance(value, collections.abc.Mapping) and all(
            _is_a(key, inner[0]) and _is_a(item, inner[1]) for key, item in value.items()
        )
    if origin is collections.abc.Callable:
        return callable(value)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _in_words(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "None"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_in_words, inner))
    if origin is tuple:
        return f"a tuple whose values are each {_in_words(inner[0])}"
    if origin is collections.abc.Mapping:
        return "a mapping" if inner[1] is Any else f"a mapping whose values are each {_in_words(inner[1])}"
    if origin is collections.abc.Callable:
        return "a function"
    return {str: "a text", int: "an integer"}.get(hint, f"a {getattr(hint, '__name__', hint)}")
