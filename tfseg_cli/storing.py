"""Runs a command with a Keras that only holds weights; a command that needs more starts again with the whole one."""

import os
import subprocess
import sys
from collections.abc import Callable

from tfseg_cli.quiet import ended_by_ctrl_c, held_back

_BACKENDS = ("tensorflow", "torch", "jax")  # of Keras; the first that is installed computes
_SCRIPT = "import sys; sys.path[:] = {path!r}; sys.argv[0] = {program!r}; from {module} import main; main()"


def storing_or_computing(command: Callable[[], int], module: str) -> int:
    """What a command returns; it is run without TensorFlow, if it needs nothing computed.

    Otherwise this process becomes a fresh one of the same command line, with TensorFlow, or with another backend of
    Keras where TensorFlow is not installed. Nothing is written by then.

    Args:
        command: what the command does once Keras is loaded.
        module: module of the command, whose `main` runs it.
    Raises:
        ConversionError: the network has to run, and no backend of Keras is installed.
    """
    from converters import storing_keras

    storing = False
    try:
        with held_back(), ended_by_ctrl_c():
            storing = storing_keras.load()
        return command()
    except storing_keras.ComputingNeeded:
        return _started_again(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "tensorflow" or not storing:
            raise  # a fresh process would end in the same way
        return _started_again(module)


def _started_again(module: str) -> int:
    """The exit code of the same command line with a backend; where the system can, this process becomes that one."""
    script = _SCRIPT.format(path=sys.path, program=sys.argv[0], module=module)
    words = [sys.executable, "-c", script, *sys.argv[1:]]
    os.environ["KERAS_BACKEND"] = _backend()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # where the shell would not wait
        return subprocess.call(words)
    os.execv(sys.executable, words)


def _backend() -> str:
    """A backend of Keras that is installed.

    Raises:
        ConversionError: none is.
    """
    from converters.errors import ConversionError

    name = next(filter(_is_installed, _BACKENDS), None)
    if name is None:
        raise ConversionError(
            "The network of this file has to run, for which Keras needs a backend. Received: an installation without "
            f"{', '.join(_BACKENDS)}. Install one: pip install tensorflow."
        )
    return name


def _is_installed(name: str) -> bool:
    """Whether a package can be found, without a look at `sys.modules`, where TensorFlow is barred."""
    try:
        return any(finder.find_spec(name, None) is not None for finder in sys.meta_path)
    except (ImportError, AttributeError):  # a finder that bars the package, or one of an old kind
        return False
