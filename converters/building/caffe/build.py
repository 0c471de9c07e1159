"""A prototxt and a `.caffemodel` in, a Keras model of the same layers out: built from the program that they are.

If OpenCV is installed, the model is compared with its importer where that computes what Caffe does.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import NamedTuple

import keras
import numpy as np

import tfseg
from converters.building.account import account
from converters.building.builder import Builder
from converters.building.caffe.comparison import compare
from converters.building.caffe.from_caffe import TracedNet, programs
from converters.building.caffe.preprocessing import preprocessing_of
from converters.building.caffe.tracing import clean
from converters.building.caffe.weights import Weights, check_leftovers
from converters.building.caffe.wiring import Wiring, wire
from converters.building.onnx.from_onnx import network_name
from converters.building.operations import HANDLERS
from converters.building.record import make_record
from converters.building.verify import TOLERANCE
from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading.caffe.definitions import defined_net
from converters.reading.caffe.file_layers import file_layers
from converters.reading.caffe.prototxt import PrototxtNet, read_prototxt
from converters.reading.files import naming
from converters.types import Path
from converters.weights.built_record import remember
from converters.weights.receipts import Receipt
from tfseg.layers.metadata import set_size_multiple

FAMILY = "Caffe network"
"""What a receipt calls the family of a model that was built from a network's own layers."""

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
            compare(path, wiring, traced, model, receipt, tolerance)
            _remember(model, traced, builder, weights)
            _carry_preprocessing(model, receipt, net)
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


def _remember(model: keras.Model, traced: TracedNet, builder: Builder, weights: Weights) -> None:
    """Lets the model carry where each tensor went, so that its weights can be written back."""
    state = {key: traced.graph.tensors[key] for key in weights.tensors if key in traced.graph.tensors}
    state |= {key: weights.read(key) for key in weights.tensors if key not in state}
    record = make_record(traced.graph, builder, family=FAMILY, state=state, same=weights.same, dtypes={})
    remember(model, dataclasses.replace(record, caffe=weights.stored))


def _carry_preprocessing(model: keras.Model, receipt: Receipt, net: PrototxtNet) -> None:
    """Lets the model carry the preprocessing that a data layer of the prototxt states."""
    stated = preprocessing_of(net)
    if stated is not None and model.inputs[0].shape[-1] == len(stated["mean"]):
        tfseg.set_metadata(model, preprocessing=stated)
        receipt.preprocessing = stated
        receipt.notes.append("its preprocessing is what its data layer says")
