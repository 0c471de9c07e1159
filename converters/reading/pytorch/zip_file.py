"""PyTorch zip files (torch.save since 1.6): `<name>/data.pkl`, and for each storage a member `<name>/data/<key>`."""

import functools
from collections.abc import Iterable
from typing import Any

from converters.errors import ConversionError
from converters.reading.pickle import machine
from converters.reading.pickle.torch_tensors import CONSTRUCTORS, Storage, storage_reference, storage_type
from converters.reading.zip_archive import Archive, ArchiveMember


def find_root(names: Iterable[str]) -> str | None:
    """The folder that holds `data.pkl`, with its slash, or None if the archive is not PyTorch's.

    Args:
        names: names of the archive's members.
    """
    return next((name.removesuffix("data.pkl") for name in names if name.rpartition("/")[2] == "data.pkl"), None)


def load(archive: Archive, root: str) -> Any:
    """The saved object, with `Tensor`s in place of its tensors.

    Args:
        archive: the file.
        root: folder in it that holds `data.pkl`.
    Raises: ConversionError for a TorchScript archive, a damaged one, and a pickle that would run code.
    """
    names = frozenset(archive.names)
    if f"{root}constants.pkl" in names or any(name.startswith(f"{root}code/") for name in names):
        raise ConversionError(
            "is a TorchScript archive: a program together with its weights. Expected a file of weights. Load it with "
            "torch.jit.load and save its weights: torch.save(module.state_dict(), path)."
        )
    byteorder = "little"
    if f"{root}byteorder" in names:
        byteorder = archive.member(f"{root}byteorder").data().tobytes().decode("latin-1")
        if byteorder not in ("little", "big"):
            raise ConversionError(f"expected the byte order little or big. Received: {ascii(byteorder)[:40]}.")

    @functools.cache  # so that tensors that share a storage verify it once
    def member(key: str) -> ArchiveMember:
        return archive.member(f"{root}data/{key}")

    def persistent(identity: Any) -> Storage:
        storage, key, count, _ = storage_reference(identity)
        dtype, itemsize = storage_type(storage)
        if count * itemsize > member(key).nbytes:
            raise ConversionError(
                f"storage {key!r} should hold {count * itemsize} bytes. Received: {member(key).nbytes} bytes. "
                "The file is damaged; download it again."
            )
        return Storage(dtype, count * itemsize, byteorder, member(key))

    pickle = archive.member(f"{root}data.pkl").data()
    saved, _ = machine.load(pickle, constructors=CONSTRUCTORS, persistent=persistent)
    return saved
