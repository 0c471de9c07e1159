"""The weights of a network's layers: which tensor of the file each of them is, and whether file and prototxt agree."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from converters.building.caffe.wiring import Node
from converters.errors import ConversionError
from converters.identification.listing import some
from converters.reading.caffe.blobs import PARTS, name_blobs, parts_of
from converters.reading.caffe.file_layers import FileLayer
from converters.reading.caffe.prototxt import PrototxtLayer, PrototxtNet
from converters.reading.tensors import Tensor
from converters.types import Shape
from converters.weights.built_record import TRANSPOSED, CaffeLayer

_WEIGHTED = frozenset((*PARTS, "Normalize"))
_OWN_PARTS = {"Normalize": ("scale",)}


class Weight(NamedTuple):
    """A weight of a layer: its key in the file, "layer.part", and its shape."""

    key: str
    shape: Shape


def has_weights(layer: PrototxtLayer) -> bool:
    """Whether a layer takes weights from the file.

    Args:
        layer: the layer.
    """
    of_two_blobs = layer.type in ("Scale", "Bias") and len(layer.bottoms) > 1
    return layer.type in _WEIGHTED and not of_two_blobs


class Weights:
    """The weights of a file, by the layers of its prototxt.

    Attributes:
        tensors: key -> tensor of the layers that the network has.
        unused: key -> why no layer of the network has it.
        same: key -> another key, whose weights the layer has too.
        stored: name of a layer -> its type and its blobs, as the file holds them.
    """

    def __init__(self, layers: Mapping[str, FileLayer], nodes: Sequence[Node], transposed: Mapping[str, bool]) -> None:
        self.layers = layers
        self.tensors: dict[str, Tensor] = {}
        self.unused: dict[str, str] = {}
        self.same: dict[str, str] = {}
        self.stored: dict[str, CaffeLayer] = {}
        self._parts: dict[str, dict[str, Weight]] = {}
        self._check_complete(nodes)
        owners: dict[str, str] = {}  # name of a shared weight -> its key
        for node in nodes:
            layer = node.layer
            if layer.name in layers and has_weights(layer) and layer.name not in self._parts:
                self._add(layer, transposed.get(layer.name, False), owners)
        for node in nodes:
            layer = node.layer
            if has_weights(layer) and layer.name not in self._parts:
                self._share(layer, owners)

    def parts(self, layer: PrototxtLayer) -> Mapping[str, Weight]:
        """The weights of a layer by their parts, such as "weight" and "bias".

        Args:
            layer: layer of the network.
        """
        return self._parts[layer.name]

    def read(self, key: str) -> np.ndarray:
        """The numbers of a tensor, in single precision.

        Args:
            key: its key.
        Raises: ConversionError for a damaged tensor.
        """
        return np.array(self.tensors[key].check().read(), "float32", order="C")

    def _check_complete(self, nodes: Sequence[Node]) -> None:
        shared = {name for node in nodes if node.layer.name in self.layers for name in node.layer.shared if name}
        missing = [
            f"{node.layer.name} ({node.layer.type})"
            for node in nodes
            if has_weights(node.layer)
            and node.layer.name not in self.layers
            and not (node.layer.shared and all(name in shared for name in node.layer.shared))
        ]
        if missing:
            raise ConversionError(
                f"lacks the weights of {len(missing)} layers that the prototxt has: {some(missing)}. Expected the "
                f"weights of every layer. Received: the layers {some(list(self.layers)) or 'none'}. Give the prototxt "
                "that belongs to the file, prototxt= (--prototxt)."
            )

    def _add(self, layer: PrototxtLayer, transposed: bool, owners: dict[str, str]) -> None:
        stored = self.layers[layer.name]
        if stored.type in _WEIGHTED and stored.type != layer.type and not _alike(stored.type, layer.type):
            raise ConversionError(
                f"the layer {layer.name!r} is {stored.type} in the file and {layer.type} in the prototxt. Give the "
                "prototxt that belongs to the file, prototxt= (--prototxt)."
            )
        _check_factor(layer, stored)
        named = name_blobs(layer.name, layer.type, stored.blobs, transposed=transposed)
        in_file = parts_of(layer.type, stored.blobs)[: len(stored.blobs)]
        in_file = tuple(f"{part}{TRANSPOSED}" if transposed and part == "weight" else part for part in in_file)
        self.stored[layer.name] = CaffeLayer(layer.type, in_file)
        parts = {}
        for index, (key, tensor) in enumerate(named.items()):
            part = key.removeprefix(f"{layer.name}.")
            name = layer.shared[index] if index < len(layer.shared) else ""
            owner = owners.setdefault(name, key) if name else key
            if owner != key:
                self._require_equal(owner, key, tensor, name)
                self.same[key] = owner
                self.unused[key] = f"the same weights as {owner}, which both layers have"
            else:
                self.tensors[key] = tensor
            parts[_part(layer.type, part)] = Weight(owner, tensor.shape)
        self._parts[layer.name] = parts

    def _share(self, layer: PrototxtLayer, owners: Mapping[str, str]) -> None:
        """The weights of a layer that the file does not have, since another one has them."""
        names = PARTS.get(layer.type, ())
        self._parts[layer.name] = {
            part: Weight(owners[name], self.tensors[owners[name]].shape)
            for part, name in zip(names, layer.shared, strict=False)
        }

    def _require_equal(self, owner: str, key: str, tensor: Tensor, name: str) -> None:
        first = self.tensors[owner]
        if first.shape != tensor.shape or not np.array_equal(first.read(), tensor.read()):
            raise ConversionError(
                f"the prototxt says that {owner} and {key} are one weight, {name!r}, and in the file they differ. "
                f"Received: shapes {list(first.shape)} and {list(tensor.shape)}. Take the name out of the prototxt's "
                "`param` if they are two."
            )


def _part(kind: str, part: str) -> str:
    return _OWN_PARTS[kind][int(part)] if kind in _OWN_PARTS and part.isdigit() else part


def _check_factor(layer: PrototxtLayer, stored: FileLayer) -> None:
    """Refuses a BatchNorm of five blobs whose statistics are sums: NVIDIA's versions divide, or do not."""
    if layer.type == "BatchNorm" and len(stored.blobs) > 3 and math.prod(stored.blobs[2].shape) == 1:
        (factor,) = stored.blobs[2].read().ravel()
        if factor != 1:
            raise ConversionError(
                f"the layer {layer.name!r} (BatchNorm) has five blobs, and its statistics have the factor {factor:g}: "
                "NVIDIA's Caffe divides by it in some versions only. Expected the factor 1. Save the network with a "
                "version that writes 1."
            )


