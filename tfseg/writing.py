"""Writing files and directories that are there whole or not at all."""

import contextlib
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator

from tfseg.types import Path

# What `_beside` calls a result that is not finished.
_UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.partial\.(.+)")


class WritingError(ValueError):
    """A path where nothing can be written, or where something must not be replaced."""


@contextlib.contextmanager
def atomic(path: Path, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """A path beside `path`, where the `with` block writes a file or a directory; it is renamed when the block succeeds.

    When the block fails, Ctrl-C included, nothing of it stays, and what was at `path` is unchanged.

    Args:
        path: where the result goes. The temporary name has the same suffix, because writers look at it.
        overwrite: whether a file at `path` is replaced by a file, or a directory by a directory. A link is replaced
            itself, not what it points to.
    Raises:
        WritingError: as `check_target`.
        OSError: the disk is full, or writing is not allowed. It names `path`, not the temporary file.
    """
    path = pathlib.Path(path)
    check_target(path, overwrite)
    partial = _beside(path)
    try:
        yield partial
        check_target(path, overwrite)  # another process may have written there in the meantime
        _flush(partial)
        if partial.is_dir() and path.is_dir():
            _replace_directory(partial, path)
        else:
            os.replace(partial, path)
    except OSError as error:
        if error.errno and (error.filename is None or partial.name in str(error.filename)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        _remove(partial)


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


def remove_unfinished(paths: Iterable[pathlib.Path]) -> None:
    """Removes the unfinished files and directories that killed processes left beside `paths`.

    Args:
        paths: targets of `atomic` that no process is writing now.
    """
    names = {(path.parent, path.name) for path in paths}
    for directory in {parent for parent, _ in names}:
        for entry in os.scandir(directory):
            match = _UNFINISHED.fullmatch(entry.name)
            if match and (directory, match[1]) in names:
                _remove(pathlib.Path(entry.path))


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{secrets.token_hex(4)}.partial.{path.name}")


def _replace_directory(partial: pathlib.Path, path: pathlib.Path) -> None:
    """Moves the old directory aside, since no directory can be renamed over another; and back if that fails."""
    aside = _beside(path)
    os.replace(path, aside)
    try:
        os.replace(partial, path)
    except BaseException:
        os.replace(aside, path)
        raise
    _remove(aside)


def _flush(partial: pathlib.Path) -> None:
    """Writes to the disk before the rename: otherwise a power cut could leave the new name without its content."""
    files = [file for file in partial.rglob("*") if file.is_file()] if partial.is_dir() else [partial]
    for file in files:
        # A file may be read-only. Only Windows needs the right to write.
        with open(file, "r+b" if os.name == "nt" else "rb") as opened:
            os.fsync(opened.fileno())


def _remove(path: pathlib.Path) -> None:
    # Whatever goes wrong here must not hide what went wrong before.
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
