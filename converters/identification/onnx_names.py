"""The weights of an ONNX graph under the names of the network that it is, also where exporting lost them.

Exporters fold a BatchNorm into the convolution before it, and may drop the names of what they folded. A layer's module
is then told by its node's name; else by its place: the graph must have exactly the wires of one of torchvision's
networks.
"""

import itertools
from typing import NamedTuple

import numpy as np

from converters.families import FAMILIES
from converters.families.pytorch import torchvision
from converters.reading import Checkpoint
from converters.reading.files import naming
from converters.reading.onnx import weighted_layers
from converters.reading.tensors import Block, Tensor
from converters.reading.unwrapping import strip
from tfseg import specs

EPSILON = 1e-5  # of every BatchNorm that torch's exporters fold into a network known here
# A BatchNorm that changes nothing. The variance and epsilon together are the number before 1: its inverse square root,
# as TensorFlow computes it for eight channels at once, is 1 to the last bit (that of 1 itself is the number before 1).
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


class Named(NamedTuple):
    """A graph's tensors under a network's names.

    Attributes:
        checkpoint: as `converters.read` gives one, its keys the network's; or the file's own, if it is none of ours.
        facts: key -> what the layer does there: `strides`, `dilation_rate`, `groups`; of a BatchNorm its `epsilon`.
        notes: in words, what the names do not show.
    """

    checkpoint: Checkpoint
    facts: dict
    notes: tuple


def name_tensors(checkpoint):
    """The `Named` of an ONNX file.

    Raises:
        ConversionError: a quantized network, or weights that the graph computes.
    """
    with naming(checkpoint.path):
        graph = weighted_layers.weighted_graph(checkpoint.graph)
    for network, layers in _candidates(graph):
        tensors, facts = _tensors(network, layers)
        if network.differences({key: tensor.shape for key, tensor in tensors.items()}):
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
        return Named(named, facts, tuple(notes))
    return Named(checkpoint, {}, ())


def _has_modules(graph):
    return bool(graph.layers) and all(layer.module for layer in graph.layers)


def _candidates(graph):
    """`(network, {our layer: the graph's})` of the networks that the graph may be."""
    if _has_modules(graph):
        # A module that runs several times, as at several sizes of the image, has the same weights each time.
        _, layers = strip({f"{layer.module}.weight": layer for layer in graph.layers})
        for network in itertools.chain.from_iterable(family.networks for family in FAMILIES.values()):
            found = network.first in layers and [network.table.forward(key) for key in layers]
            if found and all(found):
                names = [path.rpartition("/")[0] for path, _ in found]
                yield network, dict(zip(names, layers.values(), strict=True))
    elif not (graph.operations - _OPERATIONS or graph.others or not all(layer.centered for layer in graph.layers)):
        yield from sorted(_by_place(graph), key=lambda fit: _folded(*fit))


def _by_place(graph):
    """Those of torchvision's networks that have the graph's wires: which layers feed each, in order of computation."""
    for family, pools in _POOLS:
        variants = [(network, wires) for network in family.networks for wires in _wires(network)]
        for network, wires in variants:
            names = list(wires)
            if len(names) == len(graph.layers) and graph.pools == pools:
                feeds = [frozenset(names[index] for index in layer.feeds) for layer in graph.layers]
                if feeds == list(wires.values()):
                    yield network, dict(zip(names, graph.layers, strict=True))


def _wires(network):
    """`{layer: the layers whose results it takes}` of all that a file may hold of a network of torchvision."""
    if network in torchvision.VGG.networks:
        chain = [layer for _, layer, kind in network.table.rows if kind != "norm"]
        for names in (chain, [name for name in chain if name.startswith("conv")]):
            yield {name: frozenset(names[max(index - 1, 0) : index]) for index, name in enumerate(names)}
        return
    head, _, backbone = network.name.partition("_")
    ends = {}
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


def _trunk(spec, ends):
    """The rows of `_wires` for the trunk; `ends` gets what each stage hands on."""
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


def _norm(network, name):
    """Of the BatchNorm behind a layer of ours: part -> the key of its tensor; nothing where there is none."""
    found = {
        part: network.table.backward(f"{name.removesuffix('_conv')}_bn/{part}") for part in weighted_layers.NORM_PARTS
    }
    return {part: one[0] for part, one in found.items() if one}


def _folded(network, layers):
    """How many of the network's BatchNorms the graph does not have."""
    return sum(layer.norm is None and bool(_norm(network, name)) for name, layer in layers.items())


def _tensors(network, layers):
    """`({key: tensor}, {key: facts})` with the network's keys; a BatchNorm that is not there changes nothing."""
    tensors, facts = {}, {}
    for name, layer in layers.items():
        kernel, bias = (network.table.backward(f"{name}/{part}")[0] for part in ("kernel", "bias"))
        tensors[kernel], facts[kernel] = layer.weight, layer.facts
        keys, parts, own_bias = _norm(network, name), layer.norm, layer.bias
        if keys and not parts:
            channels = layer.weight.shape[:1]
            parts = {part: _constant(value, channels) for part, value in IDENTITY.items()}
            if not network.name.startswith("vgg"):  # whose convolutions have biases beside their BatchNorms
                parts["beta"], own_bias = own_bias or parts["beta"], None
        if own_bias:
            tensors[bias] = own_bias
        for part, tensor in (parts or {}).items():
            tensors[keys.get(part, f"{kernel} ({part})")] = tensor
        if keys:
            facts[keys["gamma"]] = {"epsilon": layer.epsilon if layer.norm else EPSILON}
    return tensors, facts


def _constant(value, shape):
    return Tensor(Block.of(np.full(shape, value, "<f4").tobytes()), np.dtype("<f4"), shape)
