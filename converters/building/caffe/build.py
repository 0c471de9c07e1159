"""A prototxt and a `.caffemodel` in, a Keras model of the same layers out: built from the program that they are.

If OpenCV is installed, the model is compared with its importer where that computes what Caffe does.
"""

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.account import account
from converters.building.builder import Builder
from converters.building.caffe import opencv
from converters.building.caffe.from_caffe import TracedNet, programs
from converters.building.caffe.tracing import clean
from converters.building.caffe.weights import Weights, check_leftovers
from converters.building.caffe.wiring import Wiring, wire
from converters.building.onnx.from_onnx import network_name
from converters.building.operations import HANDLERS
from converters.building.verify import TOLERANCE, difference, double_model, double_precision
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading.caffe.definitions import defined_net
from converters.reading.caffe.file_layers import file_layers
from converters.reading.caffe.prototxt import read_prototxt
from converters.reading.files import naming
from converters.types import Path
from converters.weights.receipts import Receipt
from tfseg.layers.metadata import set_size_multiple

FAMILY = "Caffe network"
"""What a receipt calls the family of a model that was built from a network's own layers."""

_ROUNDING = 8.0  # how much more than the model's own rounding OpenCV's may be
_LARGEST_ROUNDING = 1e-3
_FREE = "tfseg.convolutionalize makes a classifier's fully connected layers convolutions, which take any size"


class BuiltNet(NamedTuple):
    """A model that was built from a network of Caffe.

    Attributes:
        model: the model, with the file's weights.
        receipt: the account of it.
    """

    model: keras.Model
    receipt: Receipt


def is_caffe(source: Source) -> bool:
    """Whether a source is one file of Caffe's weights.

    Args:
        source: opened source.
    """
    return len(source.checkpoints) == 1 and source.checkpoints[0].format == "Caffe"


def build_from_source(
    source: Source, *, prototxt: Path | None = None, skip: Sequence[str] = (), allow_nonfinite: bool = False
) -> BuiltNet:
    """`build_from_caffe` for an opened source; the receipt names its file.

    Args:
        source: source that `is_caffe` knows.
        prototxt: path of the network's description; by default what the file defines.
        skip: regular expressions of layers of the file that are left out.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: as `build_from_caffe`.
    """
    (checkpoint,) = source.checkpoints
    model, receipt = build_from_caffe(checkpoint.path, prototxt=prototxt, skip=skip, allow_nonfinite=allow_nonfinite)
    receipt.files = [
        {"path": str(file), "size": file.stat().st_size, "sha256": source.digest(file, "sha256")}
        for file in checkpoint.files
    ]
    return BuiltNet(model, receipt)


def build_from_caffe(
    path: Path,
    *,
    prototxt: Path | None = None,
    skip: Sequence[str] = (),
    allow_nonfinite: bool = False,
    tolerance: float = TOLERANCE,
) -> BuiltNet:
    """A Keras model that computes what Caffe computes with a prototxt and a file of weights, in the phase TEST.

    Args:
        path: path of the `.caffemodel` or `.caffemodel.h5`.
        prototxt: path of the network's description; by default the layers that the file defines.
        skip: regular expressions of layers of the file that are left out.
        allow_nonfinite: accept NaN and infinite weights.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: a layer that Keras cannot compute exactly, by its name and type; weights that the prototxt
            lacks, or that lack a layer; a model that differs from OpenCV's.
    """
    name = FilePath(path).name
    layers = file_layers(path)
    try:
        defined = defined_net(path)
    except ConversionError:
        if prototxt is None:
            raise
        defined = None
    net = defined if prototxt is None else read_prototxt(prototxt)
    if net is None:
        raise ConversionError(
            f"{name} holds the weights of Caffe's layers and does not say how the layers are connected. Give its "
            "prototxt: prototxt='deploy.prototxt' (--prototxt=deploy.prototxt)."
        )
    described = name if prototxt is None else FilePath(prototxt).name
    with naming(described):
        wiring = wire(net)
    with naming(name):
        leftovers = check_leftovers(layers, net, wiring.nodes, defined, skip)
        transposed = {node.layer.name: bool(node.layer.parameters.get("transpose", False)) for node in wiring.nodes}
        weights = Weights(layers, wiring.nodes, transposed)
        if not allow_nonfinite:
            _check_finite(weights)
    title = network_name(net.name or FilePath(path).name.partition(".")[0])
    with naming(described):
        refusal: ConversionError | None = None
        for traced in programs(wiring, weights, title):
            try:
                builder = Builder(traced.graph, HANDLERS)
                names = [clean(blob) for blob in traced.graph.inputs] if len(traced.graph.inputs) > 1 else None
                model = builder.build(traced.fixed, names=names)
            except ConversionError as error:
                refusal = refusal or error
                continue
            set_size_multiple(model, traced.multiple)
            receipt = _receipt(name, traced, builder, model, weights, leftovers, wiring)
            receipt.notes += [] if prototxt else ["its layers are those that the file itself defines"]
            receipt.prototxt = None if prototxt is None else described
            _compare(path, wiring, traced, model, receipt, tolerance)
            return BuiltNet(model, receipt)
        assert refusal is not None
        raise refusal


