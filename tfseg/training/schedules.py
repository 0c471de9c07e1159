"""Learning rate schedules of optimizers: read, and made longer."""

import keras
from keras import ops

from tfseg.optimizers import Poly


def last_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the step that an optimizer made last.

    Args:
        optimizer: an optimizer of `make_optimizer`, with or without loss scaling.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(ops.maximum(ops.cast(optimizer._iterations, "int32") - 1, 0))
    return float(ops.convert_to_numpy(rate))


def planned_steps(optimizer: keras.optimizers.Optimizer) -> int | None:
    """The number of steps over which the rate of an optimizer falls; None for a constant rate.

    Args:
        optimizer: an optimizer of `make_optimizer`, with or without loss scaling.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = optimizer._learning_rate
    return int(schedule.steps) if isinstance(schedule, Poly) else None


def stretch(optimizer: keras.optimizers.Optimizer, steps: int) -> None:
    """Gives the schedule of an optimizer another number of steps; a constant rate stays.

    Args:
        optimizer: an optimizer of `make_optimizer`, with or without loss scaling.
        steps: number of steps of the whole training.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = optimizer._learning_rate
    if isinstance(schedule, Poly):
        optimizer.learning_rate = Poly(schedule.learning_rate, steps, schedule.power, schedule.warmup)
