"""The weights of an ONNX graph under the names of the network that it is, also where exporting lost them.

Exporters fold a BatchNorm into the convolution before it, and may drop the names of what they folded. A node's name
then tells the layer's module. If it does not, the layer's place does: the graph must have exactly the wires of one of
torchvision's networks. Names only say which network to try: `programs.check_source` compares what the graph computes.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from converters.families import FAMILIES, FamilyNetwork
from converters.families.differences import describe_differences
from converters.families.pytorch import torchvision
from converters.reading import Checkpoint
from converters.reading.files import naming
from converters.reading.onnx.fused_nodes import split_fused
from converters.reading.onnx.model_file import OnnxGraph
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

_FAMILIES = (torchvision.VGG, torchvision.RESNET, torchvision.SEGMENTATION)  # known by their wires
_CONSTANTS = 16  # numbers of a constant that no layer of a known network has: a scale, the mean of the image's channels
_ASPP = tuple(f"aspp_{branch}_conv" for branch in (0, 1, 2, 3, "pool"))


Wires = dict[str, frozenset[str]]
"""Layer -> the layers whose results it takes, in order of computation."""


class NamedLayer(NamedTuple):
    """What a node with weights is in the network.

    Attributes:
        key: key of the tensor that its Keras layer is known by: the kernel, or the gamma of a BatchNorm.
        kernel: shape of the kernel, as torch lays it out; of a BatchNorm, of its gamma.
        bias: whether the layer has a bias of its own; a folded BatchNorm takes it over.
        ends: name of the value that is the layer's result: after a product of matrices, the sum with the bias.
    """

    key: str
    kernel: Shape
    bias: bool
    ends: str


class NamedGraph(NamedTuple):
    """A graph whose layers have the names of a network.

    Attributes:
        graph: nodes of the file, none of them fused.
        layers: name of a value -> the layer that makes it.
        folded: keys of the gammas of those BatchNorms that the graph does not have.
        prefix: what the names of the file have before the network's names.
    """

    graph: OnnxGraph
    layers: dict[str, NamedLayer]
    folded: frozenset[str]
    prefix: str


class NamedTensors(NamedTuple):
    """A graph's tensors under a network's names.

    Attributes:
        checkpoint: checkpoint with the network's keys; or with the file's, if no known network has these tensors.
        graph: graph whose nodes have the same keys, or None for files without a graph.
        notes: sentences on what the names do not show.
    """

    checkpoint: Checkpoint
    graph: NamedGraph | None
    notes: tuple[str, ...]


class _Candidate(NamedTuple):
    network: FamilyNetwork
    layers: dict[str, list[WeightedLayer]]  # Keras layer -> the nodes that have its weights
    prefix: str
    by_place: bool


def name_tensors(checkpoint: Checkpoint) -> NamedTensors:
    """The tensors of an ONNX file under the names of the network that it is; other files keep their names.

    Args:
        checkpoint: checkpoint of a file.
    Raises:
        ConversionError: a quantized network, weights that the graph computes, or one that onnxruntime saved for one
            processor.
    """
    if checkpoint.graph is None:
        return NamedTensors(checkpoint, None, ())
    with naming(checkpoint.path):
        nodes = split_fused(checkpoint.graph)
        graph = weighted_graph(nodes)
    for candidate in [*_by_name(graph), *_by_place(graph)]:
        network, layers = candidate.network, {name: nodes[0] for name, nodes in candidate.layers.items()}
        tensors = _tensors(network, layers)
        if describe_differences(network, {key: tensor.shape for key, tensor in tensors.items()}):
            continue
        notes = []
        if candidate.prefix:
            notes.append(f"the names of the file begin with {candidate.prefix!r}, which is left out")
        if folded := _folded(network, layers):
            notes.append(f"BatchNorm folded into the convolutions: identity here ({len(folded)} layers)")
        if candidate.by_place:
            notes.append(
                "the file does not name the modules as a known network does: its tensors are named by their places in "
                "the graph"
            )
        others = {
            key.removeprefix(candidate.prefix): tensor
            for key, tensor in graph.others.items()
            if math.prod(tensor.shape) > _CONSTANTS
        }
        named = Checkpoint(
            checkpoint.path,
            checkpoint.format,
            others | tensors,
            files=checkpoint.files,
            graph=checkpoint.graph,
        )
        return NamedTensors(named, _named_graph(nodes, candidate, folded), tuple(notes))
    return NamedTensors(checkpoint, _unnamed_graph(nodes, graph), ())


def _named_graph(nodes: OnnxGraph, candidate: _Candidate, folded: frozenset[str]) -> NamedGraph:
    network, named = candidate.network, dict[str, NamedLayer]()
    for name, users in candidate.layers.items():
        kernel, norm = _key(network, f"{name}/kernel"), _norm(network, name)
        for layer in users:
            bias = layer.bias is not None and not _gives_bias(network, layer, norm)
            ends = layer.sum_value or layer.value
            named[layer.value] = NamedLayer(kernel, layer.weight.shape, bias, ends)
            if layer.norm_value and norm:
                gamma = norm["gamma"]
                named[layer.norm_value] = NamedLayer(gamma, layer.weight.shape[:1], True, layer.norm_value)
    return NamedGraph(nodes, named, folded, candidate.prefix)


def _unnamed_graph(nodes: OnnxGraph, graph: WeightedGraph) -> NamedGraph:
    """The graph under the file's own names."""
    named = {
        layer.value: NamedLayer(
            layer.tensor, layer.weight.shape, layer.bias is not None, layer.sum_value or layer.value
        )
        for layer in graph.layers
    }
    return NamedGraph(nodes, named, frozenset(), "")


