"""Maps brought to another size, known only when an image comes: what Keras cannot do, or not as torch does it."""

import math

import keras
from keras import ops

from tfseg import specs
from tfseg.initializers import BilinearInitializer


@keras.saving.register_keras_serializable("tfseg")
class ResizeLike(keras.layers.Layer):
    """The first input at the height and width of the second, as torch's `interpolate` makes it.

    Call on `[x, reference]`, both `(batch, height, width, channels)`. `keras.ops.image.resize` cannot serve: it refuses
    sizes that are known only when an image comes, and does not know aligned corners.

    Args:
        interpolation: "bilinear" (corners not aligned, torch's default), "bilinear_align_corners" (the outermost pixels
            of both lie on each other), "bilinear_asymmetric" (the first ones alone, TensorFlow 1's default: pixel i of
            the output lies at i x input size / output size) or "nearest".
    """

    def __init__(self, interpolation="bilinear", **kwargs):
        if interpolation not in specs.INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {', '.join(map(repr, specs.INTERPOLATIONS))}. "
                f"Received: {interpolation!r}"
            )
        super().__init__(**kwargs)
        self.interpolation = interpolation

    def call(self, inputs):
        x, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return _along_axes(x, self._weights, height, width)

    def _weights(self, outputs, pixels):
        # In float32 and in torch's order of operations, so that its rounding is ours.
        output, pixels_, outputs_ = ops.arange(outputs, dtype="float32"), *_floats(pixels, outputs)
        if self.interpolation == "bilinear_align_corners":
            place = (pixels_ - 1) / ops.maximum(outputs_ - 1, 1) * output
        elif self.interpolation == "bilinear_asymmetric":
            place = self._step(pixels_, outputs_) * output
        elif self.interpolation == "nearest":
            place = ops.floor(self._step(pixels_, outputs_) * output)
        else:
            place = self._step(pixels_, outputs_) * (output + 0.5) - 0.5
        place = ops.clip(place, 0, pixels_ - 1)
        distance = ops.abs(place[:, None] - ops.arange(pixels, dtype="float32")[None])
        return ops.cast(ops.relu(1 - distance), self.compute_dtype)

    def _step(self, pixels, outputs):
        """Input pixels from one output pixel to the next."""
        return pixels / outputs

    def compute_output_spec(self, inputs):
        x, reference = inputs
        return keras.KerasTensor((x.shape[0], *reference.shape[1:3], x.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"interpolation": self.interpolation}


@keras.saving.register_keras_serializable("tfseg")
class Rescale(ResizeLike):
    """A map at `floor(scale * size)` pixels, as torch's `interpolate(scale_factor=scale)` makes it.

    An output pixel is `1 / scale` input pixels wide, where `ResizeLike` divides the input's size by the output's: 97
    pixels become 48 either way, but not the same 48.

    Args:
        scale: of rows and columns.
        interpolation: as of `ResizeLike`. With aligned corners the size alone depends on the scale.
        extra: pixels that the output has beyond that size, rows and columns. With one, aligned corners and an odd size
            half as many pixels lie on every second one.
    """

    def __init__(self, scale, interpolation="bilinear", extra=0, **kwargs):
        super().__init__(interpolation, **kwargs)
        self.scale = scale
        self.extra = extra

    def call(self, inputs):
        return _along_axes(inputs, self._weights, *map(self._size, ops.shape(inputs)[1:3]))

    def _size(self, pixels):
        if isinstance(pixels, int):
            return math.floor(pixels * self.scale) + self.extra
        # Double precision, as torch and the line above have it: in single, 0.7 of 90 would be 63 and not 62.
        return ops.cast(ops.floor(ops.cast(pixels, "float64") * self.scale), "int32") + self.extra

    def _step(self, pixels, outputs):
        return 1 / self.scale

    def compute_output_spec(self, inputs):
        sizes = [pixels and self._size(pixels) for pixels in inputs.shape[1:3]]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"scale": self.scale, "extra": self.extra}


