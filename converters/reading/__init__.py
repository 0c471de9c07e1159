"""Reading checkpoints without the frameworks that wrote them, and without running anything that is in them.

`read(path)` recognises a file by its content, never by its suffix:

* PyTorch zip (torch.save since 1.6): memory-mapped; each tensor is checked against its CRC-32 when first read.
* PyTorch legacy stream (before 1.6) and plain pickles of arrays: no checksums in the format.
* safetensors: memory-mapped; structure checked in full, no checksums in the format.
* Caffe .caffemodel, of both forms: memory-mapped; no checksums in the format. And .caffemodel.h5, through h5py.
* NumPy .npz: memory-mapped; CRC-32 as above.

The tensors may lie under wrapper keys and carry a common prefix (`unwrapping.WRAPPERS`, `unwrapping.PREFIXES`): both
are found, taken off, and told. A file that is damaged, hostile or of another kind raises one ConversionError.
"""

import os
import re

from converters.errors import ConversionError
from converters.reading import caffe_hdf5, caffemodel, npz, safetensors, torch_legacy, torch_zip
from converters.reading.checkpoint import Checkpoint
from converters.reading.files import map_file, naming, refuse_stranger
from converters.reading.unwrapping import strip, unwrap
from converters.reading.zip_archive import Archive

__all__ = ["Checkpoint", "read"]

# A pickle of protocol 2 or later; of protocol 0 or 1, as old attacks are written.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\(*[ci][A-Za-z_][\w.]*\n\w[\w.]*\n|\(+(S['\"]|[dl]p\d)|[}\]](q|r|\(|\.)")


def read(path) -> Checkpoint:
    """The tensors of a checkpoint file as a read-only mapping, key -> array, each read when asked for.

    Args:
        path: a PyTorch, safetensors, Caffe or NumPy .npz file. It must stay as it is while the checkpoint is in use.
    Returns: a `Checkpoint`, whose arrays are in the file's own layout, names and types.
    Raises: ConversionError naming the file, what is wrong with it and what to do.
    """
    path = os.fspath(path)
    with naming(path):
        format, saved = _load(path, map_file(path))
        wrapper, tensors, extras = unwrap(saved)
        prefix, tensors = strip(tensors)
        return Checkpoint(path, format, tensors, wrapper=wrapper, prefix=prefix, extras=extras)


def _load(path, data):
    head = bytes(data[:512])
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _load_zip(Archive(path, data))
    if safetensors.recognises(head):
        return "safetensors", safetensors.load(data)
    if _PICKLE.match(head):
        return torch_legacy.load(data)
    if caffemodel.recognises(head):
        return "Caffe", caffemodel.load(data)
    if head.startswith(b"\x89HDF\r\n\x1a\n") and (tensors := caffe_hdf5.load(path)):
        return "Caffe", tensors
    return refuse_stranger(data)


def _load_zip(archive):
    names = archive.names
    root = torch_zip.find_root(names)
    if root is not None:
        return "PyTorch zip", torch_zip.load(archive, root)
    if npz.recognises(names):
        return "NumPy npz", npz.load(archive)
    raise ConversionError(
        "is a zip archive that holds neither a PyTorch checkpoint (data.pkl) nor NumPy arrays (.npy). If a checkpoint "
        f"is in it, unpack it and give that file. Received: {', '.join(map(ascii, names[:5])) or 'no members'}."
    )
