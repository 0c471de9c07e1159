"""Kernel initializers."""

import keras
import numpy as np


@keras.saving.register_keras_serializable("tfseg")
class BilinearInitializer(keras.initializers.Initializer):
    """A kernel of a transposed convolution that enlarges each channel by bilinear interpolation.

    A function of the kernel's shape alone: a side of `k` pixels is the triangle of half-width `(k + 1) // 2` about the
    kernel's middle, which suits a stride of that half-width (kernel 64 for stride 32, 4 for 2, 16 for 8).

    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211, section 3.3.
    """

    def __call__(self, shape, dtype=None):
        """The kernel.

        Args:
            shape: `(kernel_height, kernel_width, out_channels, in_channels)` of a `Conv2DTranspose`, the two channel
                counts equal; or `(kernel_height, kernel_width, channels)` of a `DepthwiseConv2DTranspose`.
            dtype: of the result; Keras's float type by default.
        Raises:
            ValueError: a shape of fewer or more dimensions, or unequal channel counts.
        """
        if len(shape) not in (3, 4) or shape[2] != shape[-1]:
            raise ValueError(
                "BilinearInitializer enlarges every channel by itself: it needs a kernel (height, width, channels) or "
                f"(height, width, channels, channels) with as many channels out as in. Received: {tuple(shape)}"
            )
        height, width = (_triangle(side) for side in shape[:2])
        channels = np.ones(shape[2]) if len(shape) == 3 else np.eye(shape[2])
        kernel = np.multiply.outer(np.multiply.outer(height, width), channels)
        return keras.ops.convert_to_tensor(kernel, dtype=dtype or keras.config.floatx())


def _triangle(side):
    factor = (side + 1) // 2
    center = factor - 1 if side % 2 else factor - 0.5
    return 1 - np.abs(np.arange(side) - center) / factor
