"""A transposed convolution of every channel by itself."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.initializers import BilinearInitializer
from tfseg.layers.arguments import pair
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class DepthwiseConv2DTranspose(keras.layers.Layer):
    """Every channel enlarged `strides` times by its own kernel: a transposed convolution with as many groups.

    It computes what torch's `ConvTranspose2d(channels, channels, 2 * strides, strides, padding=strides // 2,
    groups=channels, bias=False)` computes; Keras's `Conv2DTranspose` has no groups. The kernel is
    `(rows, columns, channels)`, twice as large as the strides.

    Args:
        strides: output pixels per input pixel, even: one number, or one for rows and one for columns.
        kernel_initializer: initializer of the kernel; None: bilinear interpolation.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: odd strides.

    Example:
        >>> scores = np.ones((1, 5, 6, 3), "float32")
        >>> enlarged = tfseg.layers.DepthwiseConv2DTranspose(8)(scores)
        >>> tuple(enlarged.shape)
        (1, 40, 48, 3)
    """

    def __init__(
        self,
        strides: int | Sequence[int],
        kernel_initializer: str | dict[str, Any] | keras.initializers.Initializer | None = None,
        **kwargs: Any,
    ) -> None:
        if any(stride < 2 or stride % 2 for stride in pair(strides)):
            raise ValueError(f"strides must be even, so that both borders lose as much. Received: strides={strides}")
        super().__init__(**kwargs)
        self.strides = pair(strides)
        self.kernel_initializer = keras.initializers.get(kernel_initializer or BilinearInitializer())

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the kernel for inputs of this shape."""
        shape = (*(2 * stride for stride in self.strides), input_shape[-1])
        self.kernel = self.add_weight(shape, name="kernel", initializer=self.kernel_initializer)

    def call(self, inputs: Tensor) -> Tensor:
        """The enlarged map `(batch, height * rows, width * columns, channels)`."""
        # An output pixel sees the 2x2 input pixels around it. It has rows x columns places between them, and each place
        # has a 2x2 kernel of its own. All of them run at the coarse stride, and their results are laid side by side.
        (down, right), channels = self.strides, inputs.shape[3]
        kernel = ops.flip(ops.reshape(self.kernel, (2, down, 2, right, channels)), (0, 2))
        kernel = ops.reshape(ops.transpose(kernel, (0, 2, 4, 1, 3)), (2, 2, channels, down * right))
        x = ops.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = ops.depthwise_conv(x, kernel, 1, "valid", "channels_last")
        rows, columns = ops.shape(x)[1:3]
        x = ops.reshape(x, (-1, rows, columns, channels, down, right))
        x = ops.reshape(ops.transpose(x, (0, 1, 4, 2, 5, 3)), (-1, rows * down, columns * right, channels))
        return x[:, down // 2 : -(down // 2), right // 2 : -(right // 2)]

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the enlarged map."""
        sizes = [pixels and pixels * stride for pixels, stride in zip(inputs.shape[1:3], self.strides, strict=True)]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "strides": self.strides,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
