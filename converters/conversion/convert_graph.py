"""Programs of TensorFlow: which sources are one, and what builds it."""

import os
from collections.abc import Sequence
from typing import Any

from converters.building.tensorflow.build import BuiltGraph, build_from_tensorflow
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading.tensorflow.graph_file import META_GRAPH, graph_kind
from converters.types import Path

_CHECKPOINT = "TensorFlow checkpoint"


def graph_path(path: Any, outputs: Sequence[str]) -> Path | None:
    """The path of a program of TensorFlow that is built as it stands; None for every other source.

    A MetaGraph belongs to a checkpoint, which may be a known network: it is built at once only if results are named.

    Args:
        path: what the caller of `convert` gives.
        outputs: names of the results, if the caller names them.
    """
    if not isinstance(path, str | os.PathLike):
        return None
    kind = graph_kind(path)
    if kind is None and outputs and graph_kind(f"{os.fspath(path)}.meta") == META_GRAPH:
        return f"{os.fspath(path)}.meta"
    return None if kind is None or (kind == META_GRAPH and not outputs) else path


def graph_beside(source: Source) -> Path | None:
    """The MetaGraph of a checkpoint of TensorFlow 1, which is the program of its weights; None where none is there.

    Args:
        source: opened source.
    """
    if len(source.checkpoints) != 1 or source.checkpoints[0].format != _CHECKPOINT:
        return None
    for file in source.checkpoints[0].files:
        path = f"{os.fspath(file).removesuffix('.index')}.meta"
        if graph_kind(path) == META_GRAPH:
            return path
    return None


def build_graph(
    path: Path, *, signature: str | None, outputs: Sequence[str], for_families: bool, allow_nonfinite: bool
) -> BuiltGraph:
    """The model of a program of TensorFlow.

    Args:
        path: path of the program.
        signature: key of a signature of a SavedModel.
        outputs: names of the results.
        for_families: whether the caller asks for what only networks of the families have.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: what cannot be built; an option that only networks of the families have.
    """
    if for_families:
        raise ConversionError(
            f"{path} is a program of TensorFlow and is built as it stands. The options for networks of the families "
            "(family=, network=, num_classes=, output_stride=, skip= and so on) do not apply to it."
        )
    return build_from_tensorflow(path, signature=signature, outputs=outputs, allow_nonfinite=allow_nonfinite)


def check_graph_options(signature: str | None, outputs: Sequence[str]) -> None:
    """Refuses options of programs of TensorFlow for another source.

    Args:
        signature: key of a signature.
        outputs: names of the results.
    Raises:
        ConversionError: one of them is given.
    """
    if signature is not None or outputs:
        raise ConversionError(
            "signature= and outputs= (--signature, --outputs) choose the results of a TensorFlow graph: a frozen .pb "
            "file, a SavedModel or a checkpoint with its .meta file. Received: another source, "
            f"signature={signature!r}, outputs={list(outputs)!r}"
        )
