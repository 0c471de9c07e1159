"""Runs commands as a user does, in processes of their own."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from multiprocessing.context import ForkServerProcess
from typing import NamedTuple

from helpers.paths import ROOT

from tfseg.types import Path

# Forked from a process that has loaded Keras, because loading takes longer than most commands. torch is loaded before
# tensorflow: in the other order it can crash.
_OUTPUTS = ("out", "err")
_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(["torch", "tensorflow", "keras"])
# What the installed script does. A parent that ignores Ctrl-C (a job in the background) must not pass that on.
_SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
sys.argv[0] = "tfseg-{name}"
from {module} import main
main()
"""


class Ended(NamedTuple):
    """How a process ended: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def start(module: str, *arguments: object, before: str = "", cwd: Path = ROOT) -> "subprocess.Popen[str]":
    """Starts a command in a fresh interpreter.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        arguments: words of the command line.
        before: code that runs first.
        cwd: working directory.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _script(module, before), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", timeout: float = 300) -> Ended:
    """How a process from `start` ends. A process that does not end is killed.

    Args:
        process: process from `start`.
        timeout: how long to wait, in seconds.
    """
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return Ended(process.returncode, out, err)


def run(module: str, *arguments: object, before: str = "", cwd: Path = ROOT) -> Ended:
    """`finish(start(...))`, but faster: see `forked`.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        arguments: words of the command line.
        before: code that runs first.
        cwd: working directory.
    """
    return forked(_script(module, before), *arguments, cwd=cwd)


def forked(script: str, *arguments: object, cwd: Path = ROOT, timeout: float = 300) -> Ended:
    """How a script ends in a fork of a process that has loaded Keras.

    Args:
        script: code to run.
        arguments: words of the command line.
        cwd: working directory.
        timeout: how long to wait, in seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = begin(script, *arguments, cwd=cwd, outputs=pathlib.Path(folder))
        process.join(timeout)
        process.kill()
        process.join()
        ended = ending(process, pathlib.Path(folder))
    assert ended.code >= 0, f"stopped by signal {-ended.code}: {ended}"
    return ended


def begin(
    script: str, *arguments: object, cwd: Path, outputs: pathlib.Path, gate: pathlib.Path | None = None
) -> ForkServerProcess:
    """Starts a script in a fork of a process that has loaded Keras.

    Args:
        script: code to run.
        arguments: words of the command line.
        cwd: working directory.
        outputs: directory for what it prints, see `ending`.
        gate: file whose existence the process waits for before it runs the script.
    """
    printed = tuple(str(outputs / name) for name in _OUTPUTS)
    words = ["", *map(str, arguments)]
    process = _WARM.Process(target=_fork, args=(script, words, dict(os.environ), str(cwd), printed, gate))
    process.start()
    return process


def ending(process: ForkServerProcess, outputs: pathlib.Path) -> Ended:
    """How a process that `begin` started has ended; the code of one that a signal ended is below zero.

    Args:
        process: result of `begin`, which has ended.
        outputs: directory that `begin` got.
    """
    assert process.exitcode is not None
    files = [outputs / name for name in _OUTPUTS]  # a process that was killed at once has opened none
    return Ended(process.exitcode, *(file.read_text() if file.exists() else "" for file in files))


def script_of(module: str, before: str = "") -> str:
    """What the installed script of a command does.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        before: code that runs first.
    """
    return _script(module, before)


def _script(module: str, before: str) -> str:
    return _SCRIPT.format(module=module, before=before, name=module.rpartition(".")[2].replace("_", "-"))


def _fork(
    script: str,
    words: list[str],
    environment: dict[str, str],
    cwd: str,
    outputs: tuple[str, ...],
    gate: pathlib.Path | None,
) -> None:
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    while gate and not gate.exists():
        time.sleep(0.01)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = words
    exec(script, {})
