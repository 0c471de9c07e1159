"""Weights and images with which every pixel of every map counts, so that a wrong map shows."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from helpers.references import output, relative

import tfseg
from tfseg.types import Size


def randomize_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """Draws every weight at random, so that signals neither vanish nor explode; returns the model."""
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


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def random_image(height: int, width: int, *, channels: int = 3, seed: int = 0) -> np.ndarray:
    """An image `(1, height, width, channels)`: patches of 16 pixels under noise, so that deep maps vary, too."""
    random = np.random.default_rng(seed)
    patches = random.normal(size=(height // 16 + 1, width // 16 + 1, channels))
    patches = patches.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    return (patches + 0.5 * random.normal(size=patches.shape))[None].astype("float32")


def is_nonconstant(value: np.ndarray) -> bool:
    """Whether an output varies by more than what a tolerance of 1e-5 would hide."""
    axes = (1, 2) if value.ndim == 4 and value[..., 0].size > 1 else None
    return bool(value.std(axis=axes).mean() > 3e-3 * np.abs(value).max())


def old_grid_difference(model: keras.Model, dilated: keras.Model, image: np.ndarray, step: int) -> float:
    """The largest relative difference of any output on the old grid: maps are sampled, vectors taken as they are."""
    old, new = (keras.tree.flatten(output(network, image)) for network in (model, dilated))
    assert all(map(is_nonconstant, old))
    return max(
        relative(values[:, ::step, ::step] if values.ndim == 4 else values, expected)
        for expected, values in zip(old, new, strict=True)
    )


def dilate_and_check(
    model: keras.Model,
    output_stride: int,
    step: int,
    sizes: Iterable[Size],
    *,
    tolerance: float = 1e-5,
    **options: Any,
) -> keras.Model:
    """The result of `tfseg.dilate` on a model with random weights, with the law asserted at every image size.

    Args:
        model: model whose weights are drawn at random.
        output_stride: output stride of the result.
        step: pixels of the new map for one of the old map.
        sizes: image sizes.
        tolerance: largest relative difference.
        **options: more arguments of `tfseg.dilate`.
    """
    randomize_weights(model)
    dilated = tfseg.dilate(model, output_stride, **options)
    for size in sizes:
        image = random_image(*size, channels=model.inputs[0].shape[3])
        assert old_grid_difference(model, dilated, image, step) <= tolerance
    return dilated


def fit_norms(model: keras.Model) -> keras.Model:
    """Gives every BatchNorm the statistics of random images, so that rounding grows no more than in trained networks."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(np.random.default_rng(0).normal(size=(4, 97, 128, 3)).astype("float32"), training=True)
    return model
