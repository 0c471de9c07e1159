"""How far a long run is: the one way in which this project counts images, steps, bytes and formats.

A function that may take long has a parameter `progress`, of type `ProgressOption`. It passes that on to `track`, which
yields items and counts them, or turns it into a function with `as_progress` and calls that itself.
"""

import contextlib
import contextvars
import datetime
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TextIO, TypeVar

Progress = Callable[[int, int | None], None]
"""A function called with what is done and with how much there is in all; None if that is not known.

The first call, usually with 0, is the start. A smaller count than before is a new start.
"""

ProgressOption = Progress | bool | None
"""What a caller may pass: True shows progress on stderr, False and None show nothing, a function is called."""

Item = TypeVar("Item")

_reporting: contextvars.ContextVar[ProgressOption] = contextvars.ContextVar("_reporting", default=None)

_BAR_WIDTH = 24  # characters of a bar on a terminal
_LARGE_UNITS = {"bytes": (1e6, "MB")}  # units that are shown in larger ones: how many times larger, and their name


def as_progress(progress: ProgressOption, unit: str = "images", *, brief: bool = False) -> Progress:
    """The function that `progress` stands for.

    Args:
        progress: True, False, None, or the function itself.
        unit: what is counted, in the plural; "bytes" are shown as megabytes.
        brief: whether a log file gets nothing of a run that is soon over.
    Returns: a `ProgressLine` for True, a function that does nothing for False and None, else `progress`.
    Raises:
        ValueError: anything else.
    """
    if callable(progress):
        return progress
    if progress is not None and not isinstance(progress, bool):
        raise ValueError(f"progress is True, False, or a function of (done, total). Received: {progress!r}")
    return ProgressLine(unit, brief=brief) if progress else _ignore


@contextlib.contextmanager
def reporting(progress: ProgressOption) -> Iterator[None]:
    """Shows inside what `reported` counts, however deep it is.

    Args:
        progress: where to report, see `ProgressOption`.

    Example:
        >>> from tfseg.progress import reported, reporting
        >>> counts = []
        >>> with reporting(lambda done, total: counts.append((done, total))), reported("bytes") as report:
        ...     report(10, 10)
        >>> counts
        [(10, 10)]
    """
    token = _reporting.set(progress)
    try:
        yield
    finally:
        _reporting.reset(token)


@contextlib.contextmanager
def reported(unit: str) -> Iterator[Progress]:
    """The function to report to, as the surrounding `reporting` says; one that does nothing without it.

    Args:
        unit: what is counted, in the plural.
    """
    report = as_progress(_reporting.get(), unit, brief=True)
    try:
        yield report
    finally:
        if isinstance(report, ProgressLine):
            report.end()


def track(
    items: Iterable[Item],
    progress: ProgressOption = True,
    *,
    unit: str = "images",
    total: int | None = None,
    brief: bool = False,
) -> Iterator[Item]:
    """Yields the items and reports how many are done: 0 before the first one, then after each.

    Args:
        items: items to go through.
        progress: where to report, see `ProgressOption`.
        unit: what the items are, in the plural.
        total: how many items there are; by default their length, if they have one.
        brief: whether a log file gets nothing of a run that is soon over.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    report = as_progress(progress, unit, brief=brief)
    try:
        report(0, total)
        for done, item in enumerate(items, 1):
            yield item
            report(done, total)
    finally:
        if isinstance(report, ProgressLine):
            report.end()


class ProgressLine:
    """A `Progress` that writes how much is done, how fast, and the time left.

    A terminal shows a bar of rich that redraws itself. A log file gets plain lines: one at most every `seconds`, and
    one at the end.

    Args:
        unit: what is counted, in the plural; "bytes" are shown as megabytes.
        stream: where to write; by default stderr.
        seconds: least time between two lines of a log file.
        clock: function that returns the time in seconds.
        brief: whether a log file gets nothing of a run that takes less than `seconds`.
    """

    def __init__(
        self,
        unit: str = "images",
        *,
        stream: TextIO | None = None,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        brief: bool = False,
    ) -> None:
        self._scale, self._unit = _LARGE_UNITS.get(unit, (1, unit))
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._pause = 0.1 if self._terminal else seconds
        self._clock = clock
        self._brief = brief
        self._done: int | None = None
        self.note = ""  # what else the line says, at its end
        self._bar: Any = None  # the bar of a terminal, once it is shown
        self._task: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        """Writes a line if it is time for one. The first call starts the clock, and writes nothing.

        Args:
            done: how much is done.
            total: how much there is in all; None if that is not known.
        """
        now = self._clock()
        if self._done is None or done < self._done:
            self._first, self._start, self._shown = done, now, now
        elif self._is_time(now) or (done == total and not self._is_soon_over(now)):
            self._shown = now
            self._write(self._text(done, total, now - self._start), done, total)
        self._done = done
        if done == total:
            self.end()

    def _is_time(self, now: float) -> bool:
        return now - self._shown >= self._pause

    def _is_soon_over(self, now: float) -> bool:
        return self._brief and not self._terminal and now - self._start < self._pause

    def end(self) -> None:
        """Ends the line of a terminal, so that other text begins on a line of its own."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _write(self, text: str, done: int, total: int | None) -> None:
        if not self._terminal:
            self._stream.write(f"{text}\n")
            self._stream.flush()
            return
        if self._bar is None:
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("", total=total, text=text)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total, text=text)
        self._bar.refresh()

    def _text(self, done: int, total: int | None, seconds: float) -> str:
        rate = (done - self._first) / max(seconds, 1e-9)
        shown = f"{done / self._scale:.0f}"
        speed = f"{rate / self._scale:.3g}{'' if self._scale == 1 else f' {self._unit}'}/s"
        if total is None:
            return self._noted(f"{shown} {self._unit}, {speed}")
        left = datetime.timedelta(seconds=round((total - done) / rate)) if rate else "unknown time"
        return self._noted(f"{shown}/{total / self._scale:.0f} {self._unit}, {speed}, {left} left")

    def _noted(self, text: str) -> str:
        return f"{text}, {self.note}" if self.note else text


def _bar(stream: TextIO) -> Any:
    """A bar of rich, which comes with Keras. It is drawn when it is told to, and leaves stdout and stderr alone."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = BarColumn(_BAR_WIDTH), TextColumn("{task.fields[text]}", markup=False)
    console = Console(file=stream, force_terminal=True, highlight=False)
    return Bar(*columns, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)


def _ignore(done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""
