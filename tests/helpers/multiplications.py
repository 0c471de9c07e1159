"""How many numbers a network multiplies: exactly, from the sizes of its maps and kernels."""

import math

import keras
from keras import layers

import tfseg
from tfseg import graphs

_ATTENTION = (tfseg.layers.MapAttention, tfseg.layers.PositionAttention)
_KERNELS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
# What has weights and multiplies nothing that profilers count: it scales and shifts.
_UNCOUNTED = (layers.BatchNormalization, layers.LayerNormalization, tfseg.layers.GroupNormalization)


def multiplications(model, height=512, width=512):
    """Products that the kernels and the attentions of a model compute for one image, borders included.

    Scales and shifts of normalizations, gates, poolings and resizes are left out, as in all profilers' counts.

    Args:
        model: functional model of one image.
        height: rows of the image.
        width: columns of the image.
    """
    total = 0

    def call(operation, args, kwargs, _outputs):
        nonlocal total
        made = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
        total += _of_call(operation, keras.tree.flatten(args), made)
        return made

    graphs.replay(model, [keras.KerasTensor((1, height, width, model.input_shape[-1]))], call)
    return total


def _of_call(operation, taken, made):
    if isinstance(operation, _ATTENTION):  # every pixel of the query with every pixel of the key
        query, key, value = (x.shape for x in taken)
        return math.prod(query[1:3]) * math.prod(key[1:3]) * (query[3] + value[3])
    if isinstance(operation, layers.Conv2DTranspose):  # every pixel that comes, with the whole kernel
        return math.prod(taken[0].shape[1:3]) * math.prod(operation.kernel.shape)
    if isinstance(operation, tfseg.layers.DepthwiseConv2DTranspose):
        return math.prod(taken[0].shape[1:3]) * math.prod(operation.kernel.shape)
    if isinstance(operation, _KERNELS):
        return math.prod(made[0].shape[1:-1]) * math.prod(operation.kernel.shape)
    if getattr(operation, "weights", ()) and not isinstance(operation, _UNCOUNTED):
        raise NotImplementedError(f"{operation.name}: the products of a {type(operation).__name__} are not known here")
    return 0
