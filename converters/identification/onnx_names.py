"""The weights of an ONNX graph under the names of the network that it is, also where exporting lost them.

Exporters fold a BatchNorm into the convolution before it, and may drop the names of what they folded. A node's name
then tells the layer's module. If it does not, the layer's place does: the graph must have exactly the wires of one of
torchvision's networks.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from converters.families import FAMILIES, FamilyNetwork
from converters.families.differences import describe_differences
from converters.families.pytorch import torchvision
from converters.reading import Checkpoint
from converters.reading.files import naming
from converters.reading.onnx.weighted_layers import NORM_PARTS, WeightedGraph, WeightedLayer, weighted_graph
from converters.reading.tensors import Block, Tensor
from converters.reading.unwrapping import strip
from converters.types import Shape
from tfseg import specs

EPSILON = 1e-5  # epsilon of every BatchNorm that torch's exporters fold into a network known here
# A BatchNorm that changes nothing. The variance and epsilon together are the largest number below 1. TensorFlow's
# inverse square root of it, computed for eight channels at once, is 1 to the last bit. For 1 itself it is not.
_VARIANCE = np.nextafter(np.float32(1 - EPSILON), np.float32(0))
IDENTITY = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": _VARIANCE}

# What torchvision's networks compute besides their layers, by every exporter; any other operation is another network.
_OPERATIONS = set(
    "Conv Gemm MatMul BatchNormalization Relu MaxPool Add Concat GlobalAveragePool AveragePool ReduceMean Flatten "
    "Reshape Squeeze Dropout Resize Upsample Identity".split()
)
_RESNET_POOL = {((3, 3), (2, 2), (1, 1, 1, 1), False)}
_POOLS = (
    (torchvision.VGG, {((2, 2), (2, 2), (0, 0, 0, 0), False)}),
    (torchvision.RESNET, _RESNET_POOL),
    (torchvision.SEGMENTATION, _RESNET_POOL),
)
_ASPP = tuple(f"aspp_{branch}_conv" for branch in (0, 1, 2, 3, "pool"))


Facts = dict[str, dict[str, Any]]
"""Key of a tensor -> what its layer does in the graph: `strides`, `dilation_rate` and `groups`, or `epsilon`."""

Wires = dict[str, frozenset[str]]
"""Layer -> the layers whose results it takes, in order of computation."""


class NamedTensors(NamedTuple):
    """A graph's tensors under a network's names.

    Attributes:
        checkpoint: checkpoint with the network's keys; or with the file's, if no known network has these tensors.
        facts: what the layers do in the graph, for each key.
        notes: sentences on what the names do not show.
    """

    checkpoint: Checkpoint
    facts: Facts
    notes: tuple[str, ...]


def name_tensors(checkpoint: Checkpoint) -> NamedTensors:
    """The tensors of an ONNX file under the names of the network that it is; other files keep their names.

    Args:
        checkpoint: checkpoint of a file.
    Raises:
        ConversionError: a quantized network, or weights that the graph computes.
    """
    if checkpoint.graph is None:
        return NamedTensors(checkpoint, {}, ())
    with naming(checkpoint.path):
        graph = weighted_graph(checkpoint.graph)
    for network, layers in _candidates(graph):
        tensors, facts = _tensors(network, layers)
        if describe_differences(network, {key: tensor.shape for key, tensor in tensors.items()}):
            continue
        notes = []
        if folded := _folded(network, layers):
            notes.append(f"BatchNorm folded into the convolutions: identity here ({folded} layers)")
        if not _has_modules(graph):
            notes.append("the file does not name the modules: its tensors are named by their places in the graph")
        named = Checkpoint(
            checkpoint.path,
            checkpoint.format,
            graph.others | tensors,
            files=checkpoint.files,
            graph=checkpoint.graph,
        )
        return NamedTensors(named, facts, tuple(notes))
    return NamedTensors(checkpoint, {}, ())


def _has_modules(graph: WeightedGraph) -> bool:
    return bool(graph.layers) and all(layer.module for layer in graph.layers)


def _candidates(graph: WeightedGraph) -> Iterator[tuple[FamilyNetwork, dict[str, WeightedLayer]]]:
    """`(network, {Keras layer: the graph's layer})` for the networks that the graph may be."""
    if _has_modules(graph):
        # A module that runs several times, as at several sizes of the image, has the same weights each time.
        _, layers = strip({f"{layer.module}.weight": layer for layer in graph.layers})
        for network in itertools.chain.from_iterable(family.networks for family in FAMILIES.values()):
            paths = [network.table.path(key) or "" for key in layers] if network.first in layers else []
            if paths and all(paths):
                names = [path.rpartition("/")[0] for path in paths]
                yield network, dict(zip(names, layers.values(), strict=True))
    elif not (graph.operations - _OPERATIONS or graph.others or not all(layer.centered for layer in graph.layers)):
        yield from sorted(_by_place(graph), key=lambda fit: _folded(*fit))


def _by_place(graph: WeightedGraph) -> Iterator[tuple[FamilyNetwork, dict[str, WeightedLayer]]]:
    """The networks of torchvision whose layers feed each other as in the graph, in order of computation."""
    for family, pools in _POOLS:
        variants = [(network, wires) for network in family.networks for wires in _wires(network)]
        for network, wires in variants:
            names = list(wires)
            if len(names) == len(graph.layers) and graph.pools == pools:
                feeds = [frozenset(names[index] for index in layer.feeds) for layer in graph.layers]
                if feeds == list(wires.values()):
                    yield network, dict(zip(names, graph.layers, strict=True))


def _wires(network: FamilyNetwork) -> Iterator[Wires]:
    """The wires of everything that a file may hold for a network of torchvision: with and without its heads."""
    if network in torchvision.VGG.networks:
        chain = [layer for _, layer, kind in network.table.rows if kind != "norm"]
        for names in (chain, [name for name in chain if name.startswith("conv")]):
            yield {name: frozenset(names[max(index - 1, 0) : index]) for index, name in enumerate(names)}
        return
    head, _, backbone = network.name.partition("_")
    ends: dict[int, frozenset[str]] = {}
    trunk = dict(_trunk(specs.RESNETS.get(network.name) or specs.RESNETS[backbone], ends))
    if network in torchvision.RESNET.networks:
        yield trunk | {"predictions": ends[5]}
        yield trunk
        return
    before = ends[5]
    if head == "deeplabv3":
        trunk |= dict.fromkeys(_ASPP, before) | {"aspp_project_conv": frozenset(_ASPP)}
        before = frozenset(["aspp_project_conv"])
    trunk |= {"head_conv": before, "logits": frozenset(["head_conv"])}
    yield trunk
    yield trunk | {"aux_head_conv": ends[4], "aux_logits": frozenset(["aux_head_conv"])}


def _trunk(spec: specs.ResNetSpec, ends: dict[int, frozenset[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    """The rows of `_wires` for the trunk; `ends` gets the layers whose results leave each stage."""
    before = frozenset(["conv1_conv"])
    yield "conv1_conv", frozenset()
    for stage, blocks in enumerate(spec.blocks, 2):
        for block in range(1, blocks + 1):
            branch = before
            for index in range(1, 4 if spec.bottleneck else 3):
                name = f"conv{stage}_block{block}_{index}_conv"
                yield name, branch
                branch = frozenset([name])
            if block == 1 and (stage > 2 or spec.bottleneck):
                name = f"conv{stage}_block{block}_0_conv"
                yield name, before
                before = frozenset([name])
            before |= branch
        ends[stage] = before


def _norm(network: FamilyNetwork, name: str) -> dict[str, str]:
    """Part of the BatchNorm after a Keras layer -> key of its tensor; nothing if there is no BatchNorm."""
    rows = {part: network.table.backward(f"{name.removesuffix('_conv')}_bn/{part}") for part in NORM_PARTS}
    return {part: row[0] for part, row in rows.items() if row}


def _folded(network: FamilyNetwork, layers: Mapping[str, WeightedLayer]) -> int:
    """How many of the network's BatchNorms the graph does not have."""
    return sum(layer.norm is None and bool(_norm(network, name)) for name, layer in layers.items())


