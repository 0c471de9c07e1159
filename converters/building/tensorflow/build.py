"""A program of TensorFlow in, a Keras model of the same steps out: built from its graph, and compared with TensorFlow.

Reference: https://www.tensorflow.org/guide/saved_model
"""

import hashlib
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.account import account
from converters.building.builder import Builder
from converters.building.operations import HANDLERS
from converters.building.record import make_record
from converters.building.tensorflow.from_graph import TracedProgram, programs
from converters.building.tensorflow.open_program import open_program
from converters.building.tensorflow.program import GraphProgram
from converters.building.tensorflow.runtime import runner
from converters.building.verify import TOLERANCE, Original, reporting, verify
from converters.errors import ConversionError
from converters.reading.files import naming
from converters.types import Path
from converters.weights.built_record import remember
from converters.weights.receipts import Receipt

FAMILY = "TensorFlow graph"
"""What a receipt calls the family of a model that was built from a graph of TensorFlow."""

_NUMBER = "a number, a size or an axis, which the steps have as arguments"
_FREE = "to free it, freeze a graph whose placeholder has the shape (None, None, None, channels)"


class BuiltGraph(NamedTuple):
    """A model that was built from a graph.

    Attributes:
        model: the model, with the file's weights.
        receipt: the account of it.
    """

    model: keras.Model
    receipt: Receipt


def build_from_tensorflow(
    path: Path,
    *,
    signature: str | None = None,
    outputs: Sequence[str] = (),
    inputs: Sequence[str] = (),
    allow_nonfinite: bool = False,
    tolerance: float = TOLERANCE,
) -> BuiltGraph:
    """A Keras model that computes what a graph of TensorFlow computes.

    The graph is traced at several sizes of the image. The model is built step by step, and compared with TensorFlow at
    other sizes.

    Args:
        path: path of a frozen graph, of a SavedModel or of a MetaGraph (`.meta`) beside its checkpoint.
        signature: key of a signature of a SavedModel; by default "serving_default" or the only one.
        outputs: names of nodes or tensors that are the results; by default the signature's, or those that no other
            node reads.
        inputs: name of the node whose result is the image, instead of the graph's placeholder: the node after the
            preprocessing, such as "sub_7".
        allow_nonfinite: accept NaN and infinite weights.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: a graph with a node that Keras cannot compute exactly, by its name; a model that differs from
            the graph.
    """
    with naming(os.path.basename(os.path.abspath(os.fspath(path)))):
        program = open_program(path, signature=signature, outputs=_names(outputs), inputs=_names(inputs))
        refusal: ConversionError | None = None
        for traced in programs(program, _network_name(program)):
            try:
                if not allow_nonfinite:
                    _check_finite(traced)
                return _built(program, traced, tolerance)
            except ConversionError as error:
                # A graph of one size may be a program of that size alone: then the last one is it.
                if not traced.freed:
                    raise
                refusal = refusal or error
        assert refusal is not None
        raise refusal


def _names(names: Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _network_name(program: GraphProgram) -> str:
    """A name for the model, of the file's: letters, digits and underscores."""
    stem = re.sub(r"(\.meta|\.pb|\.ckpt)+$", "", program.name)
    return re.sub(r"\W+", "_", stem).strip("_") or "network"


def _check_finite(traced: TracedProgram) -> None:
    """Refuses weights that are not finite.

    Raises:
        ConversionError: naming the first of them.
    """
    for name in sorted(traced.graph.parameters):
        if not np.isfinite(traced.graph.tensors[name]).all():
            raise ConversionError(
                f"holds weights that cannot be used: {name} is not finite in float32. Fetch the file again; to "
                "import NaN and infinite weights anyway, pass allow_nonfinite=True (--allow_nonfinite)."
            )


def _built(program: GraphProgram, traced: TracedProgram, tolerance: float) -> BuiltGraph:
    builder = Builder(traced.graph, HANDLERS)
    model = builder.build(traced.fixed, traced.batch)
    receipt = _receipt(program, traced, builder, model)
    run = reporting(runner(program, traced.image, traced.feeds), "TensorFlow")
    of_bytes = traced.image.dtype == "uint8"
    compared: Any = _OfBytes(model) if of_bytes else model
    verdict = verify(
        compared,
        Original(f"{program.name} in TensorFlow", (lambda images: run(_as_bytes(images))) if of_bytes else run),
        graph=traced.graph,
        fixed=traced.fixed,
        sizes=traced.checks,
        batch=traced.batch,
        tolerance=tolerance,
    )
    receipt.parity = verdict.parity
    receipt.notes += verdict.notes
    state = {row["key"]: traced.tensors[row["key"]] for row in receipt.tensors if row["key"] in traced.tensors}
    dtypes = {key: array.dtype.name for key, array in state.items()}
    remember(model, make_record(traced.graph, builder, family=FAMILY, state=state, same={}, dtypes=dtypes))
    return BuiltGraph(model, receipt)


class _OfBytes:
    """A model that is given noise as whole numbers, 0 to 255, which its source takes."""

    def __init__(self, model: keras.Model) -> None:
        self.model, self.inputs = model, model.inputs

    def __call__(self, images: np.ndarray) -> Any:
        return self.model(_as_bytes(images).astype("float32"))


def _as_bytes(images: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(images * 64 + 128), 0, 255)


def _receipt(program: GraphProgram, traced: TracedProgram, builder: Builder, model: keras.Model) -> Receipt:
    """Every constant and variable of the graph, and what became of it."""
    tensors = {
        key: _NUMBER if key in traced.arguments or array.dtype.kind not in "fV" or not array.ndim else ""
        for key, array in traced.tensors.items()
    }
    receipt = account(
        traced.graph, builder, model, source=program.name, family=FAMILY, tensors=tensors, sizes=_sizes(traced)
    )
    receipt.files = [_file(path) for path in program.files]
    receipt.notes += program.notes
    if traced.freed:
        receipt.notes.append("the graph states one size of the image, and none of its steps depends on it")
    for name, value in traced.feeds.items():
        receipt.notes.append(f"its input {name} has the value of inference, {value.item()}")
    if traced.image.dtype == "uint8":
        receipt.notes.append("the graph takes images of uint8; the model takes the same numbers, 0 to 255, as floats")
    return receipt


def _file(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": path, "size": os.path.getsize(path), "sha256": digest}


def _sizes(traced: TracedProgram) -> str:
    """Which images the network takes, as a sentence; "" for any."""
    at_once = f", {traced.batch} at a time" if traced.batch else ""
    if traced.fixed:
        height, width = traced.fixed
        why = f" ({traced.why})" if traced.why else ""
        return f"the network takes images of {height} x {width} pixels only{at_once}{why}; {_FREE}"
    if traced.multiple > 1:
        return f"the network takes images whose sides are multiples of {traced.multiple}{at_once}"
    return f"the network takes images{at_once}" if at_once else ""
