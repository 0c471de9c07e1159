"""`.keras` files whose weights are written once, straight into the archive.

Keras itself writes the weights to memory or to a file of their own first, and copies them into the archive then.
"""

import contextlib
import io
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import h5py
import keras
import numpy as np

from tfseg.types import Array, Path

_WEIGHTS = "model.weights.h5"
_MARK = b"tfseg: here are the values of variable "
_BLOCK = 1 << 22  # bytes that are read at once for the check sum


def save_keras(
    model: keras.Model, path: Path, *, values: Callable[[keras.Variable], Array] = keras.ops.convert_to_numpy
) -> None:
    """Writes a whole model as `model.save` does. Beside the model it needs memory for its largest variable.

    Keras writes a small archive in which marks stand for the variables of the layers. It is copied, with the values.

    Args:
        model: model to write.
        path: path of the `.keras` file; what is there is replaced.
        values: function that gives the values of a variable as an array.

    Example:
        >>> import tempfile
        >>> from tfseg.exporting.keras_file import save_keras
        >>> model = tfseg.ResNet(18, width=1 / 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_keras(model, f"{folder}/model.keras")
        ...     again = keras.saving.load_model(f"{folder}/model.keras")
        >>> bool((again.weights[0].numpy() == model.weights[0].numpy()).all())
        True
    """
    variables: list[keras.Variable] = []
    with tempfile.TemporaryDirectory() as folder:
        marked = pathlib.Path(folder) / "marked.keras"
        with _marks(model, variables):
            model.save(marked)
        with zipfile.ZipFile(marked) as source, zipfile.ZipFile(path, "w") as target:
            for member in source.infolist():
                if member.filename != _WEIGHTS:
                    target.writestr(member, source.read(member))
                    continue
                with (
                    h5py.File(io.BytesIO(source.read(member)), "r") as groups,
                    _member(target, _WEIGHTS) as file,
                    h5py.File(file, "w") as filled,
                ):
                    _copy(groups, filled, lambda number: values(variables[number]))


@contextlib.contextmanager
def _marks(model: keras.Model, variables: list[keras.Variable]) -> Iterator[None]:
    """Inside, Keras saves a mark in the place of each layer's variable, which is added to the list."""

    def save_own(store: dict[str, Any], saved: Callable[[dict[str, Any]], None]) -> None:
        contents: dict[str, Any] = {}
        saved(contents)
        for key, value in contents.items():
            if isinstance(value, keras.Variable):
                store[key] = np.frombuffer(_MARK + str(len(variables)).encode(), "uint8")
                variables.append(value)
            else:
                store[key] = value

    layers = list(model.layers)
    try:
        for layer in layers:
            saved = layer.save_own_variables
            vars(layer)["save_own_variables"] = lambda store, saved=saved: save_own(store, saved)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("save_own_variables", None)


def _copy(source: h5py.Group, target: h5py.Group, values: Callable[[int], Array]) -> None:
    """Copies a group with its attributes; a dataset that is a mark becomes the variable's."""
    for key, value in source.attrs.items():
        target.attrs[key] = value
    for key, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(key), values)
            continue
        content = item[()]
        text = content.tobytes() if content.dtype == "uint8" else b""
        if not text.startswith(_MARK):
            source.copy(item, target, key)
            continue
        array = values(int(text.removeprefix(_MARK)))
        dataset = target.create_dataset(key, data=array)
        if array.dtype.name == "bfloat16":  # which HDF5 does not know: Keras reads this attribute
            dataset.attrs["dtype"] = "bfloat16"


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator["_Window"]:
    """A file inside an archive that can be written in any order, uncompressed."""
    stream = archive.fp
    assert stream is not None
    info = zipfile.ZipInfo(name)
    stream.seek(archive.start_dir)
    info.header_offset = stream.tell()
    info.CRC = info.compress_size = info.file_size = 0
    stream.write(info.FileHeader(zip64=True))
    window = _Window(stream, stream.tell())
    yield window
    stream.seek(0, io.SEEK_END)
    end = stream.tell()
    info.file_size = info.compress_size = end - window.begin
    stream.seek(window.begin)
    while block := stream.read(_BLOCK):
        info.CRC = zlib.crc32(block, info.CRC)
    stream.seek(info.header_offset)
    stream.write(info.FileHeader(zip64=True))
    archive.filelist.append(info)
    archive.NameToInfo[name] = info
    archive.start_dir = end
    stream.seek(end)


class _Window(io.RawIOBase):
    """The part of a file from some byte on, as a file."""

    def __init__(self, stream: IO[bytes], begin: int) -> None:
        self._stream = stream
        self.begin = begin

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = self._stream.seek(offset + self.begin if whence == io.SEEK_SET else offset, whence)
        return place - self.begin

    def tell(self) -> int:
        return self._stream.tell() - self.begin

    def readinto(self, buffer: Any) -> int:
        return self._stream.readinto(buffer)  # type: ignore[attr-defined]

    def write(self, data: Any) -> int:
        return self._stream.write(data)

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        self._stream.truncate(size + self.begin)
        return size

    def flush(self) -> None:
        if not self._stream.closed:
            self._stream.flush()
