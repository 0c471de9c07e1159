"""HDF5 files: what is in them is looked up in a child process, and numbers in one piece are views of the memory map.

The format has no checksums by default, and its library, which h5py wraps, does not survive every damage to its
structure: it may crash, or never end. So a file is looked into by a child with limits on memory, processor and time,
see `hdf5_child`. It hands back names, types, shapes and places, and reads what is compressed. `trusted=True` spares the
child.

HDF5 lets a file point into others: by external links, by storage that lies elsewhere, by virtual datasets. A file of
weights needs none of that. A file from a stranger could use it to read what is not its own. So all of it is refused.

Reference: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.reading import hdf5_child, limits
from converters.reading.hdf5_process import ChildProcess
from converters.reading.tensors import MAX_AXES, AnyTensor, Block, Tensor, Unreadable
from converters.types import Path

MAGIC = b"\x89HDF\r\n\x1a\n"
_DENSEST = 1100  # bytes that one compressed byte may stand for: DEFLATE ends at 1032
_VISIT = 200  # bytes charged for a step to a group, so that groups within themselves come to an end

Attributes = Mapping[str, str | list[str | None] | None]
"""Name of an attribute -> its text or texts; None for another kind."""


@dataclasses.dataclass(frozen=True)
class Link:
    """A link to elsewhere: to another file, or by name.

    Attributes:
        kind: name of its class in h5py.
    """

    kind: str


@dataclasses.dataclass(eq=False)
class Group:
    """A group of a file.

    Attributes:
        name: its first path in the file.
        attributes: those that readers ask for.
        entries: what is in it, by name.
    """

    name: str
    attributes: Attributes
    entries: "dict[str, Group | Dataset | Link]" = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset of a file.

    Attributes:
        name: its first path in the file.
        dtype: type of its elements as NumPy writes it; after a question mark, one that is no number.
        shape: sizes of its axes; None for a dataset without any elements.
        offset: where its bytes lie, if they lie as they are used.
        stored: bytes that it takes in the file.
        is_elsewhere: whether its numbers are in other files.
        attributes: those that readers ask for.
        read: function that reads its bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    offset: int | None
    stored: int
    is_elsewhere: bool
    attributes: Attributes
    read: Callable[[], memoryview]


def open_file(data: memoryview, path: Path | None = None, offset: int = 0) -> Group:
    """The file's own group, with all that is in it.

    Args:
        data: bytes of the file in HDF5.
        path: file on disk that has these bytes; None where none has, as for a compressed member of an archive.
        offset: where in that file they begin.
    Raises: ConversionError for a damaged file.
    """
    if limits.is_trusted():
        return _open_here(data)
    process = ChildProcess(data, path, offset)
    nodes = _checked(process.description)
    root = _tree(nodes, process.read)
    if not any(isinstance(node, list) and len(node) == 6 and node[2] is None for node in nodes):
        process.close()
    return root


def _open_here(data: memoryview) -> Group:
    try:
        opened = hdf5_child.OpenFile(data)
        nodes = opened.describe()
    except Exception as error:  # h5py raises errors of many kinds
        raise damaged(error) from error

    def read(number: int, size: int) -> memoryview:
        try:
            content: memoryview = opened.read(number)
        except Exception as error:
            raise damaged(error) from error
        return content

    return _tree(_checked(nodes), read)


def damaged(error: object) -> ConversionError:
    """The error for a file that HDF5's library cannot read.

    Args:
        error: what the library said.
    """
    return ConversionError(
        f"is an HDF5 file that cannot be opened ({str(error)[:200]}); it is truncated or damaged. Download it again."
    )


def _checked(nodes: Any) -> list[Any]:
    """The description of a file, if it has the form of one: the child read a stranger's file."""
    valid = isinstance(nodes, list) and len(nodes) > 0 and all(node is None or _is_node(node) for node in nodes)
    count = len(nodes) if isinstance(nodes, list) else 0
    links = [link for node in nodes if node and len(node) == 2 for link in node[0].values()] if valid else []
    if not valid or not nodes[0] or any(isinstance(link, int) and not 0 <= link < count for link in links):
        raise damaged("its structure is not understood")
    return list(nodes)


def _is_node(node: Any) -> bool:
    match node:
        case [dict(), dict()]:
            return True
        case [str(), shape, offset, int(), bool(), dict()]:
            sizes = [] if shape is None else shape
            numbers = [*sizes, 0 if offset is None else offset] if isinstance(sizes, list) else [-1]
            return len(numbers) <= MAX_AXES + 1 and all(type(number) is int and number >= 0 for number in numbers)
    return False


