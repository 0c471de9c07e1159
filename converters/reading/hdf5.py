"""HDF5 files through h5py: nothing outside the file is followed, and numbers in one piece are views of its memory map.

HDF5 lets a file point into others: by external links, by storage that lies elsewhere, by virtual datasets. A file of
weights needs none of that, and one from a stranger could read what is not its own, so all of it is refused.

The format has no checksums by default, and its library, which h5py is, does not survive every damage to its structure:
from a stranger take the `.keras` form rather, whose checksum is compared before anything looks inside.

Reference: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

import contextlib
import io
import math

import numpy as np

from converters.errors import ConversionError
from converters.reading.tensors import Block, Tensor, Unreadable

MAGIC = b"\x89HDF\r\n\x1a\n"
_DENSEST = 1100  # bytes that one compressed byte may stand for: DEFLATE ends at 1032


@contextlib.contextmanager
def damaged():
    """What h5py raises of a file that is broken, as a ConversionError."""
    try:
        yield
    except ConversionError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ConversionError(
            f"is an HDF5 file that cannot be opened ({str(error)[:200]}); it is truncated or damaged. Download it "
            "again."
        ) from error


def open_file(data):
    """The h5py.File of these bytes. It and all in it stay readable as long as somebody holds them."""
    import h5py

    return h5py.File(_Stream(data), "r")


def child(group, path):
    """The group or dataset under a path such as `a/b`, or None. Only what the file itself holds is found.

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


def tensor(dataset, data):
    """The numbers of a dataset, unread; `data` are the bytes of the file that it lies in."""
    name, dtype = dataset.name, dataset.dtype
    if dataset.is_virtual or dataset.external:
        return Unreadable(f"{name} keeps its numbers in other files, which are not followed. Save the model again.")
    if _text(dataset.attrs.get("dtype")) == "bfloat16" and dtype == "V2":  # as Keras writes it
        import ml_dtypes

        stored, dtype = dtype, np.dtype(ml_dtypes.bfloat16)
    else:
        stored = dtype
    if dataset.shape is None or (dtype.kind not in "fiub" and stored.kind != "V") or dtype.hasobject:
        return Unreadable(f"{name} holds {dtype}, which is no array of numbers. Save the model again.")
    size = math.prod(dataset.shape) * stored.itemsize
    held = dataset.id.get_storage_size()
    if size > held * _DENSEST:
        return Unreadable(
            f"{name} should hold {size} bytes. Received: {held} bytes in the file, which is incomplete or hostile."
        )
    at = _offset(dataset, stored)
    block = Block(size, lambda: _read(dataset)) if at is None else Block.of(data[at : at + size])
    byteorder = "big" if dtype.byteorder == ">" else "little"
    return Tensor(block, dtype.newbyteorder("="), dataset.shape, byteorder=byteorder)


def names(group, attribute):
    """The list of names in an attribute, which Keras splits into `attribute0`, `attribute1`, ... where it is long.

    None if the group has no such attribute.
    """
    pieces = [attribute] if attribute in group.attrs else []
    while not pieces or pieces[-1] != attribute:
        following = f"{attribute}{len(pieces)}"
        if following not in group.attrs:
            break
        pieces.append(following)
    values = [np.ravel(group.attrs[piece]) for piece in pieces]
    found = [_text(value) for array in values for value in array]
    if None in found:
        raise ConversionError(f"the attribute {attribute} of {group.name} is no list of names; the file is damaged.")
    return found if pieces else None


def text(group, attribute):
    """An attribute that is a text, or None."""
    return _text(group.attrs[attribute]) if attribute in group.attrs else None


def _text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


def _offset(dataset, dtype):
    """Where in the file the numbers lie as NumPy wants them, in one piece; or None."""
    import h5py

    if dataset.chunks or not h5py.h5t.py_create(dtype).equal(dataset.id.get_type()):
        return None
    return dataset.id.get_offset()


def _read(dataset):
    with damaged():
        return np.ascontiguousarray(dataset[()]).reshape(-1).view("u1").data


class _Stream(io.RawIOBase):
    """Bytes in memory as a file, without a copy of them."""

    def __init__(self, data):
        self._data, self._at = memoryview(data).cast("B"), 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buffer):
        piece = self._data[self._at : self._at + len(buffer)]
        memoryview(buffer).cast("B")[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
