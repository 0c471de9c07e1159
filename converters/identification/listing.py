"""The first few of many names, for messages."""

from collections.abc import Sequence

_LISTED = 6


def some(names: Sequence[str]) -> str:
    """The first few of many names.

    Args:
        names: names to list.
    """
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