def _tensors(network: FamilyNetwork, layers: Mapping[str, WeightedLayer]) -> tuple[dict[str, Tensor], Facts]:
    """`({key: tensor}, {key: facts})` with the network's keys; a BatchNorm that was folded becomes an identity."""
    tensors: dict[str, Tensor] = {}
    facts: Facts = {}
    for name, layer in layers.items():
        kernel, bias = (_key(network, f"{name}/{part}") for part in ("kernel", "bias"))
        tensors[kernel], facts[kernel] = layer.weight, layer.facts
        keys, parts, layer_bias = _norm(network, name), layer.norm, layer.bias
        if keys and not parts:
            channels = layer.weight.shape[:1]
            parts = {part: _constant(value, channels) for part, value in IDENTITY.items()}
            if not network.name.startswith("vgg"):  # VGG's convolutions have biases beside their BatchNorms
                parts["beta"], layer_bias = layer_bias or parts["beta"], None
        if layer_bias:
            tensors[bias] = layer_bias
        for part, tensor in (parts or {}).items():
            tensors[keys.get(part, f"{kernel} ({part})")] = tensor
        if keys:
            facts[keys["gamma"]] = {"epsilon": layer.epsilon if layer.norm else EPSILON}
    return tensors, facts


def _key(network: FamilyNetwork, path: str) -> str:
    """The key of the tensor that fills a variable."""
    row = network.table.backward(path)
    if row is None:
        raise KeyError(path)
    return row[0]


def _constant(value: float, shape: Shape) -> Tensor:
    return Tensor(Block.of(np.full(shape, value, "<f4").tobytes()), np.dtype("<f4"), shape)
