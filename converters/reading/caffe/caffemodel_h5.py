"""Caffe's networks in HDF5, `.caffemodel.h5`: `data/<layer>/<index>`, a dataset for each blob.

A layer's name may have slashes: then it is groups within groups, and other layers may lie inside it. The file does not
state the types of layers; the shapes of their blobs tell them.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/net.cpp, ToHDF5
"""

import math
import re
from collections.abc import Iterator, Sequence

from converters.errors import ConversionError
from converters.reading import hdf5
from converters.reading.caffe.blobs import name_blobs
from converters.reading.tensors import Tensor
from converters.types import Shape

_BLOBS = "data"


def load(file: hdf5.Group, data: memoryview) -> dict[str, Tensor] | None:
    """The tensors by "layer.part"; None for an HDF5 file that is not Caffe's.

    Args:
        file: the open file.
        data: bytes of the file.
    Raises: ConversionError for a layer that lacks a blob, and for blobs of shapes that no known layer has.
    """
    layers = weighted_layers(file, data)
    if layers is None:
        return None
    tensors: dict[str, Tensor] = {}
    for name, blobs in layers.items():
        tensors |= name_blobs(name, _type(name, [blob.shape for blob in blobs]), blobs)
    if not tensors:
        raise ConversionError("holds no layer with weights in its group `data`.")
    return tensors


def weighted_layers(file: hdf5.Group, data: memoryview) -> dict[str, list[Tensor]] | None:
    """The blobs of the layers with weights, by the layer's name; None for an HDF5 file that is not Caffe's.

    Args:
        file: the open file.
        data: bytes of the file.
    Raises: ConversionError for a layer that lacks a blob.
    """
    root = hdf5.child(file, _BLOBS)
    return dict(_layers(root, (), data)) if isinstance(root, hdf5.Group) else None


def _layers(group: hdf5.Group, path: tuple[str, ...], data: memoryview) -> Iterator[tuple[str, list[Tensor]]]:
    """Names and blobs of the layers that a group, and those in it, stand for."""
    nodes = {key: hdf5.child(group, key) for key in group.entries}
    blobs = {
        int(key): node for key, node in nodes.items() if isinstance(node, hdf5.Dataset) and re.fullmatch(r"\d+", key)
    }
    if blobs and sorted(blobs) != list(range(len(blobs))):
        raise ConversionError(f"the layer {'/'.join(path)!r} has the blobs {sorted(blobs)}: one is missing.")
    if blobs:
        # They are checked before their shapes are asked for.
        yield "/".join(path), [hdf5.tensor(blobs[index], data).check() for index in range(len(blobs))]
    for key, node in nodes.items():
        if isinstance(node, hdf5.Group):
            yield from _layers(node, (*path, key), data)


def _type(name: str, shapes: Sequence[Shape]) -> str:
    """The type of a layer with blobs of these shapes."""
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
