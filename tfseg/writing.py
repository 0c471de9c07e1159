"""Files written whole or not at all."""

import contextlib
import os


@contextlib.contextmanager
def replacing(path):
    """A path beside `path`, of the same ending: its file takes the place if the block ends well, else it vanishes."""
    half = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield half
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
