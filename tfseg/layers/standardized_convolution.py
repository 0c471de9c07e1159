"""Convolutions whose kernel is standardized when it is used."""

from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class StandardizedConv2D(keras.layers.Conv2D):
    """A convolution whose kernel gets mean 0 and variance 1, filter by filter, before it is used.

    Args:
        filters: number of output channels.
        kernel_size: rows and columns of the kernel.
        kernel_epsilon: number that is added to the variance.
        kwargs: options of `keras.layers.Conv2D`.
    Reference: Qiao et al. 2019, https://arxiv.org/abs/1903.10520.

    Example:
        >>> tuple(tfseg.layers.StandardizedConv2D(8, 3, strides=2)(np.zeros((1, 9, 7, 3))).shape)
        (1, 4, 3, 8)
    """

    def __init__(self, filters: int, kernel_size: Any, kernel_epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self.kernel_epsilon = kernel_epsilon

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The convolution with the standardized kernel.

        Args:
            inputs: map.
            kernel: kernel as it is stored.
        """
        values = ops.cast(kernel, "float32")  # the differences would be lost in half precision
        values = values - ops.mean(values, axis=(0, 1, 2), keepdims=True)
        variance = ops.mean(ops.square(values), axis=(0, 1, 2), keepdims=True)
        values = values * ops.rsqrt(variance + self.kernel_epsilon)
        return super().convolution_op(inputs, ops.cast(values, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"kernel_epsilon": self.kernel_epsilon}
