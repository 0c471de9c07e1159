"""The first few of many names, for messages."""

from collections.abc import Sequence

LISTED = 6
"""Names that are listed."""


def some(names: Sequence[str]) -> str:
    """The first few of many names.

    Args:
        names: names to list.
    """
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
