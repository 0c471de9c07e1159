"""HDF5 files through h5py: nothing outside the file is followed, and numbers in one piece are views of its memory map.

HDF5 lets a file point into others: by external links, by storage that lies elsewhere, by virtual datasets. A file of
weights needs none of that. A file from a stranger could use it to read what is not its own. So all of it is refused.

The format has no checksums by default, and its library, which h5py wraps, does not survive every damage to its
structure. From a stranger, prefer the `.keras` form: its checksum is compared before anything looks inside.

Reference: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

import contextlib
import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.errors import ConversionError
from converters.reading.tensors import AnyTensor, Block, Tensor, Unreadable

if TYPE_CHECKING:  # imported only for a file in HDF5
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
_DENSEST = 1100  # bytes that one compressed byte may stand for: DEFLATE ends at 1032


@contextlib.contextmanager
def damaged() -> Iterator[None]:
    """Turns what h5py raises for a broken file into a ConversionError.

    Raises: ConversionError saying that the file is truncated or damaged.
    """
    try:
        yield
    except ConversionError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ConversionError(
            f"is an HDF5 file that cannot be opened ({str(error)[:200]}); it is truncated or damaged. Download it "
            "again."
        ) from error


def open_file(data: memoryview) -> "h5py.File":
    """The open file. It and all in it stay readable as long as a reference to them exists.

    Args:
        data: bytes of the file.
    """
    import h5py

    return h5py.File(_Stream(data), "r")


def child(group: "h5py.Group", path: str) -> "h5py.Group | h5py.Dataset | None":
    """The group or dataset under a path, or None. Only what the file itself holds is returned.

    Args:
        group: group where the path begins.
        path: names of groups, and of the group or dataset at the end, such as `a/b`.
    Raises:
        ConversionError: a link of another kind on the way, which could lead out of the file.
    """
    import h5py

    for part in filter(None, path.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ConversionError(
                f"{group.name.rstrip('/')}/{part} is a link to elsewhere ({type(link).__name__}), which is not "
                "followed. Copy what it stands for into the file (h5repack, or load and save the model again)."
            )
        group = group[part]
    return group


def tensor(dataset: "h5py.Dataset", data: memoryview) -> AnyTensor:
    """The numbers of a dataset, unread.

    Args:
        dataset: dataset of an open file.
        data: bytes of that file.
    """
    name, dtype = dataset.name, dataset.dtype
    if dataset.is_virtual or dataset.external:
        return Unreadable(f"{name} keeps its numbers in other files, which are not followed. Save the model again.")
    if _text(dataset.attrs.get("dtype")) == "bfloat16" and dtype == "V2":  # as Keras writes it
        import ml_dtypes

        stored, dtype = dtype, np.dtype(ml_dtypes.bfloat16)
    else:
        stored = dtype
    if dataset.shape is None or (dtype.kind not in "fiub" and stored.kind != "V") or dtype.hasobject:
        return Unreadable(f"{name} holds {dtype}, which is not an array of numbers. Save the model again.")
    size = math.prod(dataset.shape) * stored.itemsize
    held = dataset.id.get_storage_size()
    if size > held * _DENSEST:
        return Unreadable(
            f"{name} should hold {size} bytes. Received: {held} bytes in the file, which is incomplete or hostile."
        )
    offset = _offset(dataset, stored)
    block = Block(size, lambda: _read(dataset)) if offset is None else Block.of(data[offset : offset + size])
    byteorder = "big" if dtype.byteorder == ">" else "little"
    return Tensor(block, dtype.newbyteorder("="), dataset.shape, byteorder=byteorder)


def names(group: "h5py.Group", attribute: str) -> list[str] | None:
    """The names in an attribute, or None if the group has no such attribute.

    Keras splits a long list into `attribute0`, `attribute1`, ...

    Args:
        group: group with the attribute.
        attribute: name of the attribute.
    Raises: ConversionError for an attribute that is not a list of texts.
    """
    pieces = [attribute] if attribute in group.attrs else []
    while not pieces or pieces[-1] != attribute:
        following = f"{attribute}{len(pieces)}"
        if following not in group.attrs:
            break
        pieces.append(following)
    values = [np.ravel(group.attrs[piece]) for piece in pieces]
    texts = [_text(value) for array in values for value in array]
    strings = [text for text in texts if text is not None]
    if len(strings) < len(texts):
        raise ConversionError(f"the attribute {attribute} of {group.name} is not a list of names; the file is damaged.")
    return strings if pieces else None


def text(group: "h5py.Group", attribute: str) -> str | None:
    """The text in an attribute; None for another one, or where it is missing.

    Args:
        group: group with the attribute.
        attribute: name of the attribute.
    """
    return _text(group.attrs[attribute]) if attribute in group.attrs else None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


def _offset(dataset: "h5py.Dataset", dtype: np.dtype) -> int | None:
    """Where in the file the numbers lie, if they lie in one piece and as NumPy uses them."""
    import h5py

    if dataset.chunks or not h5py.h5t.py_create(dtype).equal(dataset.id.get_type()):
        return None
    return dataset.id.get_offset()


def _read(dataset: "h5py.Dataset") -> memoryview:
    with damaged():
        return np.ascontiguousarray(dataset[()]).reshape(-1).view("u1").data


class _Stream(io.RawIOBase):
    """Bytes in memory as a file, without a copy of them."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data.cast("B"), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._position : self._position + len(buffer)]
        memoryview(buffer).cast("B")[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
