"""Reads the docstrings of this project for the site: examples, and sections that begin in the line of their name."""

import re
from typing import Any

import griffe

_ONE_LINE = re.compile(r"(?m)^(Returns|Yields|Reference|Source): (.+)$")
_JOINT_ENTRY = re.compile(r"(?m)^( {4})(\w+(?:, \*{0,2}\w+)+): (.+(?:\n {8}.+)*)$")


class Docstrings(griffe.Extension):
    """Gives the docstrings the form that griffe's parser for Google's style knows."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of one object.

        Args:
            obj: module, class, function or attribute.
        """
        if obj.docstring and not obj.is_alias:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """A docstring in Google's style to the letter.

    Args:
        text: docstring without its indentation.

    Example:
        >>> print(rewritten("Sums.\\n\\nReturns: the sum."))
        Sums.
        <BLANKLINE>
        Returns:
            the sum.
    """
    text = re.sub(r"(?m)^(Example|Examples):$", "\nExamples:", text)
    text = _JOINT_ENTRY.sub(_apart, text)
    return _ONE_LINE.sub(r"\n\1:\n    \2", re.sub(r"(?m)^(Args|Attributes|Raises):$", r"\n\1:", text))


def _apart(match: re.Match[str]) -> str:
    """`a, b: what they are` as an entry for each."""
    indent, names, meaning = match.groups()
    return "\n".join(f"{indent}{name}: {meaning}" for name in names.split(", "))
