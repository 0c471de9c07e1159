"""Kernel initializers."""

from collections.abc import Sequence

import keras
import numpy as np

from tfseg.types import Array, Tensor


@keras.saving.register_keras_serializable("tfseg")
class BilinearInitializer(keras.initializers.Initializer):
    """A kernel of a transposed convolution that enlarges each channel by bilinear interpolation.

    The kernel depends only on its shape. A side of `k` pixels is a triangle around the kernel's middle, with
    half-width `(k + 1) // 2`. This suits a stride of the same half-width: kernel 64 for stride 32, 16 for 8, 4 for 2.

    Reference: Shelhamer et al. 2017, https://arxiv.org/abs/1605.06211, section 3.3.

    Example:
        >>> kernel = tfseg.BilinearInitializer()((4, 4, 1, 1))
        >>> np.array(kernel)[0, :, 0, 0].tolist()
        [0.0625, 0.1875, 0.1875, 0.0625]
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        """The kernel.

        Args:
            shape: `(kernel_height, kernel_width, out_channels, in_channels)` of a `Conv2DTranspose`, the two channel
                counts equal; or `(kernel_height, kernel_width, channels)` of a `DepthwiseConv2DTranspose`.
            dtype: type of the result; None: Keras's float type.
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


def _triangle(side: int) -> Array:
    factor = (side + 1) // 2
    center = factor - 1 if side % 2 else factor - 0.5
    return 1 - np.abs(np.arange(side) - center) / factor
