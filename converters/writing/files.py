"""`tfseg.writing` with the error of this package."""

import contextlib
import pathlib
from collections.abc import Iterator

from converters.errors import ConversionError
from converters.types import Path
from tfseg import writing


@contextlib.contextmanager
def atomic(path: Path, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """A path for the `with` block to write; see `tfseg.writing.atomic`.

    Args:
        path: where the result goes.
        overwrite: whether a file or a directory at `path` is replaced.
    Raises:
        ConversionError: `path` must not be replaced, its directory is missing, or the system refuses to write.
    """
    with conversion_errors(path), writing.atomic(path, overwrite) as partial:
        yield partial


def check_target(path: Path, overwrite: bool = False) -> None:
    """Refuses, before any work is done, a path that cannot be written or must not be replaced.

    Args:
        path: where a file or a directory will go.
        overwrite: whether something at `path` may be replaced.
    Raises:
        ConversionError: as `tfseg.writing.check_target`.
    """
    with conversion_errors(path):
        writing.check_target(path, overwrite)


@contextlib.contextmanager
def conversion_errors(path: Path) -> Iterator[None]:
    """Turns what goes wrong while `path` is written into a `ConversionError`.

    Args:
        path: the target, which the message names.
    """
    try:
        yield
    except writing.WritingError as error:
        raise ConversionError(str(error)) from error
    except OSError as error:
        raise ConversionError(
            f"{path}: cannot be written. Received: {error.strerror or error}. What was there before is unchanged."
        ) from error
