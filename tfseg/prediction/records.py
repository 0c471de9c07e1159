"""The record of a directory of results: from which image, by which model and with which settings each was made.

It has a file for each share of the images, lines of JSON. A first line names the model and the settings of a run. After
it, `[name]` says that a result is about to be written, and `[name, image, content]` that it is written. So a result of
a run that was killed between the two is known to be uncertain.
"""

import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from tfseg.prediction.fingerprint import ImageMark, content_mark
from tfseg.writing import atomic

_as_json = json.encoder.encode_basestring_ascii
PREFIX = ".tfseg-results"  # how the names of the files begin; a directory that holds one has results, not images


class Origin(NamedTuple):
    """What a result was made from.

    Attributes:
        image: mark of the image.
        model: mark of the model.
        settings: name of each setting that changes results -> its value.
    """

    image: ImageMark
    model: str
    settings: Mapping[str, Any]


class Record(NamedTuple):
    """What is known of a result.

    Attributes:
        run: number of the run that wrote it.
        origin: what it was made from.
        content: hash of the file that was written.
        finished: False if a later run was about to replace it; whether it did is unknown.
    """

    run: int
    origin: Origin
    content: str
    finished: bool = True


class Records:
    """The records of a directory of results, as they were when it was opened.

    Args:
        directory: directory of the results; it need not exist.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.started: dict[str, int] = {}  # results that a run was about to write -> the run
        self.written: dict[str, Record] = {}
        self._last_run = 0
        for path in sorted(directory.glob(f"{PREFIX}*.jsonl")):
            self._read(path)

    def __getitem__(self, result: pathlib.Path) -> Record | None:
        """What is known of a result; None if nothing is, or if its first writing was not finished.

        Args:
            result: path of a file in the directory.
        """
        name = self._name(result)
        record = self.written.get(name)
        return record and record._replace(finished=self.started.get(name, 0) <= record.run)

    def was_started(self, result: pathlib.Path) -> bool:
        """Whether some run was about to write this result.

        Args:
            result: path of a file in the directory.
        """
        return self._name(result) in self.started

    def begin(self, share: str, results: Iterable[str], model: str, settings: Mapping[str, Any]) -> "Journal":
        """Writes down that a run is about to write results, and returns the journal of what it has written.

        Args:
            share: name of the run's share of the images; empty for all of them.
            results: paths of the files that the run will write, relative to the directory.
            model: mark of the model.
            settings: settings that change results.
        Raises:
            OSError: the record cannot be written.
        """
        path, run = self.directory / f"{PREFIX}{share}.jsonl", self._last_run + 1
        former = Records(self.directory)  # only what this file says is written into it again
        former.started, former.written = {}, {}
        if path.exists():
            former._read(path)
        with atomic(path, overwrite=True) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
            former._write(file)
            _write_line(file, {"run": run, "model": model, "settings": settings})
            file.writelines(f"[{_as_json(name.replace(os.sep, '/'))}]\n" for name in results)  # perhaps millions
        return Journal(self, path)

    def _name(self, result: pathlib.Path) -> str:
        return result.relative_to(self.directory).as_posix()

    def _read(self, path: pathlib.Path) -> None:
        head: dict[str, Any] = {}
        for line in _lines(path):
            if isinstance(line, dict):
                head = line
                self._last_run = max(self._last_run, head["run"])
            elif len(line) == 1:
                self.started[line[0]] = max(head["run"], self.started.get(line[0], 0))
            elif line[0] not in self.written or self.written[line[0]].run <= head["run"]:
                origin = Origin(ImageMark(*line[1]), head["model"], head["settings"])
                self.written[line[0]] = Record(head["run"], origin, line[2])

    def _write(self, file: TextIO) -> None:
        """Writes the lines that say what is known, run by run."""
        heads = {record.run: record.origin for record in self.written.values()}
        names: dict[int, list[list[Any]]] = {run: [] for run in {*heads, *self.started.values()}}
        for name, run in self.started.items():
            if name not in self.written or self.written[name].run < run:
                names[run].append([name])
        for name, record in self.written.items():
            names[record.run].append([name, record.origin.image, record.content])
        for run in sorted(names):
            _, model, settings = heads.get(run, (None, "", {}))
            _write_line(file, {"run": run, "model": model, "settings": settings})
            for line in names[run]:
                _write_line(file, line)


class Journal:
    """The open record of one run.

    Args:
        records: records of the directory.
        path: file of this run's share.
    """

    def __init__(self, records: Records, path: pathlib.Path) -> None:
        self._records, self._file = records, open(path, "a", encoding="utf-8")  # noqa: SIM115

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, result: pathlib.Path, image: ImageMark) -> None:
        """Writes down that a result is written.

        Args:
            result: path of the file.
            image: mark of the image from which it was made.
        Raises:
            OSError: the result cannot be read, or the record cannot be written.
        """
        _write_line(self._file, [self._records._name(result), image, content_mark(result)])
        self._file.flush()


def _write_line(file: TextIO, line: Any) -> None:
    file.write(json.dumps(line, ensure_ascii=True) + "\n")


def _lines(path: pathlib.Path) -> Iterator[Any]:
    """The lines of a record that are whole and known: a killed process may leave a part of one."""
    has_head = False
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"run", "model", "settings"} <= line.keys() and isinstance(line["run"], int):
            has_head = True
            yield line
        elif has_head and isinstance(line, list) and _is_result(line):
            yield line


def _is_result(line: list[Any]) -> bool:
    names = line and isinstance(line[0], str)
    return bool(names) and (len(line) == 1 or (len(line) == 3 and isinstance(line[1], list) and len(line[1]) == 3))
