"""Learning rate schedules."""

from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class Poly(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises over the first steps and then falls as `(1 - step / steps) ^ power`.

    Args:
        learning_rate: rate without rise and fall.
        steps: number of steps of the whole training.
        power: exponent of the fall; 0: the rate does not fall.
        warmup: number of steps in which the rate rises linearly from 0.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 4.1.2.
    """

    def __init__(self, learning_rate: float, steps: int, power: float = 0.9, warmup: int = 0) -> None:
        self.learning_rate, self.steps, self.power, self.warmup = learning_rate, steps, power, warmup

    def __call__(self, step: Tensor) -> Tensor:
        """The learning rate of a step.

        Args:
            step: number of the step, from 0.
        """
        step = ops.cast(step, "float32")
        remaining = ops.maximum(1 - step / self.steps, 0.0)
        rate = self.learning_rate * remaining**self.power if self.power else ops.full_like(step, self.learning_rate)
        return rate * ops.minimum((step + 1) / self.warmup, 1.0) if self.warmup else rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, for saving."""
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "power": self.power,
            "warmup": self.warmup,
        }


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
