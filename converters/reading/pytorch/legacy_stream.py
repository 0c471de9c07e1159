"""What torch.save wrote before 1.6: five pickles in a row, then the raw storages. Also single pickles.

The pickles are a magic number, a protocol number, facts about the machine, the object, and the keys of its storages.
The storages follow in the order of the keys. Each is the number of its elements (8 bytes, little-endian), then the
elements (little-endian, too). The format has no checksums: a missing byte is noticed, a flipped bit in them is not.
"""

import struct
from collections.abc import Callable
from typing import Any

from converters.errors import ConversionError
from converters.reading.pickle import machine
from converters.reading.pickle.torch_tensors import CONSTRUCTORS, Storage, storage_reference, storage_type
from converters.reading.tensors import Block

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

_Storages = dict[str, tuple[Storage, int]]  # key -> the storage, and the bytes of an element


def load(data: memoryview) -> tuple[str, Any]:
    """The name of the format, and the saved object with `Tensor`s in place of its tensors.

    Args:
        data: bytes of the file.
    Raises: ConversionError for a truncated or damaged file, and for a pickle that would run code.
    """
    first, position = machine.load(data, constructors=CONSTRUCTORS)
    if type(first) is not int or first != _MAGIC:
        if position != len(data):
            raise ConversionError(f"has {len(data) - position} bytes after its pickle; the file is damaged.")
        return "pickle", first
    protocol, position = machine.load(data, position)
    if protocol != _PROTOCOL:
        raise ConversionError(f"is a PyTorch stream of another version. Expected version {_PROTOCOL}.")
    _machine, position = machine.load(data, position)
    storages: _Storages = {}
    saved, position = machine.load(data, position, constructors=CONSTRUCTORS, persistent=_persistent(storages))
    keys, position = machine.load(data, position)
    _place(storages, keys, data, position)
    return "PyTorch legacy stream", saved


def _persistent(storages: _Storages) -> Callable[[Any], Any]:
    """The function of persistent ids, which adds to `storages`."""
    parts: dict[str, Storage] = {}

    def persistent(identity: Any) -> Any:
        if identity[0] == "module":  # a class and its source code; the name is enough
            return identity[1]
        storage, key, count, (part,) = storage_reference(identity)
        if key not in storages:
            dtype, itemsize = storage_type(storage)
            storages[key] = (Storage(dtype, count * itemsize), itemsize)
        root, itemsize = storages[key]
        if part is None:
            return root
        part_key, offset, size = part
        start, nbytes = offset * itemsize, size * itemsize
        if type(part_key) is not str or start < 0 or nbytes < 0 or start + nbytes > root.nbytes:
            raise ValueError("a part outside its storage")
        return parts.setdefault(part_key, Storage(root.dtype, nbytes, root=root, start=start))

    return persistent


def _place(storages: _Storages, keys: object, data: memoryview, position: int) -> None:
    """Gives every storage its block."""
    if (
        not isinstance(keys, list)
        or not all(type(key) is str for key in keys)
        or set(keys) != set(storages)
        or len(keys) != len(storages)
    ):
        raise ConversionError("the list of its storages does not fit its tensors; the file is damaged.")
    for key in keys:
        storage, itemsize = storages[key]
        begin, end = position + 8, position + 8 + storage.nbytes
        if end > len(data):
            raise ConversionError(
                f"the file is truncated: storage {key!r} ends at byte {end}. Received: {len(data)} bytes. "
                "Download it again."
            )
        (count,) = struct.unpack("<q", data[position:begin])
        if count * itemsize != storage.nbytes:
            raise ConversionError(
                f"storage {key!r} should hold {storage.nbytes // itemsize} elements. Received: {count}. "
                "The file is damaged; download it again."
            )
        storage.block = Block.of(data[begin:end])
        position = end
    if position != len(data):
        raise ConversionError(f"has {len(data) - position} bytes after its last storage; the file is damaged.")
