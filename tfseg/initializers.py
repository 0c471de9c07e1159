"""Kernel initializers."""

import keras
import numpy as np


@keras.saving.register_keras_serializable("tfseg")
class BilinearInitializer(keras.initializers.Initializer):
    """A `Conv2DTranspose` kernel that enlarges each channel by bilinear interpolation.

    A function of the kernel's shape alone: a side of `k` pixels is the triangle of half-width `(k + 1) // 2` about the
    kernel's middle, which suits a stride of that half-width (kernel 64 for stride 32, 4 for 2, 16 for 8).

    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211, section 3.3.
    """

    def __call__(self, shape, dtype=None):
        """The kernel.

        Args:
            shape: `(kernel_height, kernel_width, out_channels, in_channels)`, the two channel counts equal.
            dtype: of the result; Keras's float type by default.
        Raises:
            ValueError: a shape that is not four-dimensional, or unequal channel counts.
        """
        if len(shape) != 4 or shape[2] != shape[3]:
            raise ValueError(
                "BilinearInitializer enlarges every channel by itself: it needs a Conv2DTranspose kernel "
                f"(height, width, channels, channels) with as many channels out as in. Received: {tuple(shape)}"
            )
        height, width = (_triangle(side) for side in shape[:2])
        kernel = height[:, None, None, None] * width[:, None, None] * np.eye(shape[2])
        return keras.ops.convert_to_tensor(kernel, dtype=dtype or keras.config.floatx())


def _triangle(side):
    factor = (side + 1) // 2
    center = factor - 1 if side % 2 else factor - 0.5
    return 1 - np.abs(np.arange(side) - center) / factor
