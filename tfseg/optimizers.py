"""Optimizers that take a step of its own size for every variable, by its path.

Scaling gradients would do for plain SGD, and nothing at all for Adam, which divides by their size: here the step is
scaled. Weight decay is PyTorch's, added to the gradient (SGD) or taken off the weight (AdamW), on the variables whose
paths match, which as a rule are the kernels: batch-norm scales and biases have no reason to shrink.
"""

import re

import keras
from keras import ops

KERNELS = r".*/(kernel|depthwise_kernel)"


class _ByPath:
    """Gives each variable its own factor, and weight decay where its path matches."""

    def __init__(self, learning_rate, *, factors=None, decay=0.0, decayed=KERNELS, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.factors = dict(factors or {})
        self.decay = decay
        self.decayed = decayed
        for pattern, factor in self.factors.items():
            if factor < 0:
                raise ValueError(f"A factor of the learning rate is at least 0. Received: {pattern!r}: {factor}")

    def build(self, variables):
        super().build(variables)
        self._by_index = [
            (self._factor(variable.path), self.decay if re.fullmatch(self.decayed, variable.path) else 0.0)
            for variable in variables
        ]

    def _factor(self, path):
        """The product of all factors whose patterns match the whole path: `{"score.*": 10, ".*/bias": 2}`."""
        product = 1.0
        for pattern, factor in self.factors.items():
            product *= factor if re.fullmatch(pattern, path) else 1.0
        return product

    def update_step(self, gradient, variable, learning_rate):
        factor, decay = self._by_index[self._get_variable_index(variable)]
        if not factor:
            return
        learning_rate = ops.cast(learning_rate, variable.dtype) * factor
        if decay:
            gradient = self._decayed(ops.cast(gradient, variable.dtype), variable, decay, learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        config = super().get_config()
        config.pop("weight_decay", None)  # Keras's own, which knows no paths
        return config | {"factors": self.factors, "decay": self.decay, "decayed": self.decayed}


@keras.saving.register_keras_serializable("tfseg")
class SGD(_ByPath, keras.optimizers.SGD):
    """Momentum SGD, with a step size and weight decay by variable.

    Args:
        learning_rate: number or schedule.
        factors: regular expression of whole variable paths -> factor of the learning rate; all that match count. 0
            leaves the variable as it is.
        decay: weight decay, added to the gradient as PyTorch's and Caffe's SGD do.
        decayed: regular expression of the paths that decay.
        kwargs: of `keras.optimizers.SGD`: `momentum`, `nesterov`, `clipnorm`, `gradient_accumulation_steps`...
    """

    def _decayed(self, gradient, variable, decay, learning_rate):
        return gradient + decay * ops.convert_to_tensor(variable)


@keras.saving.register_keras_serializable("tfseg")
class AdamW(_ByPath, keras.optimizers.Adam):
    """Adam, with a step size and decoupled weight decay by variable.

    Args:
        as of `SGD` here; `decay` is taken off the weight itself, times the variable's learning rate.
        kwargs: of `keras.optimizers.Adam`: `beta_1`, `beta_2`, `epsilon`...
    Reference: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101
    """

    def _decayed(self, gradient, variable, decay, learning_rate):
        self.assign_sub(variable, learning_rate * decay * ops.convert_to_tensor(variable))
        return gradient
