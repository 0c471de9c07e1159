"""Keras that holds and writes weights and computes nothing: it loads in a third of the time, without TensorFlow.

A network that a family's table fills is built, filled and written: nothing of it runs. Keras's NumPy backend can do
that. Its own imports of JAX and SciPy, which only compute, are replaced while it loads.
"""

import importlib
import json
import os
import pathlib
import sys
import types
from typing import Any

BACKEND = "KERAS_BACKEND"
# What Keras's NumPy backend imports to compute with.
_STAND_INS = ("jax", "keras._tf_keras", "keras.src.backend.jax", "keras.src.backend.jax.math", "scipy", "scipy.linalg")
# What Keras uses where it is installed: tables and pictures that no conversion makes. Together they load for seconds.
_LEFT_OUT = ("cv2", "IPython", "matplotlib", "pandas", "pydot", "requests")
_loaded = False


class ComputingNeeded(BaseException):
    """Something has to be computed, in a process whose Keras cannot. As with Ctrl-C, no handler of errors stops it."""


def load() -> bool:
    """Imports Keras so that it can hold weights and compute nothing; the process stays so.

    Returns: False if Keras is loaded already, or if the user chose its backend. Nothing is done then.
    Raises:
        ComputingNeeded: Keras cannot be loaded in this way. Another process has to do the work.
    """
    global _loaded
    if "keras" in sys.modules or _is_backend_chosen():
        return _loaded
    before = {name: sys.modules.get(name) for name in (*_STAND_INS, *_LEFT_OUT)}
    parts: dict[str, Any] = {name: _StandIn(name) for name in _STAND_INS}
    sys.modules.update(parts | dict.fromkeys((*_LEFT_OUT, "tensorflow")))
    os.environ[BACKEND] = "numpy"
    try:
        importlib.import_module("keras")
    except Exception as error:
        raise ComputingNeeded(f"this version of Keras needs its backend: {error}") from error
    finally:
        del os.environ[BACKEND]
        for name, module in before.items():  # the rest of the program gets the real ones
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    _loaded = True
    return True


def require_computing() -> None:
    """Ends the work of a process whose Keras only holds weights; does nothing in any other process.

    Raises:
        ComputingNeeded: `load` has loaded Keras here.
    """
    if _loaded:
        raise ComputingNeeded


def _is_backend_chosen() -> bool:
    """Whether the user wants a certain backend of Keras; TensorFlow is what Keras itself writes into its file."""
    if os.environ.get(BACKEND):
        return True
    folder = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    try:
        text = (pathlib.Path(folder) / "keras.json").read_text(encoding="utf-8")
        return bool(json.loads(text).get("backend", "tensorflow") != "tensorflow")
    except (OSError, ValueError, AttributeError):
        return False


class _Absent:
    """A name of a package that is not loaded: it can be looked up, and not be called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "_Absent":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self._name}.{name}")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        raise ComputingNeeded(f"Keras calls {self._name}")


class _StandIn(types.ModuleType):
    """A package that is not loaded: every name can be imported from it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> _Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")
