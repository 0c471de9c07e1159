"""Writing files that are there whole or not at all, and safetensors among them."""

import contextlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converters.errors import ConversionError
from converters.reading.safetensors import DTYPES, MAX_HEADER

_CODES = {name: code for code, name in DTYPES.items()}


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


def write_safetensors(path, arrays: Mapping, metadata: Mapping[str, str] | None = None, *, overwrite=False):
    """Write arrays to a safetensors file, one at a time.

    `arrays[key]` is asked twice, first for its shape and type, then for its elements, so that a mapping that computes
    or reads its arrays never has two of them in memory.

    Args:
        path: the file, written whole or not at all (see `atomic`).
        arrays: {key: array or what NumPy makes one of}. The file lists the keys in this order.
        metadata: texts to keep in the file's header.
        overwrite: whether a file at `path` is replaced.
    Raises: ConversionError for an element type that the format does not know, and as `atomic`.
    """
    header, order = _header(path, arrays, metadata)
    with atomic(path, overwrite) as partial, open(partial, "wb") as file:
        file.write(header)
        for key, dtype, shape in order:
            array = np.asarray(arrays[key])
            if (array.dtype.name, array.shape) != (dtype, shape):
                raise ConversionError(
                    f"{path}: {key!r} changed while it was written. Expected {dtype} {shape}. "
                    f"Received: {array.dtype.name} {array.shape}."
                )
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            file.write(little.reshape(-1).view(np.uint8).data)


def _header(path, arrays, metadata):
    entries = {}
    for key in arrays:
        array = np.asarray(arrays[key])
        if not isinstance(key, str) or key == "__metadata__":
            raise ConversionError(f"{path}: expected names of tensors as keys. Received: {key!r}.")
        if array.dtype.name not in _CODES:
            raise ConversionError(
                f"{path}: {key!r} has an element type that safetensors does not know. Expected one of "
                f"{', '.join(_CODES)}. Received: {array.dtype}."
            )
        entries[key] = (array.dtype.name, array.shape, array.dtype.itemsize)
    # Wide elements first keeps every tensor aligned to its element, for readers that map the file.
    order = sorted(entries, key=lambda key: -entries[key][2])
    ends, end = {}, 0
    for key in order:
        _, shape, itemsize = entries[key]
        ends[key] = end = end + math.prod(shape) * itemsize
    header = {} if metadata is None else {"__metadata__": _texts(path, metadata)}
    for key, (dtype, shape, itemsize) in entries.items():
        begin = ends[key] - math.prod(shape) * itemsize
        header[key] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [begin, ends[key]]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins aligned
    if len(text) > MAX_HEADER:
        raise ConversionError(f"{path}: expected a header of at most {MAX_HEADER} bytes. Received: {len(text)} bytes.")
    return len(text).to_bytes(8, "little") + text, [(key, *entries[key][:2]) for key in order]


def _texts(path, metadata):
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ConversionError(f"{path}: expected metadata of texts. Received: {key!r}: {value!r}.")
    return dict(metadata)


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