def _check_finite(weights: Weights) -> None:
    for key in weights.tensors:
        if not np.isfinite(weights.read(key)).all():
            raise ConversionError(
                f"holds weights that cannot be used: {key} is not finite in float32. Fetch the file again; to import "
                "NaN and infinite weights anyway, pass allow_nonfinite=True (--allow_nonfinite)."
            )


def _receipt(
    name: str,
    traced: TracedNet,
    builder: Builder,
    model: keras.Model,
    weights: Weights,
    leftovers: dict[str, str],
    wiring: Wiring,
) -> Receipt:
    receipt = account(
        traced.graph,
        builder,
        model,
        source=name,
        family=FAMILY,
        tensors=dict.fromkeys(weights.tensors, "") | weights.unused | leftovers,
        sizes=_sizes(traced),
    )
    receipt.notes += wiring.notes
    if leftovers:
        listed = ", ".join(list(leftovers)[:6]) + (", ..." if len(leftovers) > 6 else "")
        receipt.notes.append(f"layers of the file that are not in the network: {listed}")
    return receipt


def _sizes(traced: TracedNet) -> str:
    """Which images the network takes, as a sentence; "" for any."""
    if traced.fixed:
        height, width = traced.fixed
        return f"the network takes images of {height} x {width} pixels only ({traced.why}); {_FREE}"
    if traced.multiple > 1:
        return f"the network takes images whose sides are multiples of {traced.multiple}"
    return ""


def _compare(
    path: Path, wiring: Wiring, traced: TracedNet, model: keras.Model, receipt: Receipt, tolerance: float
) -> None:
    """Compares the model with OpenCV, and writes down what was found.

    Raises:
        ConversionError: they differ by more than rounding.
    """
    if not opencv.is_available():
        receipt.notes.append("nothing was compared: OpenCV is not installed (pip install opencv-python-headless)")
        return
    reason = opencv.why_not(wiring)
    run, sizes = None, []
    if not reason:
        run, sizes, reason = _witness(path, wiring, traced)
    if run is None or not sizes:
        receipt.notes.append(f"nothing was compared: {reason}")
        return
    name = f"{FilePath(path).name} in OpenCV"
    # A prototxt may state a batch of one in its shapes, which OpenCV takes at its word.
    batch = 1 if any(node.layer.type == "Reshape" for node in wiring.nodes) else 2
    worst = max(difference(model, run, name, size, batch=batch) for size in sizes)
    images = " and ".join(f"{height} x {width}" for height, width in sizes)
    receipt.parity = {"with": name, "images": images, "max relative difference": worst}
    if worst <= tolerance:
        return
    witness, own = _roundings(traced, model, run, name, sizes, batch)
    if not (witness <= max(tolerance, _ROUNDING * own) and own <= _LARGEST_ROUNDING):
        raise ConversionError(
            f"the model that was built differs from {name} by {worst:.2g} of the largest value, and from itself in "
            f"double precision by {own:.2g}. At most {tolerance:g} is accepted. Nothing is returned."
        )
    receipt.notes.append(
        f"the network amplifies rounding: from the model in double precision, OpenCV differs by {witness:.2g} and the "
        f"model by {own:.2g}"
    )


def _witness(path: Path, wiring: Wiring, traced: TracedNet) -> tuple[Any, list[tuple[int, int]], str]:
    """OpenCV's function, the sizes at which it runs, and why there is none."""
    channels = {name: traced.graph.shapes[name][0][1] for name in traced.graph.inputs}
    try:
        run = opencv.runner(wiring, channels, path)
    except ConversionError as error:
        return None, [], str(error)
    sizes, reason = [], ""
    for size in traced.checks:
        images = [np.zeros((2, count, *size), "float32") for count in channels.values()]
        try:
            run(images)
            sizes.append(size)
        except Exception as error:  # OpenCV's own class
            reason = f"OpenCV does not run it: {' '.join(str(error).split())[:200]}"
    return run, sizes, reason


def _roundings(
    traced: TracedNet, model: keras.Model, run: Any, name: str, sizes: Sequence[tuple[int, int]], batch: int
) -> tuple[float, float]:
    """How far OpenCV, and the model, are from the model in double precision."""
    with double_precision():
        exact = double_model(traced.graph, traced.fixed, None)
        witness = max(difference(exact, run, name, size, "float64", batch) for size in sizes)

    def run_model(images: Any) -> Any:
        several = images if isinstance(images, list) else [images]
        maps = [np.asarray(image.transpose(0, 2, 3, 1), "float32") for image in several]
        return _channels_first(model(maps if len(maps) > 1 else maps[0]))

    with double_precision():
        own = max(difference(exact, run_model, "the model", size, "float64", batch) for size in sizes)
    return witness, own


def _channels_first(result: Any) -> Any:
    if isinstance(result, list | tuple):
        return [_channels_first(part) for part in result]
    value = np.asarray(result)
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
