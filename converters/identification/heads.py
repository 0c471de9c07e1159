"""The head of a classifier as a file has it: the family's own, a plain stack of dense layers, or another one.

A file of weights has no activations. So a head is built only if its keys leave no choice: one dense layer, or three of
them at the places of a known VGG, where an activation and a dropout lie between.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from converters.families import Family, FamilyNetwork, table
from converters.names.tables import Row
from converters.types import Shapes
from tfseg import specs

_WORD = r"((last|new|final|my|prediction)_)?"
_ANY_WORD = r"((last|new|final|my|prediction|projection)_)?"
# First part of a module's name that says that it belongs to a head.
HEAD_NAMES = re.compile(
    rf"{_ANY_WORD}(fc|heads?|classifier|classif|cls|linear|logits?|predictions?|output|out|dense|mlp|proj|projector|"
    r"projection|predictor|embed|embedding|embeddings)_?\d*(_\w+)?"
)
# Of these, the ones that give scores: a projection is no classifier, even where it is a single layer.
_SCORES = re.compile(
    rf"{_WORD}(fc|head|classifier|cls|linear|logits|predictions?(_head)?|predictor|output|out|dense)_?\d*"
)
# Places of three dense layers in a sequence: torchvision's VGG, whose dropout comes after the activation; and the VGG
# for CIFAR whose dropout comes first (https://github.com/chengyangfu/pytorch-vgg-cifar10).
_STACKS = (("0", "3", "6"), ("1", "4", "6"))
_LARGEST_GRID = 8

LEFT_OUT = "a head that is not this network's"


class Head(NamedTuple):
    """How the head of a file is read.

    Attributes:
        network: record of the network, whose table knows the head's tensors.
        other: keys of a head that is not built; empty if it is the family's own, or built.
        note: sentence for the receipt; empty if the head is the family's own.
    """

    network: FamilyNetwork
    other: tuple[str, ...] = ()
    note: str = ""


def read_head(family: Family, network: FamilyNetwork, shapes: Shapes) -> Head:
    """The head of a file whose trunk is that of a classifier.

    Args:
        family: record of the family.
        network: record of the network.
        shapes: key -> shape of every tensor that counts.

    Returns: a `Head`, with the same network for the family's own head, for none, and for tensors that are no head.
    """
    if family.features is not None:
        return Head(network)
    strangers = []
    for key in shapes:
        if not network.table.knows(key):
            quantized = key.endswith("zero_point")
            if quantized or len(shapes[key]) > 2 or not HEAD_NAMES.fullmatch(re.split(r"[./]", key)[0]):
                return Head(network)
            strangers.append(key)
    top = [row for row in network.table.rows if re.fullmatch(family.head, f"{row[1]}/kernel")]
    trunk = tuple(row for row in network.table.rows if row not in top)
    known = [key for key in shapes if re.fullmatch(family.head, network.table.path(key) or "")]
    parts = {*known, *strangers}
    keys = [key for key in shapes if key in parts]
    if not keys:
        return Head(network)
    paths = {network.table.path(key) for key in known}
    features = _features(network, shapes)
    whole = any(target in ("predictions", "fc8") and f"{target}/kernel" in paths for _, target, _ in top)
    if whole and not strangers and (usual := _own(network, shapes)):
        return usual
    modules = _dense_layers(keys, shapes)
    if modules and features and (rows := _rows(network, modules, features)):
        return _built(network, trunk, rows, modules)
    if not strangers:  # a part of the family's own head, which another network may use
        return Head(network, tuple(keys))
    ignored = tuple((re.escape(key), LEFT_OUT) for key in keys)
    return Head(dataclasses.replace(network, table=table(trunk, (*network.table.ignored, *ignored))), tuple(keys))


def _is_vgg(network: FamilyNetwork) -> bool:
    return network.name in specs.VGGS


def _own(network: FamilyNetwork, shapes: Shapes) -> Head | None:
    """The family's own head, in a VGG with any number of units; None if its first layer reads another map."""
    if not _is_vgg(network):
        return Head(network)
    kernels = {network.table.path(key): network.table.shape(key, shapes[key]) for key in shapes}
    sizes = [kernels.get(f"{layer}/kernel") for layer in ("fc6", "fc7")]
    if not all(sizes):
        return None
    units = tuple(size[-1] for size in sizes if size)
    width = kernels[network.table.path(network.first)]
    usual = specs.scaled(specs.VGG_FC_UNITS, (width or (64,))[-1] / network.filters)
    if units == (usual, usual):
        return Head(network)
    return Head(dataclasses.replace(network, options={**network.options, "fc_units": units}))


