"""The layers with weights of any Caffe file, with their blobs in the file's own order."""

from typing import NamedTuple

from converters.errors import ConversionError
from converters.reading import hdf5, limits
from converters.reading.caffe import caffemodel, caffemodel_h5
from converters.reading.files import map_file, naming
from converters.reading.tensors import Tensor
from converters.types import Path


class FileLayer(NamedTuple):
    """A layer with weights.

    Attributes:
        type: type of the layer; "" where the file does not state it.
        blobs: its tensors, in the file's order and shapes.
    """

    type: str
    blobs: tuple[Tensor, ...]


def file_layers(path: Path) -> dict[str, FileLayer]:
    """The layers with weights of a `.caffemodel` or `.caffemodel.h5`, by name.

    Args:
        path: where the file lies.
    Raises: ConversionError naming the file: a damaged one, or one of another kind.
    """
    with naming(path):
        data = map_file(path)
        if not bytes(data[:8]).startswith(hdf5.MAGIC):
            with limits.budget(len(data)):
                layers = caffemodel.weighted_layers(data)
            return {name: FileLayer(layer.type, layer.tensors) for name, layer in layers.items()}
        with limits.budget(len(data)):
            blobs = caffemodel_h5.weighted_layers(hdf5.open_file(data, path), data)
        if blobs is None:
            raise ConversionError("is no Caffe network in HDF5.")
        return {name: FileLayer("", tuple(tensors)) for name, tensors in blobs.items()}
