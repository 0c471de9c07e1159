"""Networks with the same variables: which of them a model computes, by what its layers say beside their weights."""

from collections.abc import Iterator
from typing import Any

import keras

import tfseg
from converters.families import Family, FamilyNetwork
from converters.memory import lazy_zeros
from converters.types import Shapes
from tfseg.nets import blocks

# What changes no result, what the shapes of the weights tell, and what dilation changes.
_LEFT = frozenset(
    "name trainable dtype momentum synchronized filters units input_dim output_dim batch_shape groups use_bias rate "
    "seed noise_shape preprocessing classes colors multiple strides dilation_rate padding".split()
)
_LEFT_ENDS = ("_initializer", "_regularizer", "_constraint")


def options_of(family: Family, network: FamilyNetwork, shapes: Shapes) -> dict[str, Any]:
    """The options by which `tfseg.build` builds a family's network.

    Args:
        family: the family.
        network: one of its networks.
        shapes: key -> shape of a file of it.
    """
    return {**family.options, **network.options, **network.read(shapes)}


def differences(model: keras.Model, name: str, options: dict[str, Any]) -> list[str] | None:
    """What a model's layers do otherwise than those of a network that `tfseg.build` builds, in words.

    Strides, rates of dilation and paddings are not compared: surgery may have changed them. None for a network that
    cannot be built of these options alone.

    Args:
        model: a Keras model.
        name: name of the network.
        options: its options.
    """
    try:
        with blocks.blank_weights(lazy_zeros):
            usual = {layer.name: layer for layer in tfseg.build(name, **options).layers}
    except ValueError:
        return None
    return [text for layer in model.layers if layer.name in usual for text in _differences(layer, usual[layer.name])]


def _differences(layer: keras.Layer, other: keras.Layer) -> Iterator[str]:
    if type(layer) is not type(other):
        yield f"{layer.name} is a {type(other).__name__}, not a {type(layer).__name__}"
        return
    has, usual = _stated(layer), _stated(other)
    for key in sorted(has.keys() | usual.keys()):
        if has.get(key) != usual.get(key):
            yield f"{key} of {layer.name} is {usual.get(key)}, not {has.get(key)}"


def _stated(layer: keras.Layer) -> dict[str, Any]:
    return {
        key: value for key, value in layer.get_config().items() if key not in _LEFT and not key.endswith(_LEFT_ENDS)
    }
