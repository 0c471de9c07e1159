"""Names with fields for numbers, such as `"layer{s}.{b}.conv{c}"`, and the forms of names.

A field stands for a number, `{s+1}` for the number after it. `{b:a}` stands for a number that is written as a letter: a
for 1. The form of a name has # for every number, with the single letter that may follow it. So few forms stand for the
thousands of keys of a large network. A dictionary of forms finds the templates that a name can have.
"""

import functools
import itertools
import re
import string
from collections.abc import Mapping
from typing import NamedTuple

_FIELD = re.compile(r"\{(\w+?)(:a)?([+-]\d+)?\}")
_NUMBER = re.compile("[0-9]+([a-z](?![a-z]))?")
_BEFORE_A = ord("a") - 1


def form(name: str) -> str:
    """A name with # for every number.

    Args:
        name: name of a tensor or of a variable, or a part of one that begins and ends between two numbers.
    """
    return _NUMBER.sub("#", name)


class Template(NamedTuple):
    """A name with fields.

    Attributes:
        texts: literal texts, before, between and after the fields.
        fields: `(name, offset, whether it is written as a letter)` of each field.
    """

    texts: tuple[str, ...]
    fields: tuple[tuple[str, int, bool], ...]

    @classmethod
    @functools.cache  # families share most of their names
    def parse(cls, text: str) -> "Template":
        """The template that a text like `"layer{s}.{b}.conv{c}"` means."""
        pieces = _FIELD.split(text)
        parts = zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
        fields = tuple((name, int(offset or 0), bool(letter)) for name, letter, offset in parts)
        return cls(tuple(pieces[::4]), fields)

    def match(self, name: str) -> dict[str, int] | None:
        """The numbers in the fields, or None if the name does not have this form."""
        match = _pattern(self).fullmatch(name) if name.startswith(self.texts[0]) else None
        if match is None:
            return None
        numbers: dict[str, int] = {}
        for (field, offset, letter), text in zip(self.fields, match.groups(), strict=True):
            number = (ord(text) - _BEFORE_A if letter else int(text)) - offset
            if numbers.setdefault(field, number) != number:
                return None
        return numbers if all(number >= 0 for number in numbers.values()) else None

    def fill(self, numbers: Mapping[str, int]) -> str:
        """The name with these numbers in its fields."""
        parts = [self.texts[0]]
        for (field, offset, letter), text in zip(self.fields, self.texts[1:], strict=True):
            number = numbers[field] + offset
            parts += chr(_BEFORE_A + number) if letter else str(number), text
        return "".join(parts)


@functools.cache
def _pattern(template: Template) -> re.Pattern[str]:
    # Python refuses to read numbers of thousands of digits.
    fields = ["([a-z])" if letter else "(0|[1-9][0-9]{0,8})" for _, _, letter in template.fields]
    return re.compile(
        "".join(re.escape(text) + field for text, field in zip(template.texts, [*fields, ""], strict=True))
    )


@functools.cache
def forms(template: Template) -> frozenset[str]:
    """The forms of all names that a template stands for."""
    letters = [index for index, (_, _, letter) in enumerate(template.fields) if letter]
    if not letters:
        return frozenset((form("0".join(template.texts)),))

    def filled(choice: Mapping[int, str]) -> str:
        values = [choice.get(index, "0") for index in range(len(template.fields))]
        return form("".join(itertools.chain.from_iterable(zip(template.texts, [*values, ""], strict=True))))

    usual = dict.fromkeys(letters, "a")
    first = filled(usual)
    # Where the form has the letter itself, there is one form for each.
    choices = [string.ascii_lowercase if filled({**usual, index: "b"}) != first else "a" for index in letters]
    return frozenset(filled(dict(zip(letters, choice, strict=True))) for choice in itertools.product(*choices))