def _alike(first: str, second: str) -> bool:
    """Whether two types are convolutions, whose weights are the same."""
    return all("Convolution" in kind for kind in (first, second))


def check_leftovers(
    layers: Mapping[str, FileLayer],
    net: PrototxtNet,
    nodes: Sequence[Node],
    defined: PrototxtNet | None,
    skip: Sequence[str],
) -> dict[str, str]:
    """Why layers of a file are not in the network: layer -> reason.

    Layers for training are left out: those that no layer of the network reads in the network that the file defines.

    Args:
        layers: layers with weights of the file.
        net: network that is built.
        nodes: layers of it that its results need.
        defined: network that the file defines; None where it defines none.
        skip: regular expressions of layers that may be left out.
    Raises: ConversionError for other layers, by their names.
    """
    kept = {node.layer.name for node in nodes}
    described = {layer.name for layer in net.layers}
    reasons, others = {}, []
    needed = _needed_for(defined, kept)
    for name in layers:
        if name in kept:
            continue
        if name in described:
            reasons[name] = "of a layer whose result no result of the network needs"
        elif any(re.search(pattern, name) for pattern in skip):
            reasons[name] = "left out by skip="
        elif needed is not None and name not in needed:
            reasons[name] = "of a layer that the prototxt does not have: only training needs it"
        else:
            others.append(name)
    if others:
        raise ConversionError(
            f"has the weights of {len(others)} layers that the prototxt does not have: {some(others)}. Expected the "
            "prototxt of the whole network. Give the prototxt that belongs to the file, or leave these layers out: "
            f"skip=[{others[0]!r}] (--skip={others[0]})."
        )
    return reasons


def _needed_for(defined: PrototxtNet | None, kept: set[str]) -> set[str] | None:
    """The layers of a file's own network that layers in the built network need; None where it is not known."""
    if defined is None:
        return None
    makers: dict[str, str] = {}
    reads: dict[str, set[str]] = {}
    for layer in defined.layers:
        reads[layer.name] = {makers[blob] for blob in layer.bottoms if blob in makers} - {layer.name}
        makers |= dict.fromkeys(layer.tops, layer.name)
    needed, waiting = set[str](), [name for name in reads if name in kept]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += reads.get(name, ())
    return needed
