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
