"""Holds back what libraries print when they start, unless they fail."""

import contextlib
import os
import sys
import tempfile
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
        except BaseException:
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
        with held_back():
            import tfseg  # noqa: F401
