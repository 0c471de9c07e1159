"""Reading checkpoints without the frameworks that wrote them, and without running anything that is in them.

`read(path)` recognises a file by its content, never by its suffix:

* PyTorch zip (torch.save since 1.6): memory-mapped; each tensor is checked against its CRC-32 when first read.
* PyTorch legacy stream (before 1.6) and plain pickles of arrays: no checksums in the format.
* safetensors: memory-mapped; structure checked in full, no checksums in the format.
* Caffe .caffemodel, of both forms: memory-mapped; no checksums in the format. And .caffemodel.h5, through h5py.
* Keras .h5, .weights.h5 and .keras: memory-mapped unless compressed; of a .keras the CRC-32 is checked.
* NumPy .npz: memory-mapped; CRC-32 as above. And .npy, where caffe-tensorflow (kaffe) wrote its layers into it.
* ONNX models, their data within or beside them: memory-mapped; no checksums in the format.
* TensorFlow 1 checkpoints, of both forms: through TensorFlow, which checks their checksums.

The tensors may lie under wrapper keys and carry a common prefix (`unwrapping.WRAPPERS`, `unwrapping.PREFIXES`): both
are found, taken off, and told. A file that is damaged, hostile or of another kind raises one ConversionError.
"""

import os
import re

from converters.errors import ConversionError
from converters.reading import hdf5, safetensors
from converters.reading.caffe import caffemodel, caffemodel_h5
from converters.reading.checkpoint import Checkpoint
from converters.reading.files import map_file, naming, refuse_stranger
from converters.reading.keras import legacy_h5, v3
from converters.reading.numpy import kaffe, npz
from converters.reading.onnx import model_file
from converters.reading.pytorch import legacy_stream, zip_file
from converters.reading.tensorflow import checkpoint, paths
from converters.reading.unwrapping import strip, unwrap
from converters.reading.zip_archive import Archive

__all__ = ["Checkpoint", "read"]

# A pickle of protocol 2 or later; of protocol 0 or 1, as old attacks are written.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\(*[ci][A-Za-z_][\w.]*\n\w[\w.]*\n|\(+(S['\"]|[dl]p\d)|[}\]](q|r|\(|\.)")


def read(path) -> Checkpoint:
    """The tensors of a checkpoint file as a read-only mapping, key -> array, each read when asked for.

    Args:
        path: a file of one of these formats. It must stay as it is while the checkpoint is in use.
    Returns: a `Checkpoint`, whose arrays are in the file's own layout, names and types.
    Raises: ConversionError naming the file, what is wrong with it and what to do.
    """
    path = os.fspath(path)
    with naming(path):
        if files := paths.find(path):
            format, saved = checkpoint.FORMAT, checkpoint.load(files)
        else:
            format, saved = _load(path, map_file(path))
        wrapper, tensors, extras = unwrap(saved)
        prefix, tensors = strip(tensors)
        names = files.files if files else (path,)
        return Checkpoint(path, format, tensors, files=names, wrapper=wrapper, prefix=prefix, extras=extras)


def _load(path, data):
    head = bytes(data[:512])
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _load_zip(Archive(path, data))
    if safetensors.recognises(head):
        return "safetensors", safetensors.load(data)
    if _PICKLE.match(head):
        return legacy_stream.load(data)
    if kaffe.recognises(head):
        return "kaffe", kaffe.load(data)
    if model_file.recognises(head):
        return "ONNX", model_file.load(path, data).tensors
    if caffemodel.recognises(head):
        return "Caffe", caffemodel.load(data)
    if head.startswith(hdf5.MAGIC):
        with hdf5.damaged():
            file = hdf5.open_file(data)
            if reader := next((one for one in (legacy_h5, v3) if one.recognises(file)), None):
                return "Keras HDF5", reader.load(file, data)
            if tensors := caffemodel_h5.load(file, data):
                return "Caffe", tensors
    return refuse_stranger(data)


def _load_zip(archive):
    names = archive.names
    root = zip_file.find_root(names)
    if root is not None:
        return "PyTorch zip", zip_file.load(archive, root)
    if npz.recognises(names):
        return "NumPy npz", npz.load(archive)
    if "config.json" in names:
        return "Keras zip", v3.load_archive(archive)
    raise ConversionError(
        "is a zip archive that holds neither a PyTorch checkpoint (data.pkl) nor NumPy arrays (.npy). If a checkpoint "
        f"is in it, unpack it and give that file. Received: {', '.join(map(ascii, names[:5])) or 'no members'}."
    )
