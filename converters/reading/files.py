"""One file on disk: mapped into memory, and recognized when it is not a checkpoint."""

import contextlib
import mmap
import os
import re
import stat
from collections.abc import Iterator
from typing import NoReturn

from converters.errors import ConversionError
from converters.types import Path

KNOWN_FORMATS = (
    "a PyTorch .pth/.pt/.bin file, a .safetensors file, a .caffemodel, a Keras .h5 or .keras file, an .onnx "
    "model, a TensorFlow 1 checkpoint or a NumPy .npz file"
)


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
        raise ConversionError(f"there is no such file. Expected {KNOWN_FORMATS}.") from None
    if stat.S_ISDIR(mode):
        if os.path.exists(os.path.join(path, "saved_model.pb")):
            raise ConversionError(
                "is a TensorFlow SavedModel, a program whose weights have lost the names of their layers. Load it in "
                "the version of Keras that wrote it and save its weights: model.save_weights('name.h5') in Keras 2, "
                "model.save('name.keras') in Keras 3."
            )
        raise ConversionError(f"is a directory. Expected {KNOWN_FORMATS}; give the file inside.")
    if not stat.S_ISREG(mode):
        raise ConversionError(f"is not a regular file. Expected {KNOWN_FORMATS}.")
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ConversionError("the file is empty. The download or copy failed; repeat it.")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except PermissionError:
        raise ConversionError("permission denied. Make the file readable (chmod u+r) or copy it.") from None


_WEB_PAGE = rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)"

# First match wins; each says what the file is and the way out.
_STRANGERS = (
    (
        rb"version https://git-lfs",
        "is a Git LFS pointer, a few lines that stand for the real file. Run `git lfs pull`, or download it directly",
    ),
    (
        _WEB_PAGE,
        "looks like a web page, not a checkpoint: the server sent a page (a login, a quota, an error) in its place. "
        "Open the link in a browser, then download again",
    ),
    (rb"\x89HDF\r\n\x1a\n", "is an HDF5 file, and not one of Caffe's (.caffemodel.h5) or Keras's (.h5)"),
    (rb"\x1f\x8b", "is compressed with gzip. Unpack it (gunzip) and give the file inside"),
    (
        rb"BZh|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!",
        "is a compressed archive. Unpack it and give the file inside",
    ),
    (
        rb"(\s|#[^\n]*\n)*(name|layers?|input|input_dim|input_shape|force_backward|state)\s*[:{]",
        "is a Caffe prototxt, which describes a network and holds no weights. Give the .caffemodel",
    ),
    (
        rb"\x00\x00[\x80-\xff]{0,4}[\x01-\x7f][\x08\x0a]",
        "begins like a TensorFlow checkpoint and does not end like one: it is truncated. Download it again",
    ),
    (rb"\x93NUMPY", "is a single NumPy array. Save named arrays with numpy.savez(path, **arrays)"),
    (
        rb"(?s).{257}ustar",
        "is a tar archive. If the PyTorch of 2016 wrote it, load it with torch.load and save model.state_dict() "
        "again; otherwise unpack it and give the file inside",
    ),
    (
        rb"\s*[\[{]\s*([\"\[{\]}0-9-]|$)",
        "is JSON text. The index of a sharded checkpoint holds no tensors: give the .safetensors or .bin file it names",
    ),
)


def is_web_page(head: bytes) -> bool:
    """Whether a file begins as HTML or XML does: servers send pages (a login, a quota, an error) in a file's place.

    Args:
        head: first bytes of the file.
    """
    return re.match(_WEB_PAGE, head) is not None


def refuse_stranger(data: memoryview) -> NoReturn:
    """Raises the ConversionError that fits a file of no known format.

    Args:
        data: bytes of the file.
    Raises: ConversionError, always.
    """
    head = bytes(data[:512])
    for pattern, what in _STRANGERS:
        if re.match(pattern, head):
            raise ConversionError(f"{what}. Expected {KNOWN_FORMATS}.")
    if head.strip(b"\0") == b"":
        raise ConversionError("begins with zeros alone: the download or copy was cut short. Download it again.")
    kind = "plain text" if _is_text(head) else "a file of unknown format"
    raise ConversionError(f"is {kind}. Expected {KNOWN_FORMATS}. Received: {len(data)} bytes that begin {head[:24]!r}.")


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")  # ignore: the cut at 512 bytes may split a character
    return len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text)
