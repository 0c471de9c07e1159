"""Results as JSON lines: each is on disk as soon as it is known, and a rerun leaves out what is there."""

import json
import os
import pathlib
import time
from typing import Any

Record = dict[str, Any]


class Records:
    """A file of records, which several processes may append to.

    Args:
        path: the file; its folder is created.
    """

    def __init__(self, path: str | pathlib.Path) -> None:
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, part: str, **entries: Any) -> Record:
        """Appends a record and returns it.

        Args:
            part: part of the benchmark that it is from.
            entries: what was measured, and what tells it from other records.
        """
        record = {"part": part, **entries, "time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())}
        # A line that a cut left unfinished must not swallow this one.
        line = ("\n" if self._is_torn() else "") + json.dumps(record) + "\n"
        descriptor = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            os.write(descriptor, line.encode())  # in one piece: other processes write here, too
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return record

    def _is_torn(self) -> bool:
        data = self.path.read_bytes()[-1:] if self.path.exists() else b""
        return data not in (b"", b"\n")

    def all(self, part: str, **entries: Any) -> list[Record]:
        """The records of a part with these entries, the oldest first; lines that a cut left unfinished are ignored.

        Args:
            part: part of the benchmark.
            entries: entries that they must have.
        """
        records = []
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            wanted = {"part": part, **entries}
            if isinstance(record, dict) and all(record.get(key) == value for key, value in wanted.items()):
                records.append(record)
        return records

    def last(self, part: str, **entries: Any) -> Record | None:
        """The newest of those records, or None.

        Args:
            part: part of the benchmark.
            entries: entries that it must have.
        """
        return next(reversed(self.all(part, **entries)), None)


class Budget:
    """The seconds that a part may take.

    Args:
        seconds: how many.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left; 0 if none are."""
        return max(0.0, self._end - time.monotonic())
