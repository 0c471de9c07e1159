"""Programs of TensorFlow: which sources are one, and what builds it."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading.tensorflow.graph_file import META_GRAPH, graph_kind
from converters.storing_keras import require_computing
from converters.types import Path

if TYPE_CHECKING:
    from converters.building.tensorflow.build import BuiltGraph

_CHECKPOINT = "TensorFlow checkpoint"


class GraphResults(NamedTuple):
    """Which part of a TensorFlow graph is wanted; empty for the whole.

    Attributes:
        signature: key of a signature of a SavedModel.
        outputs: names of the nodes that are the results.
        inputs: name of the node whose result is the image.
    """

    signature: str | None = None
    outputs: Sequence[str] = ()
    inputs: Sequence[str] = ()


def graph_results(signature: str | None, outputs: str | Sequence[str], inputs: str | Sequence[str]) -> GraphResults:
    """What the caller of `convert` asks for.

    Args:
        signature: key of a signature.
        outputs: name of a result, or names of several.
        inputs: name of the image's node.
    """
    names = [(part,) if isinstance(part, str) else tuple(part) for part in (outputs, inputs)]
    return GraphResults(signature, *names)


def graph_path(path: Any, results: GraphResults) -> Path | None:
    """The path of a program of TensorFlow that is built as it stands; None for every other source.

    A MetaGraph belongs to a checkpoint, which may be a known network: it is built at once only if results are named.

    Args:
        path: what the caller of `convert` gives.
        results: which part the caller asks for.
    """
    part = bool(results.outputs or results.inputs)
    if not isinstance(path, str | os.PathLike):
        return None
    kind = graph_kind(path)
    if kind is None and part and graph_kind(f"{os.fspath(path)}.meta") == META_GRAPH:
        return f"{os.fspath(path)}.meta"
    return None if kind is None or (kind == META_GRAPH and not part) else path


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


def build_graph(path: Path, *, results: GraphResults, for_families: bool, allow_nonfinite: bool) -> "BuiltGraph":
    """The model of a program of TensorFlow.

    Args:
        path: path of the program.
        results: which results are wanted, and of what.
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
    with running_tensorflow(path):
        from converters.building.tensorflow.build import build_from_tensorflow  # most conversions do without it

        return build_from_tensorflow(path, **results._asdict(), allow_nonfinite=allow_nonfinite)


@contextlib.contextmanager
def running_tensorflow(path: Path) -> Iterator[None]:
    """Inside, TensorFlow runs a graph; an installation without it is told so.

    Args:
        path: path of the graph.
    Raises:
        ConversionError: TensorFlow is not installed.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        require_computing()  # where Keras only holds weights, the command starts again with TensorFlow
        raise ConversionError(
            f"{os.fspath(path)} is a program of TensorFlow, which runs it: what is built is compared with it. "
            f"Received: an installation without TensorFlow ({error}). Install it: pip install tensorflow. A checkpoint "
            "(model.ckpt-*) of the same network is read without it."
        ) from error


def check_graph_options(results: GraphResults) -> None:
    """Refuses options of programs of TensorFlow for another source.

    Args:
        results: what the caller asks for.
    Raises:
        ConversionError: one of them is given.
    """
    if results != GraphResults():
        raise ConversionError(
            "signature=, outputs= and inputs= (--signature, --outputs, --inputs) choose a part of a TensorFlow graph: "
            "a frozen .pb file, a SavedModel or a checkpoint with its .meta file. Received: another source, "
            f"{', '.join(f'{key}={value!r}' for key, value in results._asdict().items() if value)}"
        )
