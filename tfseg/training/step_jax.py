"""One training step under JAX, on one device or on those of `keras.distribution.DataParallel`.

JAX compiles functions without side effects. So all variables are arguments of the step, and their new values are its
results, which the variables then take.
"""

from collections.abc import Callable
from typing import Any

import keras

from tfseg.outputs import trained_outputs
from tfseg.training.generators import generators_of, set_generators
from tfseg.training.objectives import batch_loss, make_losses
from tfseg.training.recipes import Recipe
from tfseg.types import Array, ClassIds, Tensor


def jax_step(
    model: keras.Model, recipe: Recipe, *, seed: int = 0, ignore_class: ClassIds = 255
) -> Callable[[tuple[Array, Array], Any], Tensor]:
    """A function that takes `((images, masks), step number)`, changes the model and returns the loss.

    With data parallelism, JAX divides one computation among the devices. So the loss, and the statistics of BatchNorm,
    are those of the whole batch.

    Args:
        model: a model compiled by `compile_model`.
        recipe: the `Recipe` it was compiled with.
        seed: seed of the dropout layers.
        ignore_class: id, or several ids, of ignored pixels in the masks.
    """
    import jax

    losses = make_losses(model, recipe, ignore_class=ignore_class)
    optimizer = model.optimizer
    trained, fixed = model.trainable_variables, model.non_trainable_variables
    are_reached = _are_reached(model)
    if not optimizer.built:
        optimizer.build(trained)
    states = optimizer.variables
    # The step gives its memory to its results. Other models may share these arrays, and keep theirs.
    for variable in (*trained, *fixed, *states):
        variable.assign(jax.numpy.copy(variable.value))

    def scaled_loss(
        values: list[Any], fixed_values: list[Any], state_values: list[Any], images: Any, masks: Any
    ) -> Any:
        mapping = list(zip((*trained, *fixed, *states), (*values, *fixed_values, *state_values), strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            loss = batch_loss(losses, model(images, training=True), masks)
            return optimizer.scale_loss(loss), (loss, [_current(scope, variable) for variable in fixed])

    def pure_step(values: Any, fixed_values: Any, state_values: Any, images: Any, masks: Any) -> Any:
        gradient_of = jax.value_and_grad(scaled_loss, has_aux=True)
        (_, (loss, new_fixed)), slopes = gradient_of(values, fixed_values, state_values, images, masks)
        # JAX has a gradient of 0 where the others have none: weight decay would change those variables.
        used = [slope if is_reached else None for slope, is_reached in zip(slopes, are_reached, strict=True)]
        return loss, new_fixed, *optimizer.stateless_apply(state_values, used, values)

    compiled = jax.jit(pure_step, donate_argnums=(0, 1, 2))
    generators = generators_of(model)

    def step(examples: tuple[Array, Array], number: Any) -> Tensor:
        set_generators(generators, seed, int(number))
        values = [[variable.value for variable in part] for part in (trained, fixed, states)]
        loss, *news = compiled(*values, *map(_placed, examples))
        for part, new in zip((fixed, trained, states), news, strict=True):
            for variable, value in zip(part, new, strict=True):
                variable.assign(value)
        return loss

    return step


def _are_reached(model: keras.Model) -> list[bool]:
    """Whether a loss depends on each trained variable."""
    part = keras.Model(model.inputs, trained_outputs(model.output))
    reached = {id(variable) for variable in part.trainable_variables}
    return [id(variable) in reached for variable in model.trainable_variables]


def _current(scope: Any, variable: keras.Variable) -> Any:
    """The value of a variable at the end of a scope."""
    value = scope.get_current_value(variable)
    return variable.value if value is None else value


def _placed(array: Array) -> Any:
    """A batch on its devices."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return array
    return keras.distribution.distribute_tensor(array, distribution.get_data_layout(array.shape))
