"""One training step under PyTorch, on one device."""

from collections.abc import Callable
from typing import Any

import keras

from tfseg.training.generators import generators_of, set_generators
from tfseg.training.objectives import batch_loss, make_losses
from tfseg.training.recipes import Recipe
from tfseg.types import Array, ClassIds, Tensor


def torch_step(
    model: keras.Model, recipe: Recipe, *, seed: int = 0, ignore_class: ClassIds = 255
) -> Callable[[tuple[Array, Array], Any], Tensor]:
    """A function that takes `((images, masks), step number)`, changes the model and returns the loss.

    Args:
        model: a model compiled by `compile_model`.
        recipe: the `Recipe` it was compiled with.
        seed: seed of the dropout layers.
        ignore_class: id, or several ids, of ignored pixels in the masks.
    """
    import torch

    losses = make_losses(model, recipe, ignore_class=ignore_class)
    optimizer, generators = model.optimizer, generators_of(model)

    def step(examples: tuple[Array, Array], number: Any) -> Tensor:
        set_generators(generators, seed, int(number))
        torch.manual_seed((seed << 32) + int(number) & 0x7FFFFFFFFFFFFFFF)  # Keras's dropout draws from it alone
        images, masks = map(keras.ops.convert_to_tensor, examples)
        loss = batch_loss(losses, model(images, training=True), masks)
        variables = model.trainable_variables
        values = [variable.value for variable in variables]
        slopes = torch.autograd.grad(optimizer.scale_loss(loss), values, allow_unused=True)
        with torch.no_grad():
            optimizer.apply(list(slopes), variables)
        return loss.detach()

    return step
