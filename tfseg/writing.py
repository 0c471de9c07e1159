"""Writing files and directories that are there whole or not at all."""

import contextlib
import ctypes
import os
import pathlib
from collections.abc import Iterator

from tfseg import halves
from tfseg.types import Path

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


class WritingError(ValueError):
    """A path where nothing can be written, or where something must not be replaced."""


@contextlib.contextmanager
def atomic(path: Path, overwrite: bool = False, *, sweep: bool = True) -> Iterator[pathlib.Path]:
    """A path beside `path`, where the `with` block writes a file or a directory; it is renamed when the block succeeds.

    When the block fails, Ctrl-C included, nothing of it stays, and what was at `path` is unchanged. What a killed
    process left there is removed by the next one that writes to `path`. After a power cut there is the old or the new
    content.

    Args:
        path: where the result goes. The temporary name has the same suffix, because writers look at it.
        overwrite: whether a file at `path` is replaced by a file, or a directory by a directory. A link is replaced
            itself, not what it points to.
        sweep: whether to look for what killed processes left; whoever writes many files into one directory looks
            once, with `tfseg.halves.sweep`.
    Raises:
        WritingError: as `check_target`.
        OSError: the disk is full, or writing is not allowed. It names `path`, not the temporary file.
    """
    path = pathlib.Path(path)
    if sweep and path.parent.is_dir():
        halves.sweep([path])
    check_target(path, overwrite)
    partial = halves.new_half(path)
    try:
        yield partial
        check_target(path, overwrite)  # another process may have written there in the meantime
        _flush(partial)
        if partial.is_dir() and path.is_dir():
            _replace_directory(partial, path)
        else:
            os.replace(partial, path)
        _flush_directory(path.parent)
    except OSError as error:
        if error.errno and (error.filename is None or partial.name in str(error.filename)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        halves.remove(partial)


def check_target(path: Path, overwrite: bool = False) -> None:
    """Refuses, before any work is done, a path that cannot be written or must not be replaced.

    Args:
        path: where a file or a directory will go.
        overwrite: whether something at `path` may be replaced.
    Raises:
        WritingError: something is at `path` and must not be replaced, its directory is missing, or it has no name.
    """
    path = pathlib.Path(path)
    if path.name in ("", ".."):
        raise WritingError(f"{path}: expected the name of a file to write. Received: a directory.")
    if not path.parent.is_dir():
        raise WritingError(f"{path}: its directory {path.parent} does not exist. Create it first.")
    if not overwrite and os.path.lexists(path):
        raise WritingError(f"{path}: exists already. Give another path, or --overwrite (overwrite=True) to replace it.")


def _replace_directory(partial: pathlib.Path, path: pathlib.Path) -> None:
    """Lets the new directory take the place of the old one, which `partial` is afterwards, or is gone."""
    if _exchange(partial, path):
        return
    # No directory can be renamed over another. If this process ends here, `halves.sweep` puts the old one back.
    aside = halves.new_half(path, "aside")
    os.replace(path, aside)
    try:
        os.replace(partial, path)
    except BaseException:
        os.replace(aside, path)
        raise
    halves.remove(aside)


def _exchange(path: pathlib.Path, other: pathlib.Path) -> bool:
    """Lets two paths exchange what they are in one step; False where the system or the disk cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    # Disks and guards of containers refuse it with errors of many kinds. What is wrong shows in the other way, too.
    return bool(rename(_HERE, os.fsencode(path), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _flush(partial: pathlib.Path) -> None:
    """Writes to the disk before the rename: otherwise a power cut could leave the new name without its content."""
    inside = list(partial.rglob("*")) if partial.is_dir() else []
    for file in [path for path in inside if path.is_file()] or [partial]:
        if file.is_file():
            # A file may be read-only. Only Windows needs the right to write.
            with open(file, "r+b" if os.name == "nt" else "rb") as opened:
                os.fsync(opened.fileno())
    for directory in [path for path in (*inside, partial) if path.is_dir()]:
        _flush_directory(directory)


def _flush_directory(directory: pathlib.Path) -> None:
    """Writes the names in a directory to the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