def _features(network: FamilyNetwork, shapes: Shapes) -> int | None:
    """Channels of the trunk's last map."""
    if network.table.key("top_dense/kernel"):  # a classifier of two layers, which one layer does not replace
        return None
    kernels = [path for path in network.variables(1.0) if re.fullmatch(r"(conv\w+|top_conv)/kernel", path)]
    key = network.table.key(kernels[-1]) if kernels else None
    size = network.table.shape(key, shapes[key]) if key and key in shapes else None
    return size[-1] if size else None


def _dense_layers(keys: Sequence[str], shapes: Shapes) -> dict[str, tuple[int, int]] | None:
    """Module -> inputs and units of each; None if a tensor belongs to something else, or a bias is missing."""
    layers: dict[str, tuple[int, int]] = {}
    for key in keys:
        module, _, tensor = key.rpartition(".")
        if tensor == "weight" and len(shapes[key]) == 2 and re.fullmatch(r"[\w.]+", module):
            layers[module] = shapes[key][1], shapes[key][0]
    whole = {f"{module}.{tensor}" for module in layers for tensor in ("weight", "bias")}
    fits = all(shapes.get(f"{module}.bias") == (units,) for module, (_, units) in layers.items())
    return layers if whole == set(keys) and fits else None


def _rows(network: FamilyNetwork, layers: Mapping[str, tuple[int, int]], features: int) -> list[Row] | None:
    """The rows of these layers; None if they are no head whose activations the keys tell."""
    names, sizes = list(layers), list(layers.values())
    inputs, _ = sizes[0]
    side = math.isqrt(inputs // features)
    if side * side * features != inputs or not 1 <= side <= (_LARGEST_GRID if _is_vgg(network) else 1):
        return None
    chained = all(before[1] == after[0] for before, after in itertools.pairwise(sizes))
    first = "dense" if side == 1 else f"dense{side}x{side}"
    if len(names) == 1 and _SCORES.fullmatch(names[0].split(".")[0]) and re.fullmatch(r"\w+(\.(fc|\d+))?", names[0]):
        return [(names[0], "fc8" if _is_vgg(network) else "predictions", first)]
    sequence, _, _ = names[0].rpartition(".")
    if _is_vgg(network) and chained and sequence in ("classifier", "fc") and len(names) == 3:
        places = tuple(name.removeprefix(f"{sequence}.") for name in names)
        if places in _STACKS:
            return [(names[0], "fc6", first), (names[1], "fc7", "dense"), (names[2], "fc8", "dense")]
    return None


def _built(
    network: FamilyNetwork, trunk: tuple[Row, ...], rows: Sequence[Row], layers: Mapping[str, tuple[int, int]]
) -> Head:
    """The network with a plain stack of dense layers as its head."""
    last = rows[-1][0]
    options: dict[str, Any] = dict(network.options)
    note = f"{', '.join(layers)}: the dense layers of the head, which the file has under other names"
    if _is_vgg(network):
        kind = rows[0][2]
        options["grid"] = 1 if kind == "dense" else int(kind[len("dense") :].partition("x")[0])
        options["fc_units"] = tuple(units for _, units in list(layers.values())[:-1])
        note += f"; they read a map of {options['grid']}x{options['grid']} pixels, to which larger ones are averaged"
    if re.fullmatch(r".*\.0", last):
        note += f". The file does not tell what follows {last} in its sequence, such as a softmax"
    network = dataclasses.replace(
        network,
        table=table((*trunk, *rows), network.table.ignored),
        options=options,
        classes=f"{last}.weight",
        public=None,
    )
    return Head(network, note=note + ".")
