"""PyTorch zip files (torch.save since 1.6): `<name>/data.pkl` and one stored member a storage, `<name>/data/<key>`."""

import functools

from converters.errors import ConversionError
from converters.reading.pickle import machine
from converters.reading.pickle.torch_tensors import CONSTRUCTORS, Storage, storage_reference, storage_type
from converters.reading.zip_archive import Archive


def find_root(names) -> str | None:
    """The folder that holds `data.pkl`, with its slash, or None when the archive is not of PyTorch."""
    return next((name.removesuffix("data.pkl") for name in names if name.rpartition("/")[2] == "data.pkl"), None)


def load(archive: Archive, root: str):
    """The saved object, with `Tensor`s in place of its tensors."""
    names = frozenset(archive.names)
    if f"{root}constants.pkl" in names or any(name.startswith(f"{root}code/") for name in names):
        raise ConversionError(
            "is a TorchScript archive: a program together with its weights. Expected a file of weights. Load it with "
            "torch.jit.load and save its weights: torch.save(module.state_dict(), path)."
        )
    byteorder = "little"
    if f"{root}byteorder" in names:
        byteorder = archive.block(f"{root}byteorder").data().tobytes().decode("latin-1")
        if byteorder not in ("little", "big"):
            raise ConversionError(f"expected the byte order little or big. Received: {ascii(byteorder)[:40]}.")
    # One block a member, so that tensors that share a storage verify it once.
    block = functools.cache(lambda key: archive.block(f"{root}data/{key}"))

    def persistent(identity):
        storage, key, count, _ = storage_reference(identity)
        dtype, itemsize = storage_type(storage)
        if count * itemsize > block(key).nbytes:
            raise ConversionError(
                f"storage {key!r} should hold {count * itemsize} bytes. Received: {block(key).nbytes} bytes. "
                "The file is damaged; download it again."
            )
        return Storage(dtype, count * itemsize, byteorder, block(key))

    pickle = archive.block(f"{root}data.pkl").data()
    saved, _ = machine.load(pickle, constructors=CONSTRUCTORS, persistent=persistent)
    return saved