def _has_modules(graph: WeightedGraph) -> bool:
    return bool(graph.layers) and all(layer.module for layer in graph.layers)


def _by_name(graph: WeightedGraph) -> Iterator[_Candidate]:
    """The networks whose modules have the names of the graph's."""
    if not _has_modules(graph):
        return
    # A module that runs several times, as at several sizes of the image, has the same weights each time.
    modules: dict[str, list[WeightedLayer]] = {}
    for layer in graph.layers:
        modules.setdefault(f"{layer.module}.weight", []).append(layer)
    if not all(_same_weights(layers) for layers in modules.values()):
        return
    wrapper, stripped = strip(modules)
    for network in itertools.chain.from_iterable(family.networks for family in FAMILIES.values()):
        prefix = _prefix(network, stripped)
        if prefix is None:
            continue
        paths = [network.table.path(key.removeprefix(prefix)) or "" for key in stripped]
        # Other projects give a BatchNorm's name to a convolution, as timm does in its "d" variants.
        if all(path.endswith("/kernel") for path in paths):
            names = [path.rpartition("/")[0] for path in paths]
            yield _Candidate(network, dict(zip(names, stripped.values(), strict=True)), wrapper + prefix, False)


def _prefix(network: FamilyNetwork, keys: Iterable[str]) -> str | None:
    """What all keys have before the network's own, or None if the network's first tensor is not among them."""
    before = [key.removesuffix(network.first) for key in keys if key == network.first or _ends(key, network.first)]
    common = [prefix for prefix in before if all(key.startswith(prefix) for key in keys)]
    return min(common, key=len, default=None)


def _ends(key: str, name: str) -> bool:
    return key.endswith(f".{name}")


def _first(layers: Mapping[str, list[WeightedLayer]]) -> dict[str, WeightedLayer]:
    return {name: nodes[0] for name, nodes in layers.items()}


def _same_weights(layers: Sequence[WeightedLayer]) -> bool:
    """Whether layers of one name share their weights; a folded BatchNorm may have changed one of them."""
    first = layers[0]
    return all(
        layer.weight.shape == first.weight.shape
        and (layer.tensor == first.tensor or np.array_equal(layer.weight.read(), first.weight.read()))
        and (layer.bias is None) == (first.bias is None)
        and (layer.bias is None or first.bias is None or np.array_equal(layer.bias.read(), first.bias.read()))
        and (layer.norm is None) == (first.norm is None)
        for layer in layers[1:]
    )


def _by_place(graph: WeightedGraph) -> list[_Candidate]:
    """The networks of torchvision whose layers feed each other as in the graph, in order of computation."""
    return sorted(_with_wires(graph), key=lambda fit: len(_folded(fit.network, _first(fit.layers))))


def _with_wires(graph: WeightedGraph) -> Iterator[_Candidate]:
    for network in itertools.chain.from_iterable(family.networks for family in _FAMILIES):
        for wires in _wires(network):
            names = list(wires)
            if len(names) == len(graph.layers):
                feeds = [frozenset(names[index] for index in layer.feeds) for layer in graph.layers]
                if feeds == list(wires.values()):
                    yield _Candidate(
                        network, {name: [layer] for name, layer in zip(names, graph.layers, strict=True)}, "", True
                    )


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


def _folded(network: FamilyNetwork, layers: Mapping[str, WeightedLayer]) -> frozenset[str]:
    """The gammas of those of the network's BatchNorms that the graph does not have."""
    norms = {name: _norm(network, name) for name, layer in layers.items() if layer.norm is None}
    return frozenset(norm["gamma"] for norm in norms.values() if norm)


def _gives_bias(network: FamilyNetwork, layer: WeightedLayer, norm: Mapping[str, str]) -> bool:
    """Whether a layer's bias is that of a folded BatchNorm; VGG's convolutions have biases beside their BatchNorms."""
    return bool(norm) and layer.norm is None and not network.name.startswith("vgg")


def _tensors(network: FamilyNetwork, layers: Mapping[str, WeightedLayer]) -> dict[str, Tensor]:
    """The tensors under the network's keys; a BatchNorm that was folded becomes an identity."""
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        kernel = _key(network, f"{name}/kernel")
        tensors[kernel] = layer.weight
        keys, parts, layer_bias = _norm(network, name), layer.norm, layer.bias
        if keys and not parts:
            channels = layer.weight.shape[:1]
            parts = {part: _constant(value, channels) for part, value in IDENTITY.items()}
            if _gives_bias(network, layer, keys):
                parts["beta"], layer_bias = layer_bias or parts["beta"], None
        if layer_bias:
            row = network.table.backward(f"{name}/bias")
            tensors[row[0] if row else f"{kernel} (bias)"] = layer_bias
        for part, tensor in (parts or {}).items():
            tensors[keys.get(part, f"{kernel} ({part})")] = tensor
    return tensors


def _key(network: FamilyNetwork, path: str) -> str:
    """The key of the tensor that fills a variable."""
    row = network.table.backward(path)
    if row is None:
        raise KeyError(path)
    return row[0]


def _constant(value: float, shape: Shape) -> Tensor:
    return Tensor(Block.of(np.full(shape, value, "<f4").tobytes()), np.dtype("<f4"), shape)
