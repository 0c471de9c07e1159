"""Ends a command at a chosen moment: by a signal, or at the Nth system call of a kind."""

import collections
import functools
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from helpers import run_command

# System calls that change which files there are, or promise that they stay.
NAMES = (
    "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "symlink",
    "fsync", "fdatasync", "ftruncate",
)  # fmt: skip
WRITES = ("write", "pwrite64", "writev", "pwritev")


@functools.cache
def can_trace() -> bool:
    """Whether strace may end processes here."""
    if shutil.which("strace") is None:
        return False
    words = ["strace", "-f", "-o", os.devnull, *_injection("getppid", 1)]
    ended = subprocess.run([*words, sys.executable, "-c", "import os; os.getppid()"], capture_output=True)
    return is_killed(ended.returncode)


def end_at_call(words: list[str], call: str, count: int) -> int:
    """Runs a program until its Nth system call of a kind, and returns its exit code: below 0 or above 128 if killed.

    Args:
        words: the program and its arguments.
        call: name of a system call.
        count: which of them ends the process; 1 is the first.
    """
    traced = ["strace", "-f", "-o", os.devnull, *_injection(call, count), *words]
    return subprocess.run(traced, capture_output=True).returncode


def end_command_at_call(module: str, words: list[str], cwd: pathlib.Path, call: str, count: int) -> run_command.Ended:
    """How a command ends that is killed at its Nth system call of a kind, if it comes so far.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        words: words of the command line.
        cwd: working directory.
        call: name of a system call.
        count: which of them ends the process; 1 is the first.
    """
    return _traced(module, words, cwd, [*_injection(call, count), "-o", os.devnull])


def writes_of_command(module: str, words: list[str], cwd: pathlib.Path, folder: pathlib.Path) -> list[tuple[str, int]]:
    """Runs a command, and returns its system calls that write into files of a folder: name, and number in its thread.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        words: words of the command line.
        cwd: working directory.
        folder: folder that the command writes into.
    """
    calls = set()
    with tempfile.TemporaryDirectory() as logs:
        log = pathlib.Path(logs) / "log"
        ended = _traced(module, words, cwd, ["-y", "-s", "0", "-e", f"trace={','.join(WRITES)}", "-o", str(log)])
        assert ended.code == 0, ended
        counts: collections.Counter[tuple[str, str]] = collections.Counter()
        for thread, call, file in re.findall(r"^(\d+) +(\w+)\(\d+<([^>]*)>", log.read_text(), re.MULTILINE):
            counts[thread, call] += 1
            if pathlib.Path(file).is_relative_to(folder):
                calls.add((call, counts[thread, call]))
    return sorted(calls)


def _traced(module: str, words: list[str], cwd: pathlib.Path, options: list[str]) -> run_command.Ended:
    """How a command ends that strace watches from its first line on."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = pathlib.Path(folder)
        gate = outputs / "gate"
        process = run_command.begin(run_command.script_of(module), *words, cwd=cwd, outputs=outputs, gate=gate)
        traced = ["strace", "-f", *options, "-p", str(process.pid)]
        with subprocess.Popen(traced, stderr=subprocess.DEVNULL) as tracer:
            while "TracerPid:\t0" in pathlib.Path(f"/proc/{process.pid}/status").read_text():
                assert tracer.poll() is None
                time.sleep(0.01)
            gate.touch()
            process.join(600)
            process.kill()
            tracer.wait(60)
        process.join()
        return run_command.ending(process, outputs)


def end_command_after(
    module: str, words: list[str], cwd: pathlib.Path, seconds: float, number: int = signal.SIGKILL
) -> run_command.Ended:
    """How a command ends that gets a signal after some time, if it still runs.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        words: words of the command line.
        cwd: working directory.
        seconds: when the signal comes.
        number: the signal.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = pathlib.Path(folder)
        process = run_command.begin(run_command.script_of(module), *words, cwd=cwd, outputs=outputs)
        process.join(seconds)
        if process.exitcode is None:
            os.kill(process.pid, number)
        process.join(60)
        process.kill()
        process.join()
        return run_command.ending(process, outputs)


def moments(seconds: float, count: int, seed: int = 0) -> Iterator[float]:
    """Random moments within the time that a command takes.

    Args:
        seconds: time that it takes.
        count: number of moments.
        seed: seed of the random numbers.
    """
    chosen = random.Random(seed)
    for _ in range(count):
        yield chosen.uniform(0, 1.05 * seconds)


def is_killed(code: int) -> bool:
    """Whether an exit code is that of a process that SIGKILL ended, or of a tracer that saw it.

    Args:
        code: exit code.
    """
    return code in (-signal.SIGKILL, 128 + signal.SIGKILL)


def _injection(call: str, count: int) -> list[str]:
    # With "?", a call that this machine lacks is no error. strace counts each call, and each thread, by itself.
    return [f"--trace=?{call}", f"--inject=?{call}:signal=KILL:when={count}"]
