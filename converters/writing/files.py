"""Writing files that are there whole or not at all."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from converters.errors import ConversionError


@contextlib.contextmanager
def atomic(path, overwrite=False):
    """A path beside `path` for the body to create, a file or a directory; renamed to `path` when the body succeeds.

    When the body fails, Ctrl-C included, nothing of it stays and what was at `path` is as it was.

    Args:
        path: where the result goes. Its suffix is kept on the way, since writers look at it.
        overwrite: whether a file or directory at `path` is replaced.
    Raises: ConversionError when `path` exists and may not be replaced, when its directory is missing, and when the
        system refuses to write (no space left, no permission).
    """
    path = Path(path)
    check_target(path, overwrite)
    partial = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield partial
        check_target(path, overwrite)  # the body may have taken long enough for someone else to write there
        if partial.is_dir():
            _replace_directory(partial, path)
        else:
            _flush(partial)
            os.replace(partial, path)
    except OSError as error:
        raise ConversionError(
            f"{path}: cannot be written. Received: {error.strerror or error}. What was there before is unchanged."
        ) from error
    finally:
        _remove(partial)


def check_target(path, overwrite=False):
    """Refuses a path that cannot be written, or must not be replaced, before any work is done.

    Raises: ConversionError.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise ConversionError(f"{path}: expected the name of a file to write. Received: a directory.")
    if not path.parent.is_dir():
        raise ConversionError(f"{path}: its directory {path.parent} does not exist. Create it first.")
    if not overwrite and os.path.lexists(path):
        raise ConversionError(
            f"{path}: exists already. Give another path, or --overwrite (overwrite=True) to replace it."
        )


def _replace_directory(partial, path):
    """A directory cannot be renamed over another one: the old one steps aside, and back if that fails."""
    if not path.is_dir():
        os.replace(partial, path)
        return
    aside = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    os.replace(path, aside)
    try:
        os.replace(partial, path)
    except BaseException:
        os.replace(aside, path)
        raise
    _remove(aside)


def _flush(partial):
    """To the disk before the rename: otherwise a power cut could leave the new name with no content."""
    with open(partial, "r+b") as file:
        os.fsync(file.fileno())


def _remove(path):
    # Whatever goes wrong here must not hide what went wrong before.
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
