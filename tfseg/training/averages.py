"""Moving averages of the weights: what a training with `ema` validates and keeps as its best state."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """While the block runs, the trained variables of a model have their moving averages.

    A model whose optimizer keeps no averages stays as it is.

    Args:
        model: a compiled model.
    """
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema or not optimizer.built:
        yield
        return
    averages = optimizer._model_variables_moving_average
    variables = optimizer._trainable_variables
    kept = [keras.ops.copy(variable.value) for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def take_averages(model: keras.Model) -> None:
    """Gives the trained variables of a model their moving averages, for good.

    Args:
        model: a compiled model.
    """
    with averaged(model):
        values = [keras.ops.copy(variable.value) for variable in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)
