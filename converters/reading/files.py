"""One file on disk, mapped into memory; and errors that name it."""

import contextlib
import mmap
import os
import stat
from collections.abc import Iterator

from converters.errors import ConversionError
from converters.reading import strangers
from converters.types import Path


@contextlib.contextmanager
def naming(subject: object) -> Iterator[None]:
    """Puts a subject in front of every ConversionError that is raised inside.

    Errors of the operating system, and for lack of memory, become ConversionErrors too.

    Args:
        subject: the file, or a tensor in it, as the message should name it.
    Raises: ConversionError that begins with the subject.
    """
    try:
        yield
    except ConversionError as error:
        raise ConversionError(f"{subject}: {error}") from error.__cause__
    except OSError as error:
        raise ConversionError(f"{subject}: cannot be read. Received: {error.strerror or error}.") from error
    except MemoryError as error:
        raise ConversionError(f"{subject}: needs more memory than there is. The file may be damaged.") from error
    except RecursionError as error:
        raise ConversionError(f"{subject}: is nested too deeply. The file is damaged or hostile.") from error


def map_file(path: Path) -> memoryview:
    """The bytes of a file as a read-only view of its memory map, which stays open as long as the view lives.

    Args:
        path: where the file lies.
    Raises: ConversionError for a missing, empty or forbidden file, a directory, and a pipe or device.
    """
    try:
        # The mode is asked first, since opening a pipe would wait for its writer.
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise ConversionError(f"there is no such file. Expected {strangers.KNOWN_FORMATS}.") from None
    if stat.S_ISDIR(mode):
        strangers.refuse_folder(os.listdir(path))
        raise ConversionError(f"is a directory. Expected {strangers.KNOWN_FORMATS}; give the file inside.")
    if not stat.S_ISREG(mode):
        raise ConversionError(f"is not a regular file. Expected {strangers.KNOWN_FORMATS}.")
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ConversionError("the file is empty. The download or copy failed; repeat it.")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except PermissionError:
        raise ConversionError("permission denied. Make the file readable (chmod u+r) or copy it.") from None
