"""One training a folder: a lock that the system takes back when its process ends, however it ends."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows has other locks, and none for a directory
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
    """A context in which this process alone trains in a directory.

    Args:
        directory: a directory that exists.
    Raises:
        ValueError: another process trains there.

    Example:
        >>> from tfseg.training.locks import locked
        >>> pathlib.Path("run").mkdir()
        >>> with locked(pathlib.Path("run")):
        ...     pass
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{directory} is in use: another process trains there. Wait for its end, or name another folder."
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)
