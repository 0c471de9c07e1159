"""The folder of a run: its configuration, its log, its best state and its last state.

All of them belong to one step after a kill at any moment. The last state is written first, in one file that holds the
log, too. What a kill prevented after it is made up for when the run is resumed.
"""

import contextlib
import csv
import dataclasses
import errno
import importlib.util
import io
import json
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from tfseg.training.averages import averaged
from tfseg.training.configurations import differences
from tfseg.training.curves import draw_curves
from tfseg.training.locks import locked
from tfseg.training.states import load_state
from tfseg.types import Path
from tfseg.writing import atomic

Row = dict[str, float]

_STEP_FILE = "run.json"  # an entry beside Keras's own entries in a .keras file


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is; it is stored in the last state.

    Attributes:
        step: number of steps so far.
        rows: the log so far.
        best_step: step of the best state; None if there is none.
        losses: losses of the steps since the last row.
    """

    step: int = 0
    rows: Sequence[Row] = ()
    best_step: int | None = None
    losses: Sequence[float] = ()


class RunFolder:
    """A folder with `config.json`, `log.csv`, `curves.png`, `best.keras` and `last.keras`.

    TensorBoard, if it is installed, can read the folder too.

    A configuration alone, without a state or a log, is no run: the next one replaces it.

    Args:
        path: path of the folder; `created` creates it.
        writes: whether this process writes; the other processes only read.
    Raises:
        ValueError: a folder with other files.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self.writes = pathlib.Path(path), writes
        self._summary_writer: Any = None
        self._config: dict[str, Any] = {}
        self._existing: dict[str, Any] = {}
        if self._config_file.exists():
            if self.last.exists() or self._log.exists():
                self._existing = self._read_config()
        elif self.path.exists() and any(self.path.iterdir()):
            raise ValueError(
                f"{self.path} holds files and is no run, because it has no config.json: name an empty or a new folder."
            )

    def configure(self, config: Mapping[str, Any]) -> None:
        """Takes the configuration of a training, and refuses one that is not that of the run in this folder.

        Args:
            config: everything that decides the result of the training, as plain values.
        Raises:
            ValueError: another configuration; the message names what differs.
        """
        if differing := differences(self._existing, config):
            raise ValueError(
                f"{self.path} is a run of another configuration: {differing}. Resume it with its configuration "
                "(see config.json), or name another folder."
            )
        # What only an older call told is kept: the model or the validation of a run that is resumed without one.
        kept = {key: value for key, value in config.items() if value is not None or key not in self._existing}
        self._config = {**self._existing, **kept}

    def _read_config(self) -> dict[str, Any]:
        try:
            config = json.loads(self._config_file.read_text())
        except ValueError:
            config = None
        if not isinstance(config, dict):
            raise ValueError(
                f"{self._config_file} is damaged: expected the JSON that a run writes. To go on from the run's state, "
                f"train in a new folder from {self.last} (--weights=)."
            )
        return config

    @property
    def planned_steps(self) -> int | None:
        """The number of steps of the run in this folder, if there is one."""
        return self._existing.get("steps")

    @property
    def planned_epochs(self) -> int | None:
        """The number of epochs of the run in this folder; None if there is none, or a version did not write it."""
        return self._existing.get("epochs")

    @contextlib.contextmanager
    def created(self) -> Iterator[None]:
        """Creates the folder with its configuration; if there is no state at the end, both are removed again.

        Raises:
            ValueError: another process trains in the folder.
        """
        if not self.writes:
            yield
            return
        new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            with atomic(self._config_file, overwrite=True) as partial:
                partial.write_text(json.dumps(self._config, indent=1))
            try:
                yield
            finally:
                self._leave(new)

    def _leave(self, new: bool) -> None:
        """Removes the configuration of a run without a state, and the folder, if it is new and empty."""
        if not self.last.exists() and not self._log.exists():
            self._config_file.unlink(missing_ok=True)
            if new and not any(self.path.iterdir()):
                self.path.rmdir()

    @property
    def rows(self) -> list[Row]:
        """The log so far: a dictionary of numbers for each epoch."""
        if not self._log.exists():
            return []
        with open(self._log, newline="") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]

    def _write_log(self, rows: Sequence[Row]) -> None:
        """Writes the log and the curves, if the log is not what it should be."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.9g}" for key, value in row.items()} for row in rows)
        if not rows or (self._log.exists() and self._log.read_text() == text.getvalue()):
            return
        # The curves first: where the log is right, so are they.
        draw_curves(rows, self.path / "curves.png", title=self.path.resolve().name)
        with atomic(self._log, overwrite=True) as partial:
            partial.write_text(text.getvalue())

    def _write_summary(self, row: Row) -> None:
        import tensorflow as tf

        self._summary_writer = self._summary_writer or tf.summary.create_file_writer(str(self.path))
        with self._summary_writer.as_default(step=int(row["step"])):
            for name in row.keys() - {"epoch", "step", "seconds"}:
                tf.summary.scalar(name, row[name])
        self._summary_writer.flush()

    def restore(self) -> tuple[keras.Model | None, Progress]:
        """The last state, with its optimizer, and how far it is; `(None, Progress())` if no state was saved.

        Best state, log and curves become those of the last state, if a kill left older ones.
        """
        if not self.last.exists():
            return None, Progress()
        try:
            with zipfile.ZipFile(self.last) as archive:
                stored = json.loads(archive.read(_STEP_FILE))
            best_step = _step_of(self.best)  # before any process can change it: the state is read by all together
            model = load_state(self.last, self._existing.get("recipe", {}).get("frozen", ()))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # Keras unpacks it before it reads
                raise OSError(
                    f"{self.last} could not be unpacked to {tempfile.gettempdir()} ({error}). The state is whole: free "
                    "some space there, or name another directory (TMPDIR), and start the same command again."
                ) from error
            raise OSError(f"{self.last} could not be read: {error}") from error
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            ways = f"to begin again, remove {self.path}"
            if (step := _step_of(self.best)) is not None:
                ways += f"; to go on from the state of step {step}, train in a new folder from {self.best} (--weights=)"
            raise ValueError(f"{self.last} is damaged, or no state of a run ({error}): {ways}.") from error
        if "rows" not in stored:  # written by an older version
            rows = [row for row in self.rows if row["step"] <= stored["step"]]
            scored = [row for row in rows if "mean_iou" in row]
            best = max(scored, key=lambda row: row["mean_iou"])["step"] if scored else None
            stored |= {"rows": rows, "best_step": None if best is None else int(best)}
        progress = Progress(**stored)
        self._catch_up(model, progress, best_step)
        return model, progress

    def save(self, model: keras.Model, progress: Progress) -> None:
        """Saves the last state, and then what belongs to it: the best state, if that is this one, log and curves.

        The file holds the step too: an optimizer does not count the steps that it skips for an overflow in float16.

        Args:
            model: the compiled model.
            progress: how far the run is.
        Raises:
            OSError: the state cannot be written; the states saved before still exist.
        """
        try:
            self._save_state(model, progress, self.last)
            self._catch_up(model, progress, None)
        except Exception as error:  # on a full disk, Keras, zipfile, HDF5 and TensorFlow raise exceptions of many types
            if isinstance(error, ValueError | TypeError):
                raise
            raise OSError(
                f"{self.path} could not be written to ({error}). What was saved before still exists: free some space, "
                "and start the same command again to continue from there."
            ) from error
        if self.writes and progress.rows and progress.rows[-1]["step"] == progress.step and _can_write_summaries():
            self._write_summary(progress.rows[-1])

    def _save_state(self, model: keras.Model, progress: Progress, path: pathlib.Path) -> None:
        if not self.writes:  # several processes train one model: all of them must read it together
            with tempfile.TemporaryDirectory() as directory:
                model.save(pathlib.Path(directory) / "model.keras")
            return
        with atomic(path, overwrite=True) as partial:
            model.save(partial)
            with zipfile.ZipFile(partial, "a") as archive:
                archive.writestr(_STEP_FILE, json.dumps(dataclasses.asdict(progress)))

    def _catch_up(self, model: keras.Model, progress: Progress, best_step: int | None) -> None:
        """Saves what belongs to the last state: the best one, if the one on disk is of another step, and the log."""
        if progress.best_step == progress.step != best_step:
            with averaged(model):
                self._save_state(model, progress, self.best)
        if self.writes:
            self._write_log(progress.rows)

    @property
    def last(self) -> pathlib.Path:
        """Path of the last state."""
        return self.path / "last.keras"

    @property
    def best(self) -> pathlib.Path:
        """Path of the best state."""
        return self.path / "best.keras"

    @property
    def _config_file(self) -> pathlib.Path:
        return self.path / "config.json"

    @property
    def _log(self) -> pathlib.Path:
        return self.path / "log.csv"


def _can_write_summaries() -> bool:
    """Whether TensorFlow is there, and tensorboard, without which it writes none."""
    return all(importlib.util.find_spec(name) for name in ("tensorflow", "tensorboard"))


def _step_of(path: pathlib.Path) -> int | None:
    """The step of a saved state; None if there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return int(json.loads(archive.read(_STEP_FILE))["step"])
    except (OSError, KeyError, zipfile.BadZipFile):
        return None
