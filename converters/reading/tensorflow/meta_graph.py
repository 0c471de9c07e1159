"""The nodes of a MetaGraph, which lies beside a checkpoint of TensorFlow 1. TensorFlow is not needed.

Reference: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/meta_graph.proto
"""

import os

from converters.errors import ConversionError
from converters.reading.files import map_file, naming
from converters.reading.protobuf.wire import fields
from converters.reading.tensorflow.frozen_graph import GraphNode, read_nodes
from converters.types import Path

_GRAPH = 2  # field of MetaGraphDef


def read_meta_graph(path: Path) -> dict[str, GraphNode]:
    """The nodes by their names.

    Args:
        path: path of the file, `.meta`.
    Raises:
        ConversionError: a file that is no MetaGraph, or damaged.
    """
    text = os.fspath(path)
    with naming(os.path.basename(text)):
        for number, value in fields(map_file(text)):
            if number == _GRAPH and isinstance(value, memoryview):
                return read_nodes(value)
        raise ConversionError("has no graph; it is damaged, or no MetaGraph.")
