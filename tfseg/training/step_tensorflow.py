"""One training step under TensorFlow, the same on one device and on many."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras

from tfseg.native_operations import native_operations
from tfseg.training.generators import generator_states, generators_of
from tfseg.training.objectives import batch_loss, make_losses
from tfseg.training.recipes import Recipe
from tfseg.types import ClassIds, Tensor


def tensorflow_step(
    model: keras.Model, recipe: Recipe, *, seed: int = 0, jit_compile: bool = False, ignore_class: ClassIds = 255
) -> Any:
    """A `tf.function` that takes `((images, masks), step number)`, changes the model and returns the loss.

    The loss is divided by the valid pixels of all devices together. Each device alone has a different number of them,
    so that a mean of the devices' means would be another loss.

    Args:
        model: a model compiled by `compile_model`.
        recipe: the `Recipe` it was compiled with.
        seed: seed of the dropout layers.
        jit_compile: whether XLA compiles the step.
        ignore_class: id, or several ids, of ignored pixels in the masks.
    """
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    losses = make_losses(model, recipe, ignore_class=ignore_class)
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    sums_by_itself = not hasattr(inner, "gradients_are_summed")  # one of Keras's
    if not optimizer.built:  # variables that come into being in a `tf.function` fail on several devices of a process
        optimizer.build(model.trainable_variables)

    def step_of_one_device(images: Tensor, masks: Tensor) -> Tensor:
        context = tf.distribute.get_replica_context()
        sum_over_devices = functools.partial(context.all_reduce, tf.distribute.ReduceOp.SUM)
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = batch_loss(losses, outputs, masks, sum_over_devices if recipe.reduction == "mean" else None)
            scaled_loss = optimizer.scale_loss(loss)
        variables = model.trainable_variables
        gradients = dict(enumerate(tape.gradient(scaled_loss, variables)))
        used = {index: gradient for index, gradient in gradients.items() if gradient is not None}
        if context.num_replicas_in_sync > 1 and not sums_by_itself:
            used = sum_over_devices(used)
        optimizer.apply([used.get(index) for index in gradients], variables)
        return loss

    compiled_step = tf.function(step_of_one_device, jit_compile=jit_compile or None)
    generators = generators_of(model)

    @tf.function
    def step(examples: tuple[Tensor, Tensor], number: Tensor) -> Tensor:
        for generator, state in zip(generators, generator_states(len(generators), seed, number), strict=True):
            generator.assign(tf.cast(tf.stack(state), generator.dtype))
        summed = contextlib.nullcontext() if sums_by_itself else _summed_gradients(inner)
        with native_operations(model, gradients=True), summed:
            losses = strategy.run(compiled_step, args=examples)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    return step


@contextlib.contextmanager
def _summed_gradients(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """A context in which an optimizer takes gradients that the step has summed over the devices.

    Keras's optimizers sum them last: each device would clip its part alone, and look in its part alone for infinities.
    """
    optimizer.gradients_are_summed = True
    try:
        yield
    finally:
        optimizer.gradients_are_summed = False
