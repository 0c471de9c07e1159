"""Caffe's networks in HDF5, `.caffemodel.h5`: `data/<layer>/<index>`, a dataset a blob.

A layer's name may have slashes: then it is groups within groups, and a layer may have others inside. The form does not
tell the types of layers; the shapes of their blobs do.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/net.cpp, ToHDF5
"""

import math
import re

from converters.errors import ConversionError
from converters.reading import hdf5
from converters.reading.caffe.blobs import name_blobs

_BLOBS = "data"


def load(file, data) -> dict:
    """{"layer.part": Tensor}, or None for an HDF5 file that is none of Caffe's; `data` are the bytes of the file."""
    import h5py

    root = hdf5.child(file, _BLOBS)
    if not isinstance(root, h5py.Group):
        return None
    tensors = {}
    for name, blobs in _layers(root, (), data):
        tensors |= name_blobs(name, _type(name, [blob.shape for blob in blobs]), blobs)
    if not tensors:
        raise ConversionError("holds no layer with weights in its group `data`.")
    return tensors


def _layers(group, path, data):
    """`(name, blobs)` of a group and of those within."""
    import h5py

    nodes = {key: hdf5.child(group, key) for key in group}
    datasets = {key: one for key, one in nodes.items() if isinstance(one, h5py.Dataset)}
    blobs = {int(key): one for key, one in datasets.items() if re.fullmatch(r"\d+", key)}
    if blobs and sorted(blobs) != list(range(len(blobs))):
        raise ConversionError(f"the layer {'/'.join(path)!r} has the blobs {sorted(blobs)}: one is missing.")
    if blobs:
        yield "/".join(path), [_tensor(blobs[index], data) for index in range(len(blobs))]
    for key, node in nodes.items():
        if isinstance(node, h5py.Group):
            yield from _layers(node, (*path, key), data)


def _tensor(dataset, data):
    tensor = hdf5.tensor(dataset, data)
    tensor.check()  # before its shape is asked for
    return tensor


def _type(name, shapes):
    """What a layer is, for blobs of these shapes."""
    wide = [sum(size > 1 for size in shape) > 1 for shape in shapes]
    match len(shapes), any(wide):
        case (1 | 2, True):
            return "InnerProduct" if len(shapes[0]) == 2 else "Convolution"
        case (1 | 2, False):
            return "Scale" if len(shapes[0]) == 1 else "Convolution" if len(shapes[0]) == 4 else "InnerProduct"
        case (3, False) if math.prod(shapes[2]) == 1:
            return "BatchNorm"
        case (4, False):
            return "BN"
    raise ConversionError(
        f"the layer {name!r} has blobs of the shapes {', '.join(map(str, shapes))}, which no layer known here has."
    )
