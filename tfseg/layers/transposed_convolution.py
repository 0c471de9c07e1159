"""Transposed convolutions of every form, also those that Keras lacks: groups, dilation, small kernels."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.arguments import pair
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class TransposedConvolution(keras.layers.Layer):
    """torch's `ConvTranspose2d` of a map `(batch, height, width, channels)`, with all of its arguments.

    Zeros are put between the pixels, and a convolution with the reversed kernel follows. Keras's `Conv2DTranspose` is
    faster where it has the arguments.

    Args:
        filters: channels of the result.
        kernel_size: rows and columns of the kernel, or one number for both.
        strides: output pixels for each input pixel.
        padding: rows and columns that the result loses on both sides.
        output_padding: rows and columns that it has more at its end.
        groups: number of groups of channels.
        dilation_rate: distance in pixels between the kernel's samples.
        use_bias: whether there is a bias.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html

    Example:
        >>> layer = tfseg.layers.TransposedConvolution(6, 3, strides=2, padding=1, output_padding=1, groups=2)
        >>> tuple(layer(np.zeros((1, 4, 5, 4))).shape)
        (1, 8, 10, 6)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        dilation_rate: int | Sequence[int] = 1,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.groups, self.use_bias = filters, groups, use_bias
        self.kernel_size, self.strides = pair(kernel_size), pair(strides)
        self.padding, self.output_padding = pair(padding), pair(output_padding)
        self.dilation_rate = pair(dilation_rate)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the kernel `(rows, columns, filters / groups, channels)` and the bias."""
        shape = (*self.kernel_size, self.filters // self.groups, input_shape[-1])
        self.kernel = self.add_weight(name="kernel", shape=shape)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros") if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """The map, as large as torch's."""
        x = self._spread(inputs)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        kernel = ops.transpose(ops.flip(kernel, (0, 1)), (0, 1, 3, 2))
        channels = inputs.shape[3]
        if self.groups == channels:
            # Rows of the depthwise kernel: channels, then the filters of each.
            x = ops.depthwise_conv(x, kernel, 1, "valid", "channels_last", self.dilation_rate)
        else:
            pairs = zip(ops.split(x, self.groups, axis=3), ops.split(kernel, self.groups, axis=2), strict=True)
            parts = [
                ops.conv(part, weights, 1, "valid", "channels_last", self.dilation_rate) for part, weights in pairs
            ]
            x = ops.concatenate(parts, axis=3) if len(parts) > 1 else parts[0]
        return x if self.bias is None else x + ops.cast(self.bias, self.compute_dtype)

    def _spread(self, x: Tensor) -> Tensor:
        """The map with zeros between its pixels and around them, as the convolution reads it."""
        (down, right), channels = self.strides, x.shape[3]
        rows, columns = ops.shape(x)[1:3]
        if (down, right) != (1, 1):
            x = ops.reshape(x, (-1, rows, 1, columns, 1, channels))
            x = ops.pad(x, ((0, 0), (0, 0), (0, down - 1), (0, 0), (0, right - 1), (0, 0)))
            x = ops.reshape(x, (-1, rows * down, columns * right, channels))
        around, cut = [], [slice(None)]
        for axis in range(2):
            before = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) - self.padding[axis]
            after = before + self.output_padding[axis] - (self.strides[axis] - 1)
            around.append((max(before, 0), max(after, 0)))
            cut.append(slice(max(-before, 0), min(after, 0) or None))
        x = x[tuple(cut)]
        return ops.pad(x, ((0, 0), *around, (0, 0))) if any(map(any, around)) else x

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        sizes = [
            pixels and (pixels - 1) * stride - 2 * pad + rate * (size - 1) + more + 1
            for pixels, stride, pad, rate, size, more in zip(
                inputs.shape[1:3],
                self.strides,
                self.padding,
                self.dilation_rate,
                self.kernel_size,
                self.output_padding,
                strict=True,
            )
        ]
        return keras.KerasTensor((inputs.shape[0], *sizes, self.filters), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "groups": self.groups,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
        }
