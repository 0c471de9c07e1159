"""Holds back what libraries print when they start, unless they fail."""

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator

VERBOSE = "TFSEG_VERBOSE"


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Inside, what is written to stderr is kept, that of C++ libraries too; an error shows it.

    `TFSEG_VERBOSE=1` shows all of it as it comes.
    """
    if os.environ.get(VERBOSE, "0") not in ("", "0"):
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            kept.seek(0)
            os.write(2, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def load_library() -> None:
    """Imports Keras, its backend and tfseg without their start-up lines."""
    if "tfseg" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with held_back(), ended_by_ctrl_c():
            import tfseg  # noqa: F401


@contextlib.contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Inside, Ctrl-C ends the process at once, with 130 and without words.

    An import that is interrupted would raise another error instead: libraries in C turn KeyboardInterrupt into theirs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
