"""An ONNX file in, a Keras model of the same steps out: built from its graph, and compared with onnxruntime."""

from pathlib import Path as FilePath
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.account import account
from converters.building.builder import Builder
from converters.building.onnx import double
from converters.building.onnx.from_onnx import TracedGraph, layer_name, network_name, programs
from converters.building.onnx.runtime import is_available, runner
from converters.building.operations import HANDLERS
from converters.building.verify import TOLERANCE, Original, reporting, verify
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading.files import naming
from converters.reading.onnx.model_file import OnnxGraph
from converters.reading.tensors import Tensor
from converters.types import Path
from converters.weights.receipts import Receipt
from tfseg.layers.metadata import set_size_multiple

FAMILY = "ONNX graph"
"""What a receipt calls the family of a model that was built from an ONNX file's own graph."""

_NUMBER = "a number, a size or a list of places, which the steps have as arguments"
_FREE = (
    "to export it for any size: torch.onnx.export(..., dynamic_axes={'image': {0: 'batch', 2: 'height', 3: 'width'}}), "
    "or dynamic_shapes= with dynamo=True"
)


class BuiltGraph(NamedTuple):
    """A model that was built from a graph.

    Attributes:
        model: the model, with the file's weights.
        receipt: the account of it.
    """

    model: keras.Model
    receipt: Receipt


def graph_of(source: Source) -> OnnxGraph | None:
    """The graph of a source that is one ONNX file; None for every other source.

    Args:
        source: opened source.
    """
    return source.checkpoints[0].graph if len(source.checkpoints) == 1 else None


def build_from_source(source: Source, *, allow_nonfinite: bool = False) -> BuiltGraph:
    """`build_from_onnx` for an opened source; the receipt names its files.

    Args:
        source: source that `graph_of` knows.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: as `build_from_onnx`, and weights that are not finite.
    """
    (checkpoint,) = source.checkpoints
    assert checkpoint.graph is not None
    model, receipt = build_from_onnx(checkpoint.path, checkpoint.graph, allow_nonfinite=allow_nonfinite)
    receipt.files = [
        {"path": str(file), "size": file.stat().st_size, "sha256": source.digest(file, "sha256")}
        for file in checkpoint.files
    ]
    return BuiltGraph(model, receipt)


def build_from_onnx(
    path: Path, graph: OnnxGraph, *, allow_nonfinite: bool = False, tolerance: float = TOLERANCE
) -> BuiltGraph:
    """A Keras model that computes what an ONNX file computes.

    The graph is traced at several sizes of the image, and the model is built step by step. If onnxruntime is installed,
    the model is compared with it at other sizes.

    Args:
        path: path of the file.
        graph: its graph, as `converters.read` gives it.
        allow_nonfinite: accept NaN and infinite weights.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: a graph with a node that Keras cannot compute exactly, by its name; a model that differs from
            the file.
    """
    name = FilePath(path).name
    with naming(name):
        refusal: ConversionError | None = None
        for traced in programs(graph, network_name(FilePath(path).name.rpartition(".")[0])):
            try:
                if not allow_nonfinite:
                    _check_finite(traced)
                return _built(path, graph, traced, tolerance)
            except ConversionError as error:
                # A file of one size may be a program of that size alone: then the last one is it.
                if not traced.freed:
                    raise
                refusal = refusal or error
        assert refusal is not None
        raise refusal


def _check_finite(traced: TracedGraph) -> None:
    """Refuses weights that are not finite: those that training changes, and statistics.

    Raises:
        ConversionError: naming the first of them.
    """
    for name in sorted(traced.graph.parameters):
        if not np.isfinite(traced.graph.tensors[name]).all():
            raise ConversionError(
                f"holds weights that cannot be used: {name} is not finite in float32. Fetch the file again; to "
                "import NaN and infinite weights anyway, pass allow_nonfinite=True (--allow_nonfinite)."
            )


def _built(path: Path, graph: OnnxGraph, traced: TracedGraph, tolerance: float) -> BuiltGraph:
    builder = Builder(traced.graph, HANDLERS)
    model = builder.build(traced.fixed, names=[layer_name(name) for name in traced.image.order] or None)
    set_size_multiple(model, traced.multiple)
    receipt = account(
        traced.graph,
        builder,
        model,
        source=FilePath(path).name,
        family=FAMILY,
        tensors={key: _NUMBER if key in traced.arguments else "" for key in graph.tensors},
        sizes=_sizes(traced),
    )
    tensors = [tensor for tensor in graph.tensors.values() if isinstance(tensor, Tensor)]
    if any(tensor.dtype.name in ("float16", "bfloat16") for tensor in tensors):
        receipt.notes.append("the file computes in half precision, the model in single precision with its numbers")
    if traced.freed:
        receipt.notes.append("the file states one size of the image, and none of its steps depends on it")
    if not is_available():
        receipt.notes.append("nothing was compared: onnxruntime is not installed (pip install onnxruntime)")
        return BuiltGraph(model, receipt)
    name, run = _witness(path, traced)
    verdict = verify(
        model,
        Original(name, run, _double(path, traced) if double.is_available() else None),
        graph=traced.graph,
        fixed=traced.fixed,
        sizes=traced.checks,
        tolerance=tolerance,
    )
    receipt.parity = verdict.parity
    receipt.notes += verdict.notes
    return BuiltGraph(model, receipt)


def _witness(path: Path, traced: TracedGraph) -> tuple[str, Any]:
    """What the model is compared with, and its name: onnxruntime, or what else runs a file that it does not run."""
    name = FilePath(path).name
    try:
        run = reporting(runner(path, traced.image, freed=traced.freed), "onnxruntime")
        image, size = traced.image, (traced.image.batch or 1, *traced.checks[0])
        shapes = {other.name: other.shape(*size) for other in image.others}
        arrays = [np.zeros(shapes.get(name, (size[0], image.channels, *size[1:])), "float32") for name in image.order]
        run(arrays or np.zeros((size[0], image.channels, *size[1:]), "float32"))
    except ConversionError:
        if not double.is_available():
            raise
        return f"{name} in the onnx package's own implementation", _double(path, traced)
    return f"{name} in onnxruntime", run


def _double(path: Path, traced: TracedGraph) -> Any:
    """A runner in double precision, which is made when it is asked for the first time."""
    made: list[Any] = []

    def run(images: Any) -> Any:
        try:
            made[:] = made or [double.double_runner(path, traced.image)]
            return made[0](images)
        except Exception as error:  # the reference implementation's own classes
            raise ConversionError(
                "the onnx package's own implementation does not run it in double precision, which would tell rounding "
                f"from an error: {type(error).__name__}: {str(error)[:200]}. Nothing is returned."
            ) from error

    return run


def _sizes(traced: TracedGraph) -> str:
    """Which images the network takes, as a sentence; "" for any."""
    if traced.fixed:
        height, width = traced.fixed
        return f"the network takes images of {height} x {width} pixels only ({traced.why}); {_FREE}"
    if traced.multiple > 1:
        return f"the network takes images whose sides are multiples of {traced.multiple}"
    return ""
