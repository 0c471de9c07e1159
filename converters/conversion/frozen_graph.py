"""A frozen graph whose constants are the weights of a known network: that network, compared with the graph itself."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.tensorflow.check_nodes import check_nodes
from converters.building.tensorflow.graph_nodes import flat_nodes
from converters.building.tensorflow.inputs import Image
from converters.building.tensorflow.open_program import open_program
from converters.building.tensorflow.runtime import runner
from converters.building.verify import TOLERANCE, reporting
from converters.conversion.convert_graph import running_tensorflow
from converters.conversion.known_network import convert_known
from converters.conversion.requests import Conversion, Request
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.identify import identify_source
from converters.identification.sources import Source, open_source
from converters.identification.statements.graph_statement import reader_of, stride_before
from converters.reading.tensorflow.frozen_graph import PASSING, GraphNode, source_of
from converters.types import Path

_BEFORE = PASSING | {"Pad", "PadV2"}  # of the first convolution: they belong to it
_AFTER = frozenset(("BiasAdd", "Add", "AddV2"))
_ANY_SIZE = (65, 97)
_LEAST_MAP = 3  # sides of windows that are no longer those of a pooling inside of a network


class _Ends(NamedTuple):
    """Where the network begins and ends in a graph.

    Attributes:
        image: name of the node whose result it takes.
        channels: channels of that.
        logits: name of the node with its scores.
        enlarged: name of the node with the scores at the image's size; None where the graph has none.
        size: height and width that the graph takes.
    """

    image: str
    channels: int
    logits: str
    enlarged: str | None
    size: tuple[int, int]


def convert_frozen(path: Path, request: Request) -> Conversion | None:
    """`convert` for a frozen graph of a known network; None where its constants are none's.

    What the graph does with an image before the network, and with the scores after it, is left out. The network
    between is compared with the graph, which TensorFlow runs.

    Args:
        path: path of the graph.
        request: what the caller asks for.
    Raises:
        ConversionError: a graph that computes something else with the weights of a known network.
    """
    try:
        source = open_source(path)
        candidates = identify_source(
            source, family=request.family, skip=request.skip, prefix=request.prefix, network=request.network
        )
    except ConversionError:
        if request.is_of_families:
            raise
        return None
    if not candidates.matches and not request.is_of_families:
        return None
    model, receipt = convert_known(source, request)
    fit = next((fit for fit in candidates.matches if fit.names == (receipt.family, receipt.network)), None)
    if fit is None or receipt.transplant or request.skip or set(candidates.source) != set(source):
        receipt.notes.append("it is not compared with its graph, since it is another network or a part of it")
        return Conversion(model, receipt)
    form = request.form.output_stride is not None or request.form.convention is not None
    if form or request.form.include_top is False:
        receipt.notes.append("it is not compared with its graph, since another form is asked for")
        return Conversion(model, receipt)
    ends = _ends(source, fit)
    with running_tensorflow(path):
        receipt.parity, last = _compare(path, model, ends)
    receipt.notes.append(
        f"the network is what the graph computes from {ends.image} to {last}: the graph's own preparation of the image "
        "before it, and what follows, are left out"
    )
    if ends.enlarged and last != ends.enlarged:
        receipt.notes.append(
            "the graph chooses classes on its small map and repeats them; the model enlarges its scores, bilinearly"
        )
    return Conversion(model, receipt)


def _ends(source: Source, fit: Fit) -> _Ends:
    """Where the network begins and ends in the graph.

    Raises:
        ConversionError: the graph computes it several times, as at several sizes, or not at all.
    """
    nodes, network = source.checkpoints[0].nodes, fit.network
    first, last = reader_of(network.first, nodes), reader_of(fit.classes, nodes)
    if first is None or last is None:
        raise ConversionError(
            f"{source.name} has the weights of {network.name}, and its graph does not compute that once: "
            f"{network.first if first is None else fit.classes} is read by no node, or by several, as where the graph "
            "sees an image at several sizes."
        )
    logits = _with_bias(last, nodes)
    return _Ends(
        source_of(first.inputs[0], nodes, _BEFORE),
        int(source.shapes[network.first][2]),
        logits,
        _enlarged(logits, nodes),
        _size(nodes),
    )


def _with_bias(node: GraphNode, nodes: Mapping[str, GraphNode]) -> str:
    for other in _readers(node.name, nodes):
        if other.op in _AFTER and other.inputs[0] == node.name:
            constant = nodes.get(source_of(other.inputs[1], nodes))
            if constant is not None and constant.op == "Const":
                return other.name
    return node.name


def _readers(name: str, nodes: Mapping[str, GraphNode]) -> Iterator[GraphNode]:
    return (node for node in nodes.values() if name in node.inputs)


def _enlarged(logits: str, nodes: Mapping[str, GraphNode]) -> str | None:
    """The node with the scores before their largest is chosen, if the graph does."""
    name = logits
    for _ in range(8):
        readers = list(_readers(name, nodes))
        if any(node.op == "ArgMax" for node in readers):
            return name
        following = [node for node in readers if node.op in PASSING or node.op == "ResizeBilinear"]
        if len(following) != 1:
            return None
        name = following[0].name
    return None


def _size(nodes: Mapping[str, GraphNode]) -> tuple[int, int]:
    """The size of the image that a pooling over the whole map tells; a size of choice where none does."""
    for node in nodes.values():
        kernel = node.numbers("ksize")
        if node.op == "AvgPool" and len(kernel) == 4 and min(kernel[1:3]) > _LEAST_MAP:
            stride = stride_before(node, nodes)
            return (kernel[1] - 1) * stride + 1, (kernel[2] - 1) * stride + 1
    return _ANY_SIZE


def _compare(path: Path, model: keras.Model, ends: _Ends) -> tuple[dict[str, Any], str]:
    """The entry of a receipt, and the name of the last node that was compared.

    Raises:
        ConversionError: the model differs from the graph, or TensorFlow does not run it.
    """
    names = [name for name in dict.fromkeys((ends.logits, ends.enlarged)) if name]
    program = open_program(path, inputs=[ends.image], outputs=names)
    nodes, _ = flat_nodes(program.definition, names)
    check_nodes(nodes)
    image = Image(ends.image, ends.channels, None, ends.size, True, "float32")
    height, width = ends.size
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, height, width, ends.channels)).astype("float32")
    expected = reporting(runner(program, image, {}), "TensorFlow")(pixels.transpose(0, 3, 1, 2))
    expected = list(expected) if isinstance(expected, list) else [expected]
    results = _results(model, pixels, len(names))
    worst, last = 0.0, ends.logits
    for name, ours, reference in zip(names, results, expected, strict=True):
        reference = reference.transpose(0, 2, 3, 1) if reference.ndim == 4 else reference
        if name != ends.logits and reference.shape[1:3] != ends.size:
            continue
        if reference.size != ours.size:
            raise ConversionError(
                f"has the weights of {model.name} and computes something else: its node {name!r} gives "
                f"{reference.shape}, the network {ours.shape}."
            )
        scale = max(float(np.abs(reference).max()), 1e-30)
        worst, last = max(worst, float(np.abs(ours.reshape(reference.shape) - reference).max()) / scale), name
    if not worst <= TOLERANCE:
        raise ConversionError(
            f"has the weights of {model.name} and computes something else: its node {last!r} differs by "
            f"{worst:.2g} of the largest value on random images of {height} x {width} pixels."
        )
    parity = {"with": "the graph in TensorFlow", "images": f"{height} x {width}", "max relative difference": worst}
    return parity, last


def _results(model: keras.Model, pixels: np.ndarray, number: int) -> list[np.ndarray]:
    """The model's scores, and with a second number those of the image's size."""
    small = any(layer.name == "logits" for layer in model.layers)
    outputs = [model.get_layer("logits").output if small else model.output, model.output][:number]
    run = keras.Model(model.input, outputs)
    return [keras.ops.convert_to_numpy(result) for result in run(pixels)]
