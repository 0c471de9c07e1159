"""What a training says while it runs: a bar on a terminal, lines in a log file."""

import datetime
import sys
import time
from collections.abc import Callable

import keras
import numpy as np

from tfseg.progress import ProgressLine
from tfseg.training.curves import PER_CLASS
from tfseg.training.runs import Row
from tfseg.training.schedules import last_rate

_SECONDS_BETWEEN_LINES = 60.0  # within an epoch, in a log file


class Report:
    """Tells the steps of an epoch, and its row of the log.

    Args:
        log: function called with one line of text.
        steps: number of steps of the whole training.
        done: number of steps so far.
        progress: True shows a bar on stderr if that is a terminal; elsewhere `log` gets a line once a minute.
        silent: whether nothing is told, as in all processes but the first.
    """

    def __init__(
        self, log: Callable[[str], object], *, steps: int, done: int, progress: bool = True, silent: bool = False
    ) -> None:
        self._log, self._steps, self._silent = log, steps, silent
        self._bar = ProgressLine("steps") if progress and not silent and sys.stderr.isatty() else None
        self.begin(done)

    def begin(self, done: int) -> None:
        """Starts the clock of an epoch.

        Args:
            done: number of steps so far.
        """
        self._since, self._from = time.monotonic(), done
        if self._bar:
            self._bar(done, self._steps)

    def step(self, done: int, losses: list[float], optimizer: keras.optimizers.Optimizer) -> None:
        """Tells a step within an epoch, if it is time to.

        Args:
            done: number of steps so far.
            losses: losses of this epoch so far.
            optimizer: the optimizer that made the step.
        """
        if self._bar:
            self._bar.note = f"loss {np.mean(losses):.4g}, rate {last_rate(optimizer):.3g}"
            self._bar(done, self._steps)
            return
        seconds = time.monotonic() - self._since
        if self._silent or seconds <= _SECONDS_BETWEEN_LINES:
            return
        pace = seconds / (done - self._from)
        left = datetime.timedelta(seconds=round(pace * (self._steps - done)))
        self._log(
            f"step {done} of {self._steps}  loss {np.mean(losses):.5g}  learning_rate {last_rate(optimizer):.5g}  "
            f"{pace:.3g} s per step  {left} left"
        )
        self._since, self._from = time.monotonic(), done

    def say(self, text: str) -> None:
        """One line of text.

        Args:
            text: what to tell.
        """
        if self._bar:
            self._bar.end()
        if not self._silent:
            self._log(text)

    def row(self, row: Row) -> None:
        """The row of an epoch, without the scores of single classes.

        Args:
            row: numbers by name.
        """
        self.say("  ".join(f"{key} {value:.5g}" for key, value in row.items() if not key.startswith(PER_CLASS)))
