"""Arguments of layers that stand for rows and columns."""

from collections.abc import Sequence


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """`(rows, columns)`; one number stands for both."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns
