"""Name maps as data: which foreign tensor is which Keras variable, one row a module, read in both directions.

A row is `(source module, Keras layer, kind)`, for instance
`("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv")`. A field in braces stands for a number, the same on
both sides up to the offset (see `templates`). The kind says which tensors such a module has, and their layouts.
"""

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from converters.names.kinds import KINDS
from converters.names.layouts import Layout, parse
from converters.names.templates import Template, form, forms
from converters.types import Shape

Row = tuple[str, str, str]
"""Source module, Keras layer, kind: a name of `kinds.KINDS`."""

Ignored = tuple[str, str]
"""Regular expression of source keys, and why they are left out."""


class Rule(NamedTuple):
    """One tensor of a module.

    Attributes:
        source: template of the source key.
        target: template of the variable path.
        layouts: layouts to choose from.
        kind: kind of the row, a name of `kinds.KINDS`.
    """

    source: Template
    target: Template
    layouts: tuple[str, ...]
    kind: str

    def layout(self, rank: int) -> Layout:
        """The layout for a variable with `rank` dimensions; the first one if none fits (the shapes then tell why)."""
        parsed = [parse(text) for text in self.layouts]
        return next((layout for layout in parsed if len(layout.target) == rank), parsed[0])


class Table:
    """All rows of one network, and the source tensors that it does not use.

    Args:
        rows: `(source module, Keras layer, kind)` of each module; the first row that fits is used.
        ignored: `(regular expression, why)` of the source keys that are left out.

    Example:
        >>> from converters.families import table
        >>> names = table((("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv"),))
        >>> names.path("layer3.0.conv2.weight")
        'conv4_block1_2_conv/kernel'
        >>> names.shape("layer3.0.conv2.weight", (256, 128, 3, 3))
        (3, 3, 128, 256)
    """

    def __init__(self, rows: tuple[Row, ...], ignored: tuple[Ignored, ...] = ()) -> None:
        self.rows = tuple(rows)
        self.ignored = tuple(ignored)

    @functools.cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rule of each tensor of each row."""
        return tuple(rule for row in self.rows for rule in rules_of(row))

    def forward(self, key: str) -> tuple[str, Rule] | None:
        """`(variable path, rule)` for a source key, or None."""
        return self._forward(key) if form(key) in self._by_source else None

    def backward(self, path: str) -> tuple[str, Rule] | None:
        """`(source key, rule)` for a variable path, or None."""
        return self._backward(path) if form(path) in self._by_target else None

    def path(self, key: str) -> str | None:
        """The variable path for a source key, or None."""
        row = self.forward(key)
        return row and row[0]

    def key(self, path: str) -> str | None:
        """The source key for a variable path, or None."""
        row = self.backward(path)
        return row and row[0]

    def why_ignored(self, key: str) -> str | None:
        """The reason for leaving a source tensor out, or None."""
        return next((why for pattern, why in self.ignored if re.fullmatch(pattern, key)), None)

    def shape(self, key: str, shape: Shape) -> Shape | None:
        """A source tensor's shape as Keras has it: `(height, width, input, output)`, `(input, output)`, `(units,)`.

        None for a key that belongs to no variable, or for a shape that its kind does not have.
        """
        row = self.forward(key)
        return row and _target_shape(row[1].layouts, tuple(shape))

    def knows(self, key: str) -> bool:
        """Whether a source key has a place here, or is to be left out."""
        return self.forward(key) is not None or self.why_ignored(key) is not None

    def strangers(self, keys: Iterable[str]) -> list[str]:
        """The source keys that the table does not know.

        Args:
            keys: keys of a source.
        """
        return [key for key in keys if not self.knows(key)]

    def module(self, name: str) -> str | None:
        """The Keras layer for a source module's name, or None."""
        for source, target, _ in self.rows:
            if (numbers := Template.parse(source).match(name)) is not None:
                return Template.parse(target).fill(numbers)
        return None

    @functools.cached_property
    def _by_source(self) -> dict[str, list[Rule]]:
        return _by_form((rule.source, rule) for rule in self.rules)

    @functools.cached_property
    def _by_target(self) -> dict[str, list[Rule]]:
        return _by_form((rule.target, rule) for rule in self.rules)

    @functools.lru_cache(100_000)  # noqa: B019 - tables live as long as the program
    def _forward(self, key: str) -> tuple[str, Rule] | None:
        for rule in self._by_source[form(key)]:
            if (numbers := rule.source.match(key)) is not None:
                return rule.target.fill(numbers), rule
        return None

    @functools.lru_cache(100_000)  # noqa: B019
    def _backward(self, path: str) -> tuple[str, Rule] | None:
        for rule in self._by_target[form(path)]:
            if (numbers := rule.target.match(path)) is not None:
                return rule.source.fill(numbers), rule
        return None


@functools.cache  # families share most of their rows
def rules_of(row: Row) -> tuple[Rule, ...]:
    """The rule of each tensor that a module has.

    Args:
        row: source module, Keras layer, kind.
    """
    source, target, kind = row
    return tuple(
        Rule(Template.parse(_joined(source, tensor)), Template.parse(f"{target}/{variable}"), choices, kind)
        for tensor, variable, choices in KINDS[kind]
    )


def _by_form(templates: Iterable[tuple[Template, Rule]]) -> dict[str, list[Rule]]:
    """Form of a name -> the rules that it can have, in their order."""
    rules: dict[str, list[Rule]] = {}
    for template, rule in templates:
        for text in forms(template):
            rules.setdefault(text, []).append(rule)
    return rules


@functools.lru_cache(100_000)
def _target_shape(layouts: tuple[str, ...], shape: Shape) -> Shape | None:
    shapes = (parse(text).target_shape(shape) for text in layouts)
    return next((target for target in shapes if target), None)


def _joined(module: str, tensor: str) -> str:
    """A tensor's key: PyTorch and Caffe put a dot before its last part, but not before one that begins with / or _."""
    return module + tensor if tensor.startswith(("/", "_")) else f"{module}.{tensor}"


@functools.cache
def table(rows: tuple[Row, ...], ignored: tuple[Ignored, ...] = ()) -> Table:
    """The table with these rows: one object for all networks that share them.

    Args:
        rows: `(source module, Keras layer, kind)` of each module, as a tuple.
        ignored: `(regular expression, why)` of the source keys that are left out.

    Returns: a `Table`.

    Example:
        >>> from converters.families import table
        >>> table((("head", "logits", "conv"),)).path("head.bias")
        'logits/bias'
    """
    return Table(rows, ignored)
