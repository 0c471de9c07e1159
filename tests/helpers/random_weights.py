"""Weights and images with which every pixel of every map counts: what is wrong with a map then shows."""

import math

import keras
import numpy as np
from helpers.references import output, relative

import tfseg


def randomize_weights(model, seed=0):
    """Every weight drawn anew, so that signals neither die nor explode; returns the model."""
    random = np.random.default_rng(seed)
    draws = {
        "gamma": lambda shape, _: random.uniform(0.5, 1.5, shape),
        "moving_variance": lambda shape, _: random.uniform(0.5, 2, shape),
        "kernel": lambda shape, fan_in: random.normal(0, math.sqrt(2 / fan_in), shape),
    }
    draws["depthwise_kernel"] = draws["pointwise_kernel"] = draws["kernel"]
    for name, scale in (("beta", 0.2), ("moving_mean", 0.3), ("bias", 0.1)):
        draws[name] = lambda shape, _, scale=scale: random.normal(0, scale, shape)
    for layer in _layers(model):
        for variable in () if isinstance(layer, keras.Model) else layer.weights:
            # ConvNeXt's scales have no name but a number, and begin at 1e-6.
            name = "gamma" if variable.name.startswith("variable") else variable.name
            if name in draws:
                shape = tuple(variable.shape)
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) or name == "depthwise_kernel"
                variable.assign(draws[name](shape, math.prod(shape[: 2 if depthwise else -1])))
    return model


def _layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def random_image(height, width, *, channels=3, seed=0):
    """One image `(1, height, width, channels)`: patches of 16 pixels under noise, so that deep maps vary, too."""
    random = np.random.default_rng(seed)
    patches = random.normal(size=(height // 16 + 1, width // 16 + 1, channels))
    patches = patches.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    return (patches + 0.5 * random.normal(size=patches.shape))[None].astype("float32")


def is_nonconstant(value):
    """Whether an output differs from number to number by more than what a tolerance of 1e-5 would hide."""
    axes = (1, 2) if value.ndim == 4 and value[..., 0].size > 1 else None
    return bool(value.std(axis=axes).mean() > 3e-3 * np.abs(value).max())


def old_grid_difference(model, dilated, pixels, step):
    """The largest relative difference of any output on the old grid: maps are sampled, vectors taken as they are."""
    old, new = (keras.tree.flatten(output(net, pixels)) for net in (model, dilated))
    assert all(map(is_nonconstant, old))
    return max(
        relative(ours[:, ::step, ::step] if ours.ndim == 4 else ours, theirs)
        for theirs, ours in zip(old, new, strict=True)
    )


def dilate_and_check(model, output_stride, step, sizes, *, tolerance=1e-5, **options):
    """`tfseg.dilate` of a model with random weights, the law tested at every size; returns the result."""
    randomize_weights(model)
    dilated = tfseg.dilate(model, output_stride, **options)
    for size in sizes:
        assert (
            old_grid_difference(model, dilated, random_image(*size, channels=model.inputs[0].shape[3]), step)
            <= tolerance
        )
    return dilated
