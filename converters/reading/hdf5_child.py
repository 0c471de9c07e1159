"""Looks into an HDF5 file with h5py, mostly in a process of its own: its library does not survive every file.

As a program it imports the standard library, NumPy and h5py alone, and limits its own memory and processor time. It
answers requests on its standard input: a line of JSON each, then the answer's length and the answer. It says what the
groups and datasets are, and reads datasets that do not lie in the file as they are used.
"""

import io
import json
import mmap
import re
import sys
from typing import Any

# The attributes that readers ask for: names of layers and weights, versions, a model's configuration, a type.
_ATTRIBUTES = re.compile(r"(layer_names|weight_names)\d*|keras_version|backend|model_config|name|dtype")
_MOST_TEXT = 1 << 26  # bytes of the attributes of a group
_MOST_NODES = 500_000


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


class OpenFile:
    """An open file in HDF5.

    Args:
        data: bytes of the file.
    """

    def __init__(self, data: memoryview) -> None:
        import h5py

        self._file = h5py.File(_Stream(data), "r")
        self._places: dict[int, str] = {}

    def describe(self) -> list[Any]:
        """The groups and datasets, each once, as plain data; the first one is the file's own group.

        A group is `[{name: number of a node, or kind of a link}, attributes]`. A dataset is `[dtype, shape, offset,
        bytes in the file, whether its numbers are elsewhere, attributes]`. The offset is None where its bytes do not
        lie as they are used.
        """
        import h5py

        nodes: list[Any] = []
        numbers: dict[Any, int] = {}
        waiting = [("/", self._file)]

        def number_of(path: str, node: Any) -> int:
            info = h5py.h5o.get_info(node.id)
            key = info.fileno, info.addr
            if key not in numbers:
                numbers[key] = len(numbers)
                waiting.append((path, node))
            return numbers[key]

        number_of("/", waiting.pop()[1])
        while waiting:
            path, node = waiting.pop(0)
            place = len(nodes)
            if place >= _MOST_NODES:
                raise ValueError(f"more than {_MOST_NODES} groups and datasets")
            self._places[place] = path
            if not isinstance(node, h5py.Group):
                nodes.append(_dataset(node) if isinstance(node, h5py.Dataset) else None)
                continue
            links: dict[str, int | str] = {}
            for name in node:
                link = node.get(name, getlink=True)
                is_own = isinstance(link, h5py.HardLink)
                links[name] = number_of(f"{path}{name}/", node[name]) if is_own else type(link).__name__
            nodes.append([links, _attributes(node)])
        return nodes

    def read(self, number: int) -> Any:
        """The bytes of a dataset.

        Args:
            number: number of the dataset in the description.
        """
        import numpy as np

        return np.ascontiguousarray(self._file[self._places[number].rstrip("/")][()]).reshape(-1).view("u1").data


def _dataset(dataset: Any) -> list[Any]:
    import h5py

    elsewhere = bool(dataset.is_virtual or dataset.external)
    dtype = dataset.dtype
    is_number = not dtype.hasobject and dtype.names is None and dtype.subdtype is None
    offset = None
    if not elsewhere and not dataset.chunks and h5py.h5t.py_create(dtype).equal(dataset.id.get_type()):
        offset = dataset.id.get_offset()
    size = 0 if elsewhere else dataset.id.get_storage_size()
    shape = None if dataset.shape is None else list(dataset.shape)
    return [dtype.str if is_number else f"?{dtype}"[:100], shape, offset, size, elsewhere, _attributes(dataset)]


def _attributes(node: Any) -> dict[str, Any]:
    """A text, a list of texts, or None for something else, by the attribute's name."""
    import numpy as np

    attributes: dict[str, Any] = {}
    left = _MOST_TEXT
    for name in node.attrs:
        if not _ATTRIBUTES.fullmatch(name):
            continue
        value = node.attrs[name]
        left -= value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, str | bytes) else 0
        if left < 0:
            raise ValueError(f"attributes of more than {_MOST_TEXT} bytes")
        is_list = isinstance(value, np.ndarray)
        attributes[name] = [_text(item) for item in np.ravel(value)] if is_list else _text(value)
    return attributes


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value) if isinstance(value, str) else None


def _limit(memory: int, seconds: int) -> None:
    """Limits this process; where the system has no limits, the caller's clock remains."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _answer(content: Any, *, failed: bool = False) -> None:
    """Writes the length of an answer, below zero for an error, and the answer."""
    out = sys.stdout.buffer
    size = memoryview(content).nbytes
    out.write((-size - 1 if failed else size).to_bytes(8, "big", signed=True))
    out.write(content)
    out.flush()


def _serve() -> None:
    """Answers requests until there are no more."""
    opened: OpenFile | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            if "path" in request:
                sys.path[:] = request["modules"] or sys.path
                _limit(request["memory"], request["seconds"])
                with open(request["path"], "rb") as file:
                    whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                opened = OpenFile(whole[request["offset"] : request["offset"] + request["nbytes"]])
                answer: Any = json.dumps(opened.describe()).encode()
            elif opened is not None:
                answer = opened.read(request["read"])
        except Exception as error:  # whatever h5py raises: the caller says what it means
            _answer(f"{type(error).__name__}: {error}"[:300].encode("utf-8", "replace"), failed=True)
        else:
            _answer(answer)


if __name__ == "__main__":
    _serve()
