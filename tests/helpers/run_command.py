"""Commands as a user runs them, in processes of their own."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple

from helpers.paths import ROOT

# Forked from a process that has loaded Keras: that takes longer than most commands. Behind tensorflow torch can crash.
_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(["torch", "tensorflow", "keras"])
# What the installed script does; a parent that ignores Ctrl-C (a job in the background) must not hand that on.
_SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
sys.argv[0] = "tfseg-{name}"
from {module} import main
main()
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def start(module, *arguments, before="", cwd=ROOT):
    """The `subprocess.Popen` of a command's module in a fresh interpreter, where the code `before` runs first."""
    return subprocess.Popen(
        [sys.executable, "-c", _script(module, before), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, timeout=300):
    """How a process of `start` ends; one that does not is killed."""
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return Ended(process.returncode, out, err)


def run(module, *arguments, before="", cwd=ROOT):
    """`finish(start(...))`, but `forked`."""
    return forked(_script(module, before), *arguments, cwd=cwd)


def forked(script, *arguments, cwd=ROOT, timeout=300):
    """How a script ends in a fork of a process that has loaded Keras."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = pathlib.Path(folder, "out"), pathlib.Path(folder, "err")
        words, environment, outputs = ["", *map(str, arguments)], dict(os.environ), (str(out), str(err))
        process = _WARM.Process(target=_fork, args=(script, words, environment, str(cwd), outputs))
        process.start()
        process.join(timeout)
        process.kill()
        process.join()
        ended = Ended(process.exitcode, out.read_text(), err.read_text())
    assert ended.code >= 0, f"stopped by signal {-ended.code}: {ended}"
    return ended


def _script(module, before):
    return _SCRIPT.format(module=module, before=before, name=module.rpartition(".")[2].replace("_", "-"))


def _fork(script, words, environment, cwd, outputs):
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = words
    exec(script, {})
