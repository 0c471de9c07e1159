"""Many tables held against many names: one look at each name says which tables know it."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from converters.names.tables import Row, Table, rules_of
from converters.names.templates import Template, form, forms

# What makes a regular expression mean something else as one of several alternatives.
_PARTICULAR = re.compile(r"\\[1-9]|\(\?[^:=!<]")


class NameIndex:
    """The names that tables know, by their forms.

    Args:
        tables: tables, each once or several times.

    Example:
        >>> from converters.families import table
        >>> from converters.names.name_index import NameIndex
        >>> names = table((("conv{i}", "conv{i}", "conv"),), ((r".*\\.steps", "a counter"),))
        >>> sorted(NameIndex([names]).known(["conv1.weight", "conv1.scale", "conv1.steps"])[names])
        ['conv1.steps', 'conv1.weight']
    """

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tuple(dict.fromkeys(tables))
        by_row: dict[Row, list[Table]] = {}  # tables share most of their rows
        self._ignoring: dict[str, list[Table]] = {}
        for table in self.tables:
            for row in dict.fromkeys(table.rows):
                by_row.setdefault(row, []).append(table)
            for pattern in dict.fromkeys(pattern for pattern, _ in table.ignored):
                self._ignoring.setdefault(pattern, []).append(table)
        knowing: dict[Template, dict[Table, None]] = {}
        for row, tables in by_row.items():
            for rule in rules_of(row):
                knowing.setdefault(rule.source, {}).update(dict.fromkeys(tables))
        self._knowing = {template: list(tables) for template, tables in knowing.items()}
        self._by_form: dict[str, list[Template]] = {}
        for template in self._knowing:
            for text in forms(template):
                self._by_form.setdefault(text, []).append(template)
        self._any_ignored = _alternatives(self._ignoring)

    def known(self, keys: Iterable[str]) -> Mapping[Table, frozenset[str]]:
        """The keys that each table knows, or leaves out.

        Args:
            keys: keys of a source.
        """
        groups: dict[int, tuple[list[Table], list[str]]] = {}  # by the identity of the lists, which this object holds
        for key in dict.fromkeys(keys):
            for tables in self._groups_of(key):
                groups.setdefault(id(tables), (tables, []))[1].append(key)
        known: dict[Table, set[str]] = {table: set() for table in self.tables}
        for tables, names in groups.values():
            for table in tables:
                known[table].update(names)
        return {table: frozenset(names) for table, names in known.items()}

    def knows(self, key: str) -> bool:
        """Whether some table knows a key, or leaves it out.

        Args:
            key: key of a source.
        """
        return next(self._groups_of(key), None) is not None

    def tables_of(self, key: str) -> Iterator[Table]:
        """The tables that know a key, or leave it out; some of them twice.

        Args:
            key: key of a source.
        """
        return itertools.chain.from_iterable(self._groups_of(key))

    def _groups_of(self, key: str) -> Iterator[list[Table]]:
        """The tables of each template and of each expression that a key fits."""
        for template in self._by_form.get(form(key), ()):
            if template.match(key) is not None:
                yield self._knowing[template]
        if any(pattern.fullmatch(key) for pattern in self._any_ignored):
            for text, tables in self._ignoring.items():
                if re.fullmatch(text, key):
                    yield tables


def _alternatives(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Few expressions of which one fits if one of many does."""
    plain: list[str] = []
    particular: list[str] = []
    for pattern in patterns:
        (particular if _PARTICULAR.search(pattern) else plain).append(pattern)
    return [*map(re.compile, particular), re.compile("|".join(f"(?:{pattern})" for pattern in plain) or "(?!)")]
