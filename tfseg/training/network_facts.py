"""What a training must know of a network: which part is its head, and which recipe fits it."""

import re

import keras

from tfseg.outputs import trained_outputs
from tfseg.surgery.take_weights import TRUNK
from tfseg.types import Tensor

HEAD = rf"(?!{TRUNK}).*"


def head_pattern(model: keras.Model) -> str:
    """Regular expression of the variables that learn faster in recipes with a `head_factor`.

    In the networks of tfseg these are all outside the pretrained trunk. A model whose layers have other names came
    whole, with its weights: there only the layers that give its classes are the head.

    Args:
        model: a functional Keras model.

    Example:
        >>> model = tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3)
        >>> pattern = tfseg.training.network_facts.head_pattern(model)
        >>> bool(re.fullmatch(pattern, "score/kernel")), bool(re.fullmatch(pattern, "level1_block1_conv1/kernel"))
        (True, False)
    """
    if any(re.fullmatch(TRUNK, variable.path) for variable in model.trainable_variables):
        return HEAD
    names = {re.escape(layer.name) for output in trained_outputs(model.output) if (layer := _last_trained(output))}
    return rf"({'|'.join(sorted(names))})/.*"


def _last_trained(output: Tensor) -> keras.Layer | None:
    """The layer with variables that is nearest to an output."""
    waiting = [output]
    while waiting:
        layer, node, _ = waiting.pop(0)._keras_history
        if layer.trainable_variables:
            return layer
        waiting += layer._inbound_nodes[node].input_tensors
    return None


def default_recipe(model: keras.Model) -> str:
    """The name of the recipe that fits a network.

    ResNets, and other networks with BatchNorm in a trunk of tfseg, train by "poly". VGG16 has no BatchNorm and diverges
    at such a rate: "vgg". Networks that came whole, from a program, train by "adamw", whose rate is low.

    Args:
        model: a functional Keras model.

    Example:
        >>> tfseg.training.default_recipe(tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3))
        'poly'
        >>> tfseg.training.default_recipe(tfseg.build("fcn8s", num_classes=3, width=1 / 32))
        'vgg'
    """
    trunk = [variable.path for variable in model.variables if re.fullmatch(TRUNK, variable.path)]
    if not trunk:
        return "adamw"
    return "poly" if any("moving_variance" in path for path in trunk) else "vgg"
