"""One training step, the same on one device and on many."""

import functools
from collections.abc import Callable

import keras

from tfseg.losses import parts_of
from tfseg.native_operations import native_operations
from tfseg.outputs import trained_outputs
from tfseg.training.objectives import make_losses
from tfseg.training.recipes import Recipe
from tfseg.types import ClassIds, Tensor

_DRAWS_PER_STEP = 64  # numbers that a generator may draw in one step before it repeats those of the next one


def make_step(
    model: keras.Model, recipe: Recipe, *, seed: int = 0, jit_compile: bool = False, ignore_class: ClassIds = 255
) -> Callable[[tuple[Tensor, Tensor], Tensor], Tensor]:
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
    pixel_losses, loss_weights = make_losses(model, recipe, ignore_class=ignore_class)
    optimizer = model.optimizer

    def step_of_one_device(images: Tensor, masks: Tensor) -> Tensor:
        context = tf.distribute.get_replica_context()
        sum_over_devices = functools.partial(context.all_reduce, tf.distribute.ReduceOp.SUM)
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss_value = tf.constant(0.0)
            for loss, weight, output in zip(pixel_losses, loss_weights, trained_outputs(outputs), strict=True):
                for part, factor in parts_of(loss):
                    total, divisor = part.totals(masks, output)
                    divisor = sum_over_devices(divisor) if recipe.reduction == "mean" else divisor
                    loss_value += weight * factor * total / tf.maximum(divisor, 1e-12)
            scaled_loss = optimizer.scale_loss(loss_value)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(scaled_loss, variables), variables)
        return loss_value

    compiled_step = tf.function(step_of_one_device, jit_compile=jit_compile or None)

    # No file holds the state of dropout's generators: it is a function of the seed and the step instead.
    generators = [
        variable for variable in model.non_trainable_variables if variable.path.endswith("seed_generator_state")
    ]

    @tf.function
    def step(examples: tuple[Tensor, Tensor], number: Tensor) -> Tensor:
        for index, generator in enumerate(generators):
            state = tf.stack([tf.constant(seed * len(generators) + index, tf.int64), number * _DRAWS_PER_STEP])
            generator.assign(tf.cast(state, generator.dtype))
        with native_operations(model, gradients=True):
            losses = strategy.run(compiled_step, args=examples)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    return step
