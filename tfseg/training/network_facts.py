"""What a training must know of a network: which part is its head, and which recipe fits it."""

import re

import keras

from tfseg.layers.metadata import size_multiple
from tfseg.outputs import trained_outputs
from tfseg.surgery.take_weights import TRUNK
from tfseg.training.recipes import Recipe
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


def with_fitting_crop(recipe: Recipe, model: keras.Model) -> Recipe:
    """The recipe with the crop that a model of one size needs; the same recipe for other models.

    Args:
        recipe: the `Recipe`.
        model: a Keras model of one image.
    Raises:
        ValueError: a crop that the model does not take.

    Example:
        >>> from tfseg.training.network_facts import with_fitting_crop
        >>> image = keras.Input((64, 96, 3))
        >>> model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
        >>> with_fitting_crop(tfseg.training.RECIPES["poly"], model).augmentation.crop
        (64, 96)
    """
    shape = model.inputs[0].shape
    if len(model.inputs) != 1 or len(shape) != 4:
        return recipe  # it is refused later
    height, width = shape[1:3]
    crop, multiple = recipe.augmentation.crop, size_multiple(model)
    is_fixed = None not in (height, width)
    if crop is None:
        return recipe.with_crop((height, width)) if is_fixed else recipe
    if is_fixed and tuple(crop) != (height, width):
        raise ValueError(
            f"The model {model.name!r} takes images of {height} x {width} pixels. Received: a crop of {crop[0]} x "
            f"{crop[1]}. Leave the crop out, or set crop=({height}, {width}) (--crop={height},{width})."
        )
    if any(side % multiple for side in crop):
        raise ValueError(
            f"The model {model.name!r} takes images whose sides are multiples of {multiple} pixels. Received: a "
            f"crop of {crop[0]} x {crop[1]} (--crop)."
        )
    return recipe


def default_recipe(model: keras.Model) -> str:
    """The name of the recipe that fits a network.

    ResNets, and other networks with BatchNorm in a trunk of tfseg, train by "poly". VGG16 has no BatchNorm and diverges
    at such a rate: "vgg". SegFormer's backbone has LayerNorm, and trains by "adamw", as its authors do it. So do
    networks that came whole, from a program: the rate is low.

    Args:
        model: a functional Keras model.

    Example:
        >>> tfseg.training.default_recipe(tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3))
        'poly'
        >>> tfseg.training.default_recipe(tfseg.build("fcn8s", num_classes=3, width=1 / 32))
        'vgg'
    """
    trunk = [variable.path for variable in model.variables if re.fullmatch(TRUNK, variable.path)]
    if any("moving_variance" in path for path in trunk):
        return "poly"
    has_norms = any(path.endswith("/gamma") for path in trunk)
    return "adamw" if has_norms or not trunk else "vgg"
