"""Optimizers with a learning rate and a weight decay of its own for every variable, by its path.

Scaled gradients would be enough for plain SGD, but not for Adam, which divides by their size: so the step is scaled.
Weight decay is PyTorch's: it is added to the gradient (SGD) or subtracted from the weight (AdamW). It applies to the
variables whose paths match, by default the kernels: BatchNorm scales and biases have no reason to shrink.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor

KERNELS = r".*/(kernel|depthwise_kernel)"


class _ByPath(keras.optimizers.Optimizer):
    """Gives each variable its own factor, and weight decay where its path matches."""

    gradients_are_summed = False  # over TensorFlow's devices, by a training step

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        factors: Mapping[str, float] | None = None,
        decay: float = 0.0,
        decayed: str = KERNELS,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.factors = dict(factors or {})
        self.decay = decay
        self.decayed = decayed
        for pattern, factor in self.factors.items():
            if factor < 0:
                raise ValueError(f"A factor of the learning rate is at least 0. Received: {pattern!r}: {factor}")

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Looks up factor and weight decay of each variable, and creates the optimizer's own variables."""
        super().build(variables)
        self._by_index = [
            (self._factor(variable.path), self.decay if re.fullmatch(self.decayed, variable.path) else 0.0)
            for variable in variables
        ]

    def _factor(self, path: str) -> float:
        """The product of all factors whose patterns match the whole path, as in `{"score.*": 10, ".*/bias": 2}`."""
        product = 1.0
        for pattern, factor in self.factors.items():
            product *= factor if re.fullmatch(pattern, path) else 1.0
        return product

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Updates one variable with its own learning rate and weight decay."""
        factor, decay = self._by_index[self._get_variable_index(variable)]
        if not factor:
            return
        learning_rate = ops.cast(learning_rate, variable.dtype) * factor
        if decay:
            gradient = self._decayed(ops.cast(gradient, variable.dtype), variable, decay, learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def _decayed(self, gradient: Tensor, variable: keras.Variable, decay: float, learning_rate: Tensor) -> Tensor:
        raise NotImplementedError

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars if self.gradients_are_summed else super()._all_reduce_sum_gradients(grads_and_vars)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        config = super().get_config()
        config.pop("weight_decay", None)  # Keras's own weight decay, which ignores paths
        return config | {"factors": self.factors, "decay": self.decay, "decayed": self.decayed}


class _Momentum(keras.optimizers.SGD):
    """Keras's SGD, whose momentum is one operation of TensorFlow: it goes over the variables once, not four times."""

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Updates one variable."""
        if keras.config.backend() != "tensorflow" or self.nesterov or not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        weights, momentum = (
            each.value if isinstance(each, keras.Variable) else each
            for each in (variable, self.momentums[self._get_variable_index(variable)])
        )
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=weights.handle,
            accum=momentum.handle,
            grad=tf.cast(gradient, weights.dtype),
            lr=tf.cast(learning_rate, weights.dtype),
            momentum=tf.cast(self.momentum, weights.dtype),
        )


@keras.saving.register_keras_serializable("tfseg")
class SGD(_ByPath, _Momentum):
    """Momentum SGD, with a learning rate and weight decay by variable.

    Args:
        learning_rate: number or schedule.
        factors: factor of the learning rate for each regular expression of whole variable paths. The factors of all
            matching expressions are multiplied; 0 leaves the variable as it is.
        decay: weight decay, added to the gradient as in PyTorch's and Caffe's SGD.
        decayed: regular expression of the paths of the variables that decay.
        kwargs: options of `keras.optimizers.SGD`: `momentum`, `nesterov`, `clipnorm`, `gradient_accumulation_steps`...
    Raises:
        ValueError: a negative factor.

    Example:
        >>> kernel = keras.Variable([1.0, 1.0], name="kernel")
        >>> optimizer = tfseg.optimizers.SGD(0.1, factors={"kernel": 10})
        >>> optimizer.apply([np.array([0.5, 0.0], "float32")], [kernel])
        >>> np.array(kernel).tolist()
        [0.5, 1.0]
    """

    def _decayed(self, gradient: Tensor, variable: keras.Variable, decay: float, learning_rate: Tensor) -> Tensor:
        return gradient + decay * ops.convert_to_tensor(variable)


@keras.saving.register_keras_serializable("tfseg")
class AdamW(_ByPath, keras.optimizers.Adam):
    """Adam, with a learning rate and decoupled weight decay by variable.

    Args:
        learning_rate: number or schedule.
        factors: factor of the learning rate for each regular expression of whole variable paths, as in `SGD`.
        decay: weight decay; times the variable's learning rate and its value, it is subtracted from the variable.
        decayed: regular expression of the paths of the variables that decay.
        kwargs: options of `keras.optimizers.Adam`: `beta_1`, `beta_2`, `epsilon`...
    Raises:
        ValueError: a negative factor.
    Reference: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.

    Example:
        >>> kernel = keras.Variable([1.0], name="kernel")
        >>> optimizer = tfseg.optimizers.AdamW(0.1, factors={"kernel": 0})  # frozen
        >>> optimizer.apply([np.array([5.0], "float32")], [kernel])
        >>> np.array(kernel).tolist()
        [1.0]
    """

    def _decayed(self, gradient: Tensor, variable: keras.Variable, decay: float, learning_rate: Tensor) -> Tensor:
        self.assign_sub(variable, learning_rate * decay * ops.convert_to_tensor(variable))
        return gradient


@keras.saving.register_keras_serializable("tfseg")
class Poly(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises over the first steps and then falls as `(1 - step / steps) ^ power`.

    Args:
        learning_rate: rate without rise and fall.
        steps: number of steps of the whole training.
        power: exponent of the fall; 0: the rate does not fall.
        warmup: number of steps in which the rate rises linearly from 0.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 4.1.2.

    Example:
        >>> rate = tfseg.optimizers.Poly(0.1, steps=100, power=1, warmup=10)
        >>> [round(float(rate(step)), 3) for step in (0, 50, 99)]
        [0.01, 0.05, 0.001]
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
