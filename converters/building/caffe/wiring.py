"""The layers of a network that its results need, each blob under a name of its own.

Caffe's layers may write their result over what they read. Here, each result has its own name: that of the blob, and a
number where the blob is written again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from converters.errors import ConversionError
from converters.reading.caffe.prototxt import PrototxtLayer, PrototxtNet, Sizes

# Layers that only measure, or write a file: what they read is a result of the network.
_ENDS = re.compile(r"\w*Loss\w*|\w*Accuracy|HDF5Output|MatWrite|ImageWrite|\w*EvalPred")
_SOURCES = re.compile(r"Input|\w*Data|Python|DummyData|WindowData")


class Node(NamedTuple):
    """A layer.

    Attributes:
        layer: the layer of the prototxt.
        inputs, outputs: names of the values that it reads and makes.
    """

    layer: PrototxtLayer
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Wiring(NamedTuple):
    """A network at test time.

    Attributes:
        nodes: layers that the results need, in order.
        inputs: name of an image -> its sizes, where they are stated.
        outputs: names of the results, in order.
        left_out: names of the layers with weights that no result needs.
        notes: sentences for the receipt.
    """

    nodes: tuple[Node, ...]
    inputs: Mapping[str, Sizes]
    outputs: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def wire(net: PrototxtNet) -> Wiring:
    """The layers that the results of a network need.

    Args:
        net: network in the phase TEST.
    Raises:
        ConversionError: a layer that reads what only a loss makes; a network without results.
    """
    return _Wirer(net).wiring()


class _Wirer:
    def __init__(self, net: PrototxtNet) -> None:
        self.net = net
        self.latest: dict[str, str] = {}  # blob -> name of its value
        self.names: set[str] = set()
        self.nodes: list[Node] = []
        self.ends: list[PrototxtLayer] = []
        self.free: dict[str, Sizes] = {}  # values that no layer makes
        self.read: set[str] = set()
        self.measured: dict[str, set[bool]] = {}  # value -> whether a loss reads it in its first place
        self.made_by_ends: dict[str, str] = {}

    def wiring(self) -> Wiring:
        for blob, sizes in self.net.inputs.items():
            self.free[self._new(blob)] = sizes
        for layer in self.net.layers:
            self._add(layer)
        outputs = self._outputs()
        nodes = _needed(self.nodes, outputs)
        read = {name for node in nodes for name in node.inputs}
        inputs = {name: sizes for name, sizes in self.free.items() if name in read}
        self._check_constants(inputs)
        kept = {node.layer.name for node in nodes}
        left_out = tuple(node.layer.name for node in self.nodes if node.layer.name not in kept)
        left = sorted({layer.type for layer in self.ends})
        notes = (f"layers that only measure are left out: {', '.join(left)}",) if left else ()
        return Wiring(tuple(nodes), inputs, outputs, left_out, notes)

    def _check_constants(self, inputs: Mapping[str, Sizes]) -> None:
        """Refuses constants beside an image: a layer fills them, and no user gives them."""
        filled = {top: layer.name for layer in self.net.layers if layer.type == "DummyData" for top in layer.tops}
        constants = [filled[name] for name in inputs if name in filled]
        if constants and len(constants) < len(inputs):
            raise ConversionError(
                f"reads constants beside its image: the layer {constants[0]!r} (DummyData) fills a blob. Expected a "
                "network whose inputs are images. Take the layer out of the prototxt."
            )

    def _add(self, layer: PrototxtLayer) -> None:
        if not layer.bottoms and (_SOURCES.fullmatch(layer.type) or not layer.tops):
            return  # an image: its blob is among the network's inputs
        if layer.type == "Silence":
            self.read.update(self._value(blob, layer) for blob in layer.bottoms)
            return
        if _ENDS.fullmatch(layer.type):
            self.ends.append(layer)
            for index, blob in enumerate(layer.bottoms):
                self.measured.setdefault(self._value(blob, layer), set()).add(index == 0)
            self.made_by_ends |= dict.fromkeys(layer.tops, layer.name)
            return
        inputs = tuple(self._value(blob, layer) for blob in layer.bottoms)
        outputs = tuple(self._new(blob) for blob in layer.tops)
        self.read.update(inputs)
        self.nodes.append(Node(layer, inputs, outputs))

    def _new(self, blob: str) -> str:
        name, number = blob, 1
        while name in self.names:
            number += 1
            name = f"{blob}#{number}"
        self.names.add(name)
        self.latest[blob] = name
        self.made_by_ends.pop(blob, None)
        return name

    def _value(self, blob: str, layer: PrototxtLayer) -> str:
        if blob in self.made_by_ends and not _ENDS.fullmatch(layer.type):
            raise ConversionError(
                f"the layer {layer.name!r} reads {blob!r}, which the layer {self.made_by_ends[blob]!r} measures in "
                "training. Expected a prototxt for prediction, as deploy.prototxt."
            )
        if blob not in self.latest:
            self.free[self._new(blob)] = None
        return self.latest[blob]

    def _outputs(self) -> tuple[str, ...]:
        """What no layer reads, but for those that measure; not the targets that they compare with."""
        made = [name for node in self.nodes for name in node.outputs if name not in self.read]
        chosen = tuple(name for name in made if True in self.measured.get(name, {True}))
        if not chosen:
            raise ConversionError("describes no layer that computes a result. Expected a network, as deploy.prototxt.")
        return chosen


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]
