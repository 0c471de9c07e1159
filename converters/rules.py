"""Name maps as data: which foreign tensor is which Keras variable, one row a module, read in both directions.

A row is `(source module, Keras layer, kind)`, for instance
`("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv")`. A field in braces stands for a number, the same on
both sides up to the offset. The kind says which tensors such a module has, and their layouts.
"""

import functools
import re
from typing import NamedTuple

from converters import layouts

# kind: (tensor of the module, variable of the layer, layouts: the first that has as many dimensions as the variable)
KINDS = {
    "conv": (("weight", "kernel", ("o i h w -> h w i o",)), ("bias", "bias", ("o -> o",))),
    "upconv": (("weight", "kernel", ("i o h w -> h w o i",)), ("bias", "bias", ("o -> o",))),
    "dense": (("weight", "kernel", ("o i -> i o", "o i -> 1 1 i o")), ("bias", "bias", ("o -> o",))),
    # Fully connected behind the flattened 7x7 map of a VGG, channels first there and last here.
    "dense7x7": (
        ("weight", "kernel", ("o (c h w) -> (h w c) o; h=7 w=7", "o (c h w) -> h w c o; h=7 w=7")),
        ("bias", "bias", ("o -> o",)),
    ),
    "norm": (
        ("weight", "gamma", ("c -> c",)),
        ("bias", "beta", ("c -> c",)),
        ("running_mean", "moving_mean", ("c -> c",)),
        ("running_var", "moving_variance", ("c -> c",)),
    ),
}

_FIELD = re.compile(r"\{(\w+?)([+-]\d+)?\}")


class Template(NamedTuple):
    """A name with fields: literal texts, and between them `(field, offset)`."""

    texts: tuple
    fields: tuple

    @classmethod
    def parse(cls, text):
        pieces = _FIELD.split(text)
        fields = tuple((name, int(offset or 0)) for name, offset in zip(pieces[1::3], pieces[2::3], strict=True))
        return cls(tuple(pieces[::3]), fields)

    def match(self, name):
        """The numbers in the fields, or None if the name is not of this form."""
        found = name.startswith(self.texts[0]) and _pattern(self).fullmatch(name)
        if not found:
            return None
        numbers = {}
        for (field, offset), digits in zip(self.fields, found.groups(), strict=True):
            if numbers.setdefault(field, int(digits) - offset) != int(digits) - offset:
                return None
        return numbers if all(number >= 0 for number in numbers.values()) else None

    def fill(self, numbers):
        filled = [str(numbers[field] + offset) for field, offset in self.fields]
        return "".join(text + number for text, number in zip(self.texts, [*filled, ""], strict=True))


@functools.cache
def _pattern(template):
    return re.compile(r"(0|[1-9]\d*)".join(map(re.escape, template.texts)))


class Rule(NamedTuple):
    """One tensor of a module: source key template, variable path template, layouts to choose from."""

    source: Template
    target: Template
    layouts: tuple

    def layout(self, rank):
        """The layout for a variable of so many dimensions; the first one if none fits (the shapes then tell why)."""
        parsed = [layouts.parse(text) for text in self.layouts]
        return next((layout for layout in parsed if len(layout.target) == rank), parsed[0])


class Table:
    """All rows of one network, and the source tensors that it does not use: `(regular expression, why)`."""

    def __init__(self, rows, ignored=()):
        self.rows = tuple(rows)
        self.ignored = tuple(ignored)
        self._modules = [(Template.parse(source), Template.parse(target)) for source, target, _ in self.rows]
        self.rules = tuple(
            Rule(Template.parse(f"{source}.{tensor}"), Template.parse(f"{target}/{variable}"), choices)
            for source, target, kind in self.rows
            for tensor, variable, choices in KINDS[kind]
        )

    @functools.lru_cache(100_000)  # noqa: B019 - tables live as long as the program
    def forward(self, key):
        """`(variable path, rule)` of a source key, or None."""
        for rule in self.rules:
            if (numbers := rule.source.match(key)) is not None:
                return rule.target.fill(numbers), rule
        return None

    @functools.lru_cache(100_000)  # noqa: B019
    def backward(self, path):
        """`(source key, rule)` of a variable path, or None."""
        for rule in self.rules:
            if (numbers := rule.target.match(path)) is not None:
                return rule.source.fill(numbers), rule
        return None

    def why_ignored(self, key):
        """The reason for leaving a source tensor out, or None."""
        return next((why for pattern, why in self.ignored if re.fullmatch(pattern, key)), None)

    def knows(self, key):
        return self.forward(key) is not None or self.why_ignored(key) is not None

    def module(self, name):
        """The Keras layer of a source module's name, or None."""
        for source, target in self._modules:
            if (numbers := source.match(name)) is not None:
                return target.fill(numbers)
        return None


@functools.cache
def table(rows, ignored=()):
    """The table of these rows: one object for all networks that share them."""
    return Table(rows, ignored)
