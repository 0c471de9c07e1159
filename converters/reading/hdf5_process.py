"""The child process that looks into an HDF5 file: started, asked and ended here."""

import contextlib
import importlib.util
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from typing import IO, Any

from converters.errors import ConversionError
from converters.reading import limits
from converters.types import Path

_PROGRAM = pathlib.Path(__file__).with_name("hdf5_child.py")
_MEMORY = 1 << 30  # bytes of Python, NumPy and h5py, as the system counts them, and some more
_SECONDS = 10.0  # for the smallest file; a machine may be busy
_SLOWEST = 20e6  # bytes of numbers in a second
_PIECE = 1 << 20
_LONGEST_ERROR = 2000


class ChildProcess:
    """A process that has a file open, and what it says of the file.

    Args:
        data: bytes of the file in HDF5.
        path: file on disk that has these bytes; None where none has.
        offset: where in that file they begin.
    Raises: ConversionError for a file that its library cannot read, or at which it fails or never ends.
    """

    def __init__(self, data: memoryview, path: Path | None, offset: int) -> None:
        budget = limits.current(len(data))
        self._lock = threading.Lock()
        copy: IO[bytes] | None = None
        if path is None:
            copy = tempfile.NamedTemporaryFile(prefix="tfseg-")  # noqa: SIM115  it goes with the process
            copy.write(data)
            copy.flush()
        try:
            self._process = _start()
        except OSError as error:
            raise _failed(f"no child process can be started for it: {error}") from error
        self._close = weakref.finalize(self, _end, self._process, copy)
        seconds = self._seconds(len(data))
        request = {
            "modules": _modules(),
            "memory": _MEMORY + 2 * len(data) + max(budget.left, 0),
            "seconds": int(seconds + max(budget.left, 0) / _SLOWEST) + 1,
            "path": copy.name if copy else os.path.abspath(path or ""),
            "offset": offset,
            "nbytes": len(data),
        }
        answer = self._ask(request, seconds, max(budget.left, 0))
        try:
            self.description: Any = limits.parse_json(bytes(answer))
        except ConversionError:
            raise
        except (ValueError, RecursionError) as error:
            raise _failed("its structure is not understood") from error

    def read(self, number: int, size: int) -> memoryview:
        """The bytes of a dataset.

        Args:
            number: number of the dataset in the description.
            size: how many bytes it has.
        Raises: ConversionError for a dataset that cannot be read.
        """
        with self._lock:
            content = self._ask({"read": number}, self._seconds(size), size)
        if len(content) != size:
            raise _failed(f"{len(content)} bytes instead of {size}")
        return memoryview(content).toreadonly()

    def close(self) -> None:
        """Ends the process."""
        self._close()

    @staticmethod
    def _seconds(nbytes: int) -> float:
        return _SECONDS + nbytes / _SLOWEST

    def _ask(self, request: dict[str, Any], seconds: float, most: int) -> bytearray:
        """The answer to a request, in bounded time and of bounded length."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise _failed("its reader has ended")
        deadline = time.monotonic() + seconds
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
            size = int.from_bytes(self._receive(stdout, 8, deadline), "big", signed=True)
            failed = size < 0
            size = -size - 1 if failed else size
            if size > (_LONGEST_ERROR if failed else most):
                raise _failed(f"an answer of {size} bytes")
            content = self._receive(stdout, size, deadline)
        except OSError as error:
            raise self._ended() from error
        except ConversionError:
            self.close()
            raise
        if failed:
            raise _failed(content.decode("utf-8", "replace"))
        return content

    def _receive(self, stdout: IO[bytes], size: int, deadline: float) -> bytearray:
        content, done = bytearray(size), 0
        view = memoryview(content)
        while done < size:
            _wait(stdout, deadline)
            count = os.readv(stdout.fileno(), [view[done : done + _PIECE]]) if hasattr(os, "readv") else 0
            if not hasattr(os, "readv"):
                piece = os.read(stdout.fileno(), min(_PIECE, size - done))
                count = len(piece)
                view[done : done + count] = piece
            if not count:
                raise self._ended()
            done += count
        return content

    def _ended(self) -> ConversionError:
        self._process.kill()
        return _failed(f"its library ended with code {self._process.wait()}")


def _wait(stdout: IO[bytes], deadline: float) -> None:
    """Waits for bytes until the time is over; Windows cannot wait for pipes."""
    if os.name == "nt":
        return
    if not select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        raise _failed("its library does not come to an end")


def _start() -> subprocess.Popen[bytes]:
    variables = {"OPENBLAS_NUM_THREADS": "1", "HDF5_USE_FILE_LOCKING": "FALSE", "HDF5_PLUGIN_PRELOAD": "::"}
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    return subprocess.Popen(
        # Isolated and without site: no code of the user's or of other packages runs.
        [sys.executable, "-I", "-S", str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=variables | kept,
        bufsize=0,
    )


def _modules() -> list[str]:
    """Where the child imports from: Python's own folders, and those of NumPy and h5py."""
    specs = [importlib.util.find_spec(name) for name in ("numpy", "h5py")]
    folders = [os.path.dirname(os.path.dirname(spec.origin)) for spec in specs if spec and spec.origin]
    standard = [folder for folder in sys.path if folder.startswith((sys.base_prefix, sys.base_exec_prefix))]
    return list(dict.fromkeys([*standard, *folders]))


def _end(process: subprocess.Popen[bytes], copy: IO[bytes] | None) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, copy):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _failed(what: str) -> ConversionError:
    return ConversionError(
        f"is an HDF5 file that cannot be opened ({what[:200]}); it is truncated, damaged or hostile. Download it "
        "again. If you trust its author, read it without limits: trusted=True (--trusted)."
    )