def _tree(nodes: list[Any], read: Callable[[int, int], memoryview]) -> Group:
    """The groups and datasets of a description."""
    names = {0: "/"}
    for number, node in enumerate(nodes):
        if node and len(node) == 2:
            prefix = names.get(number, "/").rstrip("/")
            for name, link in node[0].items():
                if isinstance(link, int):
                    names.setdefault(link, f"{prefix}/{name}"[:1000])
    made = [_node(number, names.get(number, "/"), node, read) for number, node in enumerate(nodes)]
    for group, node in zip(made, nodes, strict=True):
        if isinstance(group, Group):
            for name, link in node[0].items():
                entry = made[link] if isinstance(link, int) else Link(str(link))
                if entry is not None:
                    group.entries[name] = entry
    root = made[0]
    if not isinstance(root, Group):
        raise damaged("its first part is no group")
    return root


def _node(number: int, name: str, node: Any, read: Callable[[int, int], memoryview]) -> "Group | Dataset | None":
    if node is None:
        return None
    if len(node) == 2:
        return Group(name, node[1])
    dtype, shape, offset, stored, is_elsewhere, attributes = node
    sizes = None if shape is None else tuple(shape)
    size = 0 if sizes is None or dtype.startswith("?") else math.prod(sizes) * np.dtype(dtype).itemsize
    return Dataset(name, dtype, sizes, offset, stored, is_elsewhere, attributes, lambda: read(number, size))


def child(group: "Group | Dataset", path: str) -> "Group | Dataset | None":
    """The group or dataset under a path, or None. Only what the file itself holds is returned.

    Args:
        group: group where the path begins.
        path: names of groups, and of the group or dataset at the end, such as `a/b`.
    Raises:
        ConversionError: a link of another kind on the way, which could lead out of the file.
    """
    node: Group | Dataset = group
    budget = limits.current()
    for part in filter(None, path.split("/")):
        budget.charge(_VISIT)
        entry = node.entries.get(part) if isinstance(node, Group) else None
        if entry is None:
            return None
        if isinstance(entry, Link):
            raise ConversionError(
                f"{node.name.rstrip('/')}/{part} is a link to elsewhere ({entry.kind}), which is not "
                "followed. Copy what it stands for into the file (h5repack, or load and save the model again)."
            )
        node = entry
    return node


def tensor(dataset: Dataset, data: memoryview) -> AnyTensor:
    """The numbers of a dataset, unread.

    Args:
        dataset: dataset of an open file.
        data: bytes of that file.
    Raises: ConversionError for one that unfolds into more than the file may.
    """
    if dataset.is_elsewhere:
        return Unreadable(
            f"{dataset.name} keeps its numbers in other files, which are not followed. Save the model again."
        )
    dtype = None if dataset.dtype.startswith("?") else np.dtype(dataset.dtype)
    stored = dtype
    if dataset.attributes.get("dtype") == "bfloat16" and dtype == "V2":  # as Keras writes it
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    elif dtype is not None and dtype.kind not in "fiub":
        dtype = None
    if dataset.shape is None or dtype is None or stored is None:
        shown = dataset.dtype.lstrip("?")
        return Unreadable(f"{dataset.name} holds {shown}, which is not an array of numbers. Save the model again.")
    size = math.prod(dataset.shape) * stored.itemsize
    if size > dataset.stored * _DENSEST:
        return Unreadable(
            f"{dataset.name} should hold {size} bytes. Received: {dataset.stored} bytes in the file, which is "
            "incomplete or hostile."
        )
    if dataset.offset is None:
        limits.current(len(data)).charge(size)
        block = Block(size, dataset.read)
    else:
        block = Block.of(data[dataset.offset : dataset.offset + size])
    byteorder = "big" if dtype.byteorder == ">" else "little"
    return Tensor(block, dtype.newbyteorder("="), dataset.shape, byteorder=byteorder)


def names(group: Group, attribute: str) -> list[str] | None:
    """The names in an attribute, or None if the group has no such attribute.

    Keras splits a long list into `attribute0`, `attribute1`, ...

    Args:
        group: group with the attribute.
        attribute: name of the attribute.
    Raises: ConversionError for an attribute that is not a list of texts.
    """
    pieces = [attribute] if attribute in group.attributes else []
    while not pieces or pieces[-1] != attribute:
        following = f"{attribute}{len(pieces)}"
        if following not in group.attributes:
            break
        pieces.append(following)
    values = [group.attributes[piece] for piece in pieces]
    texts = [item for value in values for item in (value if isinstance(value, list) else [value])]
    strings = [item for item in texts if isinstance(item, str)]
    if len(strings) < len(texts):
        raise ConversionError(f"the attribute {attribute} of {group.name} is not a list of names; the file is damaged.")
    return strings if pieces else None


def text(group: Group, attribute: str) -> str | None:
    """The text in an attribute; None for another one, or where it is missing.

    Args:
        group: group with the attribute.
        attribute: name of the attribute.
    """
    value = group.attributes.get(attribute)
    return value if isinstance(value, str) else None
