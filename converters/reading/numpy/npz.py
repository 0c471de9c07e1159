"""NumPy .npz files: a zip archive with one .npy file for each array."""

import io
import tokenize
import warnings
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from converters.errors import ConversionError
from converters.reading.pickle.numpy_arrays import numpy_tensor
from converters.reading.tensors import AnyTensor, Block, Unreadable
from converters.reading.zip_archive import Archive, ArchiveMember
from converters.types import Shape

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_HEAD = 65536  # NumPy itself trusts headers of up to 10,000 bytes


def recognizes(names: Sequence[str]) -> bool:
    """Whether these are the members of such an archive."""
    return len(names) > 0 and all(name.endswith(".npy") for name in names)


def load(archive: Archive) -> dict[str, AnyTensor | None]:
    """The tensors by key; texts and dates come as None, to be left out.

    Args:
        archive: the file.
    Raises: ConversionError for a damaged file.
    """
    return {name.removesuffix(".npy"): _entry(name, archive.member(name)) for name in archive.names}


def read_header(file: BinaryIO, subject: str) -> tuple[Shape, bool, np.dtype]:
    """Shape, whether in Fortran's order, and dtype, at the beginning of a .npy file.

    Args:
        file: the open file.
        subject: words for the file in the error message.
    Raises: ConversionError for a file without a header of NumPy's.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # NumPy warns that Python 2 wrote the header
            return _READERS[np.lib.format.read_magic(file)](file)
    except (KeyError, ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise ConversionError(f"{subject} has no NumPy header that can be read; it is damaged.") from error


def _entry(name: str, member: ArchiveMember) -> AnyTensor | None:
    head = io.BytesIO(member.head(_HEAD))
    shape, fortran, dtype = read_header(head, f"its member {name!r}")
    if dtype.hasobject:
        return Unreadable(
            "is a NumPy array of Python objects, which only running code could read. "
            "Save the arrays one by one: numpy.savez(path, **arrays)."
        )
    if dtype.kind == "V":
        return Unreadable(f"holds raw bytes ({dtype}): .npz keeps no bfloat16 and no records. Save it as float32.")
    if dtype.kind not in "biufc":
        return None
    start = head.tell()
    if start > member.nbytes:
        raise ConversionError(f"its member {name!r} is shorter than its header; the file is damaged.")
    return numpy_tensor(Block(member.nbytes - start, lambda: member.data()[start:]), dtype, shape, fortran)
