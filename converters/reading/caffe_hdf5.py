"""Caffe's networks in HDF5, `.caffemodel.h5`: `data/<layer>/<index>`, a dataset a blob.

A layer's name may have slashes: then it is groups within groups, and a layer may have others inside. The form does not
tell the types of layers; the shapes of their blobs do.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/net.cpp, ToHDF5
"""

import math
import re

import numpy as np

from converters.errors import ConversionError
from converters.reading.caffe_layers import named
from converters.reading.tensors import Block, Tensor

_BLOBS = "data"


def load(path) -> dict:
    """{"layer.part": Tensor}, or None for an HDF5 file that is none of Caffe's."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ConversionError(
            f"is an HDF5 file that cannot be opened ({error}); it is truncated or damaged."
        ) from error
    if not isinstance(file.get(_BLOBS), h5py.Group):
        return None
    tensors = {}
    for name, blobs in _layers(file[_BLOBS], ()):
        tensors |= named(name, _type(name, [blob.shape for blob in blobs]), blobs)
    if not tensors:
        raise ConversionError("holds no layer with weights in its group `data`.")
    return tensors


def _layers(group, path):
    """`(name, blobs)` of a group and of those within."""
    import h5py

    datasets = {key: one for key, one in group.items() if isinstance(one, h5py.Dataset)}
    blobs = {int(key): one for key, one in datasets.items() if re.fullmatch(r"\d+", key)}
    if blobs and sorted(blobs) != list(range(len(blobs))):
        raise ConversionError(f"the layer {'/'.join(path)!r} has the blobs {sorted(blobs)}: one is missing.")
    if blobs:
        yield "/".join(path), [_tensor(blobs[index]) for index in range(len(blobs))]
    for key in group:
        if isinstance(group[key], h5py.Group):
            yield from _layers(group[key], (*path, key))


def _tensor(dataset):
    def data():
        return memoryview(np.ascontiguousarray(dataset[()])).cast("B")

    return Tensor(Block(math.prod(dataset.shape) * dataset.dtype.itemsize, data), dataset.dtype, dataset.shape)


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
