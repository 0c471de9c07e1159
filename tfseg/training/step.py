"""One training step, under each backend of Keras."""

from typing import Any

import keras

from tfseg.training.recipes import Recipe
from tfseg.training.step_jax import jax_step
from tfseg.training.step_tensorflow import tensorflow_step
from tfseg.training.step_torch import torch_step
from tfseg.types import ClassIds

_STEPS = {"jax": jax_step, "torch": torch_step}


def make_step(
    model: keras.Model, recipe: Recipe, *, seed: int = 0, jit_compile: bool = False, ignore_class: ClassIds = 255
) -> Any:
    """A function that takes `((images, masks), step number)`, changes the model and returns the loss.

    Under TensorFlow it is a `tf.function`, and the number is an int64. Under JAX and PyTorch, images and masks are
    arrays.

    Args:
        model: a model compiled by `compile_model`.
        recipe: the `Recipe` it was compiled with.
        seed: seed of the dropout layers.
        jit_compile: whether XLA compiles the step. JAX always does, and PyTorch cannot.
        ignore_class: id, or several ids, of ignored pixels in the masks.
    Raises:
        ValueError: `jit_compile` under PyTorch.
    """
    backend = keras.config.backend()
    if backend == "torch" and jit_compile:
        raise ValueError(
            "XLA compiles steps of TensorFlow and JAX. Received: jit_compile=True (--xla) under KERAS_BACKEND=torch"
        )
    if backend in _STEPS:
        return _STEPS[backend](model, recipe, seed=seed, ignore_class=ignore_class)
    return tensorflow_step(model, recipe, seed=seed, jit_compile=jit_compile, ignore_class=ignore_class)
