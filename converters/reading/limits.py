"""What a file from a stranger may cost: memory in proportion to its size, whatever it announces.

Who opens a file opens a `Budget` for it, `EXPANSION` times the bytes of the file and `BASE` bytes more. Whatever
unfolds in memory is charged before it is made: what is decompressed, JSON, fields of messages, objects of a pickle.
Charges are estimates from above, for objects as CPython 3.11 to 3.13 makes them.
"""

import contextlib
import contextvars
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

from converters.errors import ConversionError

EXPANSION = 8.0
"""Bytes of memory for each byte of a file, unless the caller allows more."""

BASE = 64 << 20
"""Bytes that every file may cost, however small it is."""

# Bytes that a mark of JSON stands for: an object with its first entries, a list, an item, a key with its entry.
_MARKS = {b"{": 160, b"[": 90, b",": 70, b":": 120}


@dataclasses.dataclass(frozen=True)
class _Allowed:
    """What the caller allows.

    Attributes:
        expansion: bytes of memory for each byte of a file.
        trusted: whether the file's author is trusted: HDF5 is then read in this process.
    """

    expansion: float = EXPANSION
    trusted: bool = False


_allowed = contextvars.ContextVar("_allowed", default=_Allowed())  # noqa: B039  it is frozen


class Budget:
    """Bytes of memory that a file may still cost.

    Args:
        nbytes: bytes of the file.
    """

    def __init__(self, nbytes: int) -> None:
        self._expansion = _allowed.get().expansion
        self.left = int(self._expansion * nbytes) + BASE

    def grow(self, nbytes: int) -> None:
        """Adds what a further file of so many bytes may cost.

        Args:
            nbytes: bytes of the further file.
        """
        self.left += int(self._expansion * nbytes)

    def charge(self, nbytes: int) -> None:
        """Takes bytes off the budget.

        Args:
            nbytes: bytes of what is about to be made.
        Raises: ConversionError where fewer are left.
        """
        self.left -= nbytes
        if self.left < 0:
            raise self._spent()

    def check(self, nbytes: int) -> None:
        """Refuses what is needed for a moment and does not fit; takes nothing.

        Args:
            nbytes: bytes of what is about to be made.
        Raises: ConversionError where fewer are left.
        """
        if nbytes > self.left:
            raise self._spent()

    def _spent(self) -> ConversionError:
        return ConversionError(
            f"unfolds into more than {self._expansion:g} times its own size in memory, which a file of weights hardly "
            "does; it is damaged or hostile. If you trust its author, allow more: max_expansion=100 "
            "(tfseg convert --max_expansion=100)."
        )


_budget: contextvars.ContextVar[Budget | None] = contextvars.ContextVar("_budget", default=None)


@contextlib.contextmanager
def allowing(max_expansion: float | None = None, trusted: bool = False) -> Iterator[None]:
    """Inside, files may cost more, or are trusted.

    Args:
        max_expansion: bytes of memory for each byte of a file; None: as around, 8 by default.
        trusted: whether the author of the files is trusted: HDF5 is then read in this process, not in a child.
    Raises: ConversionError for an expansion that is no number above zero.
    """
    around = _allowed.get()
    if max_expansion is not None and not max_expansion > 0:
        raise ConversionError(f"max_expansion is a number above 0. Received: {max_expansion!r}")
    chosen = around.expansion if max_expansion is None else float(max_expansion)
    token = _allowed.set(_Allowed(chosen, trusted or around.trusted))
    try:
        yield
    finally:
        _allowed.reset(token)


def is_trusted() -> bool:
    """Whether the caller trusts the author of the files."""
    return _allowed.get().trusted


@contextlib.contextmanager
def budget(nbytes: int) -> Iterator[Budget]:
    """A budget for a file of so many bytes, which everything inside is charged to.

    Args:
        nbytes: bytes of the file.
    """
    opened = Budget(nbytes)
    token = _budget.set(opened)
    try:
        yield opened
    finally:
        _budget.reset(token)


def current(nbytes: int = 0) -> Budget:
    """The budget that is open, or a new one for so many bytes.

    Args:
        nbytes: bytes of what is read, where no budget is open.
    """
    return _budget.get() or Budget(nbytes)


def parse_json(text: bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """What a JSON text says, charged before anything of it is made.

    Args:
        text: the text in UTF-8, perhaps with a byte order mark.
        hook: function that makes an object of its pairs, as `object_pairs_hook` of `json.loads`.
    Raises:
        ConversionError: a text that unfolds into far more than its size.
        ValueError: a text that is not JSON.
    """
    # A text beyond ASCII may take four bytes a letter, once as a whole and once in its parts.
    size = len(text) * (2 if text.isascii() else 9)
    current(len(text)).charge(size + sum(cost * text.count(mark) for mark, cost in _MARKS.items()))
    return json.loads(text.decode("utf-8-sig"), object_pairs_hook=hook)
