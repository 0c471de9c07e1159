"""Channels of groups, one of each in turn: the shuffle of ShuffleNet."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class ShuffleChannels(keras.layers.Layer):
    """The channels in another order: the first of each group, then the second of each, and so on.

    Args:
        groups: number of groups, which divides the number of channels.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: Zhang et al. 2017, https://arxiv.org/abs/1707.01083, section 3.1.

    Example:
        >>> np.array(tfseg.layers.ShuffleChannels(2)(np.arange(6.0).reshape(1, 1, 1, 6))).ravel().tolist()
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """

    pixelwise = True  # for `tfseg.dilate`

    def __init__(self, groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, inputs: Tensor) -> Tensor:
        """The shuffled map `(batch, height, width, channels)`."""
        places = np.arange(inputs.shape[-1]).reshape(self.groups, -1).T.ravel()
        return ops.take(inputs, places.astype("int32"), axis=-1)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"groups": self.groups}
