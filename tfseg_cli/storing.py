"""Runs a command with a Keras that only holds weights; a command that needs more starts again with the whole one."""

import os
import subprocess
import sys
from collections.abc import Callable

from tfseg_cli.quiet import ended_by_ctrl_c, held_back

_SCRIPT = "import sys; sys.path[:] = {path!r}; sys.argv[0] = {program!r}; from {module} import main; main()"


def storing_or_computing(command: Callable[[], int], module: str) -> int:
    """What a command returns; it is run without TensorFlow, if it needs nothing computed.

    Otherwise this process becomes a fresh one of the same command line, with TensorFlow. Nothing is written by then.

    Args:
        command: what the command does once Keras is loaded.
        module: module of the command, whose `main` runs it.
    """
    from converters import storing_keras

    try:
        with held_back(), ended_by_ctrl_c():
            storing_keras.load()
        return command()
    except storing_keras.ComputingNeeded:
        return _started_again(module)
    except ImportError as error:
        if error.name != "tensorflow":
            raise
        return _started_again(module)


def _started_again(module: str) -> int:
    """The exit code of the same command line under TensorFlow; where the system can, this process becomes that one."""
    script = _SCRIPT.format(path=sys.path, program=sys.argv[0], module=module)
    words = [sys.executable, "-c", script, *sys.argv[1:]]
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # where the shell would not wait
        return subprocess.call(words)
    os.execv(sys.executable, words)
