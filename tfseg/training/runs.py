"""The folder of a run: its configuration, its log, its best state and its last state."""

import contextlib
import csv
import importlib.util
import json
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from tfseg.training.curves import draw_curves
from tfseg.training.recipes import BATCH_NORM_ALIASES
from tfseg.types import Path
from tfseg.writing import atomic

Row = dict[str, float]

_STEP_FILE = "run.json"  # an entry beside Keras's own entries in a .keras file
# Settings that stood beside the recipe in the configurations of version 0.1.
_ONCE_BESIDE_RECIPE = ("class_weights", "clipnorm", "accumulate", "dtype")


class RunFolder:
    """A folder with `config.json`, `log.csv`, `curves.png`, `best.keras` and `last.keras`.

    TensorBoard, if it is installed, can read the folder too.

    A configuration alone, without a state or a log, is no run: the next one replaces it.

    Args:
        path: path of the folder; `created` creates it.
        config: everything that decides the result of the training, as plain values.
        writes: whether this process writes; the other processes only read.
    Raises:
        ValueError: a folder of a run with another configuration, or a folder with other files.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], *, writes: bool = True) -> None:
        self.path, self.writes = pathlib.Path(path), writes
        self._summary_writer: Any = None
        self._config = config
        if self.last.exists() or self._log.exists() or not self._config_file.exists():
            self._check()

    def _check(self) -> None:
        if self._config_file.exists():
            config = self._config
            existing = _settings(json.loads(self._config_file.read_text()))
            wanted = _settings(json.loads(json.dumps(config)))
            if differing := sorted(key for key in {*existing, *wanted} if existing.get(key) != wanted.get(key)):
                first = differing[0]
                raise ValueError(
                    f"{self.path} is a run of another configuration: {', '.join(differing)}. Received: "
                    f"{first}={wanted.get(first)!r}, but the run has {existing.get(first)!r}. Resume it with its "
                    "configuration (see config.json), or name another folder."
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise ValueError(f"{self.path} holds files and is no run: name an empty or a new folder.")

    @contextlib.contextmanager
    def created(self) -> Iterator[None]:
        """Creates the folder with its configuration; if there is no state at the end, both are removed again."""
        if not self.writes:
            yield
            return
        new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic(self._config_file, overwrite=True) as partial:
            partial.write_text(json.dumps(self._config, indent=1))
        try:
            yield
        finally:
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

    def add_row(self, row: Row) -> None:
        """Adds a row to the log; it replaces rows of the same or later steps, logged before a crash.

        Args:
            row: number of each column; it has a "step".
        """
        if not self.writes:
            return
        rows = [*(earlier for earlier in self.rows if earlier["step"] < row["step"]), row]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with atomic(self._log, overwrite=True) as partial, open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({key: f"{value:.9g}" for key, value in row.items()} for row in rows)
        draw_curves(rows, self.path / "curves.png")
        if importlib.util.find_spec("tensorboard"):  # without it TensorFlow writes no summaries
            self._write_summary(row)

    def _write_summary(self, row: Row) -> None:
        import tensorflow as tf

        self._summary_writer = self._summary_writer or tf.summary.create_file_writer(str(self.path))
        with self._summary_writer.as_default(step=int(row["step"])):
            for name in row.keys() - {"epoch", "step", "seconds"}:
                tf.summary.scalar(name, row[name])
        self._summary_writer.flush()

    def restore(self) -> tuple[keras.Model | None, int]:
        """The last state, with its optimizer, and its step; `(None, 0)` if no state was saved."""
        if not self.last.exists():
            return None, 0
        with zipfile.ZipFile(self.last) as archive:
            step = json.loads(archive.read(_STEP_FILE))["step"]
        return keras.saving.load_model(self.last), step

    def save(self, model: keras.Model, step: int, *, best: bool = False) -> None:
        """Saves the last state, and also as the best one if asked to.

        The file holds the step too: an optimizer does not count the steps that it skips for an overflow in float16.

        Args:
            model: the compiled model.
            step: number of steps so far.
            best: whether this is the best state so far.
        Raises:
            OSError: the state cannot be written; the states saved before still exist.
        """
        if not self.writes:  # several processes train one model: all of them must read it together
            with tempfile.TemporaryDirectory() as directory:
                model.save(pathlib.Path(directory) / "model.keras")
            return
        try:
            with atomic(self.last, overwrite=True) as partial:
                model.save(partial)
                with zipfile.ZipFile(partial, "a") as archive:
                    archive.writestr(_STEP_FILE, json.dumps({"step": step}))
            if best:
                with atomic(self.best, overwrite=True) as partial:
                    shutil.copyfile(self.last, partial)
        except Exception as error:  # on a full disk, Keras, zipfile, HDF5 and TensorFlow raise exceptions of many types
            if isinstance(error, ValueError | TypeError):
                raise
            raise OSError(
                f"{self.path} could not be written to ({error}). What was saved before still exists: free some space, "
                "and start the same command again to continue from there."
            ) from error

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


def _settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration as a flat dictionary with keys such as "recipe.batch_size", as this version writes it."""
    settings: dict[str, Any] = {}
    for key, value in config.items():
        if not prefix and key in _ONCE_BESIDE_RECIPE:
            key = f"recipe.{key}"
        if isinstance(value, dict):
            settings |= _settings(value, f"{prefix}{key}.")
        else:
            settings[f"{prefix}{key}"] = BATCH_NORM_ALIASES.get(value, value) if key == "batch_norm" else value
    return settings
