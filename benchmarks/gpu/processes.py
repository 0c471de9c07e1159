"""The processes that compute: each with a backend of its own, because Keras has one in a process."""

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]


def environment(backend: str | None, cache: pathlib.Path, memory_share: float = 0.9) -> dict[str, str]:
    """The environment of a process.

    Args:
        backend: the backend of Keras, or None for a process that computes without Keras.
        cache: folder for what JAX and PyTorch have compiled, so that no process compiles it again.
        memory_share: share of the device's memory that JAX may take, where several processes use it together.
    """
    more = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")))),
        "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{memory_share:.2f}",
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and "cpu" not in platforms.split(","):
        more["JAX_PLATFORMS"] = f"{platforms},cpu"  # parity compares with it
    # What builds the public networks imports Keras, whose own choice would be TensorFlow.
    return os.environ | more | {"KERAS_BACKEND": backend or "torch"}


class Child:
    """A process that answers requests.

    Args:
        module: module that it runs, beside this one.
        arguments: words of its command line.
        env: its environment.
        log: file for what it prints.
    """

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str], log: pathlib.Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.gpu.{module}", *arguments],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def send(self, **request: Any) -> None:
        """Sends a request.

        Args:
            request: its entries.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended: the reply will say so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def reply(self, timeout: float) -> dict[str, Any]:
        """The reply to the oldest open request, or an "error" if there is none in time.

        Args:
            timeout: how long to wait, in seconds.
        """
        try:
            line = self._lines.get(timeout=max(0.1, timeout))
        except queue.Empty:
            self.close()
            return {"error": "out of time"}
        if not line:
            self._lines.put("")  # whoever asks again is told the same
            self.close()
            return {"error": f"the process ended with code {self._process.returncode}"}
        reply: dict[str, Any] = json.loads(line)
        return reply

    @property
    def is_alive(self) -> bool:
        """Whether it can answer."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was not sent is lost
                if pipe is not None:
                    pipe.close()


def run_job(module: str, *arguments: str, env: Mapping[str, str], log: pathlib.Path) -> "subprocess.Popen[bytes]":
    """Starts a process that does a piece of work and ends.

    Args:
        module: module that it runs, beside this one.
        arguments: words of its command line.
        env: its environment.
        log: file for what it prints.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        command = [sys.executable, "-m", f"benchmarks.gpu.{module}", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)


def end_jobs(processes: Sequence["subprocess.Popen[bytes]"], seconds: float, grace: float) -> list[int]:
    """Waits for jobs, and returns their exit codes. Those that last too long are interrupted, and later killed.

    Args:
        processes: what `run_job` returned.
        seconds: how long they may last from now on, together.
        grace: how long they may take to end after that.
    """
    for timeout, number in ((seconds, signal.SIGINT), (grace, signal.SIGKILL)):
        end = time.monotonic() + timeout
        while any(process.poll() is None for process in processes) and time.monotonic() < end:
            time.sleep(0.1)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)
    return [process.wait() for process in processes]