@keras.saving.register_keras_serializable("tfseg")
class CropLike(keras.layers.Layer):
    """The window of the first input that has the second's height and width and begins `offset` pixels in.

    Where the first input ends before that, so does the window.

    Call on `[x, reference]`, both `(batch, height, width, channels)`.

    Args:
        offset: rows and columns left out at the top and at the left.
    """

    def __init__(self, offset=0, **kwargs):
        super().__init__(**kwargs)
        self.offset = offset

    def call(self, inputs):
        x, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return x[:, self.offset : self.offset + height, self.offset : self.offset + width, :]

    def compute_output_spec(self, inputs):
        x, reference = inputs
        sizes = [
            theirs if None in (ours, theirs) else min(ours - self.offset, theirs)
            for ours, theirs in zip(x.shape[1:3], reference.shape[1:3], strict=True)
        ]
        return keras.KerasTensor((x.shape[0], *sizes, x.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"offset": self.offset}


@keras.saving.register_keras_serializable("tfseg")
class DepthwiseConv2DTranspose(keras.layers.Layer):
    """Each channel `strides` times larger by a kernel of its own: a transposed convolution with as many groups.

    What torch's `ConvTranspose2d(channels, channels, 2 * strides, strides, padding=strides // 2, groups=channels,
    bias=False)` computes, which Keras's `Conv2DTranspose` cannot. The kernel is `(rows, columns, channels)`, twice the
    strides.

    Args:
        strides: output pixels per input pixel, of rows and columns; even.
        kernel_initializer: bilinear interpolation by default.
    Raises:
        ValueError: odd strides.
    """

    def __init__(self, strides, kernel_initializer=None, **kwargs):
        if any(one < 2 or one % 2 for one in pair(strides)):
            raise ValueError(f"strides must be even, so that both borders lose as much. Received: strides={strides}")
        super().__init__(**kwargs)
        self.strides = pair(strides)
        self.kernel_initializer = keras.initializers.get(kernel_initializer or BilinearInitializer())

    def build(self, input_shape):
        shape = (*(2 * one for one in self.strides), input_shape[-1])
        self.kernel = self.add_weight(shape, name="kernel", initializer=self.kernel_initializer)

    def call(self, inputs):
        # An output pixel sees the 2x2 input pixels about it. So it takes one 2x2 kernel for each of the places that it
        # can have between them, at the coarse stride, and to lay the results side by side.
        (down, right), channels = self.strides, inputs.shape[3]
        kernel = ops.flip(ops.reshape(self.kernel, (2, down, 2, right, channels)), (0, 2))
        kernel = ops.reshape(ops.transpose(kernel, (0, 2, 4, 1, 3)), (2, 2, channels, down * right))
        x = ops.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = ops.depthwise_conv(x, kernel, 1, "valid", "channels_last")
        rows, columns = ops.shape(x)[1:3]
        x = ops.reshape(x, (-1, rows, columns, channels, down, right))
        x = ops.reshape(ops.transpose(x, (0, 1, 4, 2, 5, 3)), (-1, rows * down, columns * right, channels))
        return x[:, down // 2 : -(down // 2), right // 2 : -(right // 2)]

    def compute_output_spec(self, inputs):
        sizes = [pixels and pixels * one for pixels, one in zip(inputs.shape[1:3], self.strides, strict=True)]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "strides": self.strides,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("tfseg")
class AdaptiveAveragePooling(keras.layers.Layer):
    """Average pooling of any map to `size` x `size`, by PyTorch's windows.

    Output pixel i of n covers the input pixels floor(i h / n) to ceil((i + 1) h / n) - 1. Linear in each axis, hence
    two small matrix products, for any input size, also one smaller than the output or unknown beforehand.

    Args:
        size: height and width of the output.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        return _along_axes(inputs, self._weights, self.size, self.size)

    def _weights(self, outputs, pixels):
        output, pixel = ops.arange(outputs, dtype="int32")[:, None], ops.arange(pixels, dtype="int32")[None]
        start, stop = output * pixels // outputs, ((output + 1) * pixels + outputs - 1) // outputs
        inside = ops.logical_and(pixel >= start, pixel < stop)
        return ops.cast(inside, self.compute_dtype) / ops.cast(stop - start, self.compute_dtype)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs.shape[0], self.size, self.size, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"size": self.size}


def _floats(*numbers):
    return [ops.cast(number, "float32") for number in numbers]


def _along_axes(x, weights, height, width):
    """A map that is linear in each axis: `weights(outputs, pixels)` is the matrix of one of them."""
    rows, columns = ops.shape(x)[1:3]
    channels = x.shape[3]
    x = ops.matmul(weights(height, rows), ops.reshape(x, (-1, rows, columns * channels)))
    return ops.matmul(weights(width, columns), ops.reshape(x, (-1, height, columns, channels)))


def pair(value):
    """Of rows and of columns: one number stands for both."""
    return (value, value) if isinstance(value, int) else tuple(value)
