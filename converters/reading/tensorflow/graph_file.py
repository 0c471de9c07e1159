"""Programs of TensorFlow: frozen graphs, SavedModels and MetaGraphs are recognized here, without TensorFlow.

Reference: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/graph.proto
"""

import os
import re

from converters.types import Path

FROZEN, SAVED_MODEL, META_GRAPH = "frozen graph", "SavedModel", "MetaGraph"

_SAVED = "saved_model.pb"
_VARINT = rb"[\x80-\xff]*[\x00-\x7f]"
# A node or a library of functions comes first in a graph; a node begins with its name and its operation.
_GRAPH = re.compile(rb"(?s)\x0a%b\x0a%b[\w./^-]+\x12[\x01-\x40][A-Z_]\w+" % (_VARINT, _VARINT))
_META = re.compile(rb"(?s)\x0a%b(\x0a|\x12|\x1a|\x22|\x2a|\x32)" % _VARINT)


def graph_kind(path: Path) -> str | None:
    """Which program of TensorFlow a path is; None for everything else.

    Args:
        path: path of a file or folder.
    Returns: `FROZEN`, `SAVED_MODEL`, `META_GRAPH` or None.
    """
    text = os.fspath(path)
    if os.path.isdir(text):
        return SAVED_MODEL if os.path.isfile(os.path.join(text, _SAVED)) else None
    if not os.path.isfile(text):
        return None
    if os.path.basename(text) == _SAVED:
        return SAVED_MODEL
    with open(text, "rb") as file:
        head = file.read(512)
    if text.endswith(".meta") and _META.match(head):
        return META_GRAPH
    return FROZEN if is_graph(head) else None


def is_graph(head: bytes) -> bool:
    """Whether a file begins as a GraphDef does.

    Args:
        head: its first 512 bytes.
    """
    return _GRAPH.match(head) is not None


def saved_model_folder(path: Path) -> str:
    """The folder of a SavedModel, from its own path or that of its file.

    Args:
        path: path of the folder, or of `saved_model.pb` in it.
    """
    text = os.fspath(path)
    return text if os.path.isdir(text) else os.path.dirname(text) or "."
