"""The folder of a run: what it was begun with, how it went, its best and its last state."""

import csv
import importlib.util
import json
import pathlib
import shutil
import tempfile
import zipfile

import keras

from tfseg.writing import replacing

_STEP = "run.json"  # beside Keras's own in a .keras file


class Run:
    """A folder with `config.json`, `log.csv`, `curves.png`, `best.keras` and `last.keras`.

    Where TensorBoard is installed it can read the folder too.

    Args:
        path: of the folder; made if it is not there.
        config: plain values: all that decides how the training goes.
        writes: whether this process is the one that writes; others read alone.
    Raises:
        ValueError: a folder of another configuration, or one that holds other things.
    """

    def __init__(self, path, config, *, writes=True):
        self.path, self.writes = pathlib.Path(path), writes
        self._events = None
        written = self.path / "config.json"
        if written.exists():
            found = json.loads(written.read_text())
            wanted = json.loads(json.dumps(config))
            if differing := sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key)):
                first = differing[0]
                raise ValueError(
                    f"{self.path} is a run of another configuration: {', '.join(differing)}. Received: "
                    f"{first}={wanted.get(first)!r}, where the run has {found.get(first)!r}. Resume it with its own "
                    "(see config.json), or name another folder."
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise ValueError(f"{self.path} holds files and is no run: name an empty folder, or one that is not there.")
        elif writes:
            self.path.mkdir(parents=True, exist_ok=True)
            with replacing(written) as half:
                half.write_text(json.dumps(config, indent=1))

    @property
    def rows(self):
        """What the log has so far: a dictionary of numbers a validation."""
        if not self._log.exists():
            return []
        with open(self._log, newline="") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]

    def log(self, row):
        """Adds a row; of a step that was logged before a crash, the new one counts."""
        if not self.writes:
            return
        rows = [one for one in self.rows if one["step"] < row["step"]] + [row]
        columns = list(dict.fromkeys(key for one in rows for key in one))
        with replacing(self._log) as half, open(half, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({key: f"{value:.9g}" for key, value in one.items()} for one in rows)
        draw_curves(rows, self.path / "curves.png")
        if importlib.util.find_spec("tensorboard"):  # without it TensorFlow writes no summaries
            self._summarise(row)

    def _summarise(self, row):
        import tensorflow as tf

        self._events = self._events or tf.summary.create_file_writer(str(self.path))
        with self._events.as_default(step=int(row["step"])):
            for name in row.keys() - {"epoch", "step", "seconds"}:
                tf.summary.scalar(name, row[name])
        self._events.flush()

    def restore(self):
        """The last state, optimizer and all, and its step; `(None, 0)` before the first is saved."""
        if not self.last.exists():
            return None, 0
        with zipfile.ZipFile(self.last) as archive:
            step = json.loads(archive.read(_STEP))["step"]
        return keras.saving.load_model(self.last), step

    def save(self, model, step, *, best=False):
        """Saves the last state, whole or not at all, and as the best one too.

        The step goes into the same file: an optimizer does not count those that it skips for an overflow in float16.

        Raises:
            OSError: it could not be written; the states saved before are still there.
        """
        if not self.writes:  # to read a model that several processes train, all of them must ask
            with tempfile.TemporaryDirectory() as directory:
                model.save(pathlib.Path(directory) / "model.keras")
            return
        try:
            with replacing(self.last) as half:
                model.save(half)
                with zipfile.ZipFile(half, "a") as archive:
                    archive.writestr(_STEP, json.dumps({"step": step}))
            if best:
                with replacing(self.best) as half:
                    shutil.copyfile(self.last, half)
        except Exception as error:  # on a full disk Keras, zipfile, HDF5 and TensorFlow each raise their own
            if isinstance(error, ValueError | TypeError):
                raise
            raise OSError(
                f"{self.path} could not be written to ({error}). What was saved before is still there: make room, and "
                "start the same command again to go on from it."
            ) from error

    @property
    def last(self):
        return self.path / "last.keras"

    @property
    def best(self):
        return self.path / "best.keras"

    @property
    def _log(self):
        return self.path / "log.csv"


def draw_curves(rows, path):
    """Loss and scores over the steps, as a picture; without matplotlib, none."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key in sorted({key for row in rows for key in row} - {"epoch", "step", "seconds", "learning_rate"}):
        shown = [(row["step"], row[key]) for row in rows if key in row]
        (left if key.endswith("loss") else right).plot(*zip(*shown, strict=True), label=key, marker=".")
    for axes, title in ((left, "loss"), (right, "validation")):
        axes.set_xlabel("step")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with replacing(path) as half:
        figure.savefig(half, dpi=120)
