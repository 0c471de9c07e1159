"""Layers that Keras lacks: sizes known only when an image comes, poolings with holes, and the model's own facts."""

import functools
import math

import keras
import numpy as np
from keras import ops

from tfseg import specs
from tfseg.initializers import BilinearInitializer


@keras.saving.register_keras_serializable("tfseg")
class Metadata(keras.layers.Layer):
    """Passes its input on, and carries what a user of the model must know: it survives saving, cloning and surgery.

    Args:
        preprocessing: dictionary `channel_order` ("RGB" or "BGR"), `divisor`, `mean`, `std` (see `tfseg.specs`), or
            None where unknown.
        classes: list of class names, or None.
        colors: list of `(red, green, blue)`, 0..255, one a class, or None.
    """

    def __init__(self, preprocessing=None, classes=None, colors=None, **kwargs):
        super().__init__(**kwargs)
        self.preprocessing = preprocessing
        self.classes = classes
        self.colors = colors

    def call(self, inputs):
        return inputs

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self):
        facts = {"preprocessing": self.preprocessing, "classes": self.classes, "colors": self.colors}
        return super().get_config() | {key: _plain(value) for key, value in facts.items()}


@keras.saving.register_keras_serializable("tfseg")
class ResizeLike(keras.layers.Layer):
    """The first input at the height and width of the second, as torch's `interpolate` makes it.

    Call on `[x, reference]`, both `(batch, height, width, channels)`. `keras.ops.image.resize` cannot serve: it refuses
    sizes that are known only when an image comes, and does not know aligned corners.

    Args:
        interpolation: "bilinear" (corners not aligned, torch's default), "bilinear_align_corners" (the outermost pixels
            of both lie on each other) or "nearest".
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
        if any(one < 2 or one % 2 for one in _pair(strides)):
            raise ValueError(f"strides must be even, so that both borders lose as much. Received: strides={strides}")
        super().__init__(**kwargs)
        self.strides = _pair(strides)
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


@keras.saving.register_keras_serializable("tfseg")
class DilatedPooling(keras.layers.Layer):
    """Pooling at every pixel, of pixels `dilation_rate` apart: what a pooling becomes on a denser grid.

    Every `strides * dilation_rate`-th output pixel is what `MaxPooling2D(pool_size, strides, padding)`, or its average,
    makes of every `dilation_rate`-th input pixel. What lies outside the map is part of no window.

    Args:
        pool_size: pixels of the window: one number, or rows and columns.
        mode: "max" or "average".
        strides: of the pooling that it stands for, rows and columns; sizes depend on them (see `dense_padding`).
        dilation_rate: distance between the pixels of a window.
        padding: "valid" or "same", of that pooling.
        border: as of `DensePadding`.
    """

    def __init__(self, pool_size, mode="max", strides=1, dilation_rate=1, padding="valid", border=0, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = _pair(pool_size)
        self.mode = mode
        self.strides = _pair(strides)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.border = _pair(border)

    def call(self, inputs):
        # Windows of a rectangle are windows of windows: first along the rows, then along the columns.
        return self._along(self._along(inputs, 1), 2)

    def _along(self, x, axis):
        pixels, size = ops.shape(x)[axis], self.pool_size[axis - 1]
        pads = self._padding(pixels, axis)

        def windows(x, outside):
            x = _padded(x, axis, pads, outside)
            outputs = self.size_behind(pixels, axis)
            return [_part(x, axis, self.dilation_rate * index, outputs) for index in range(size)]

        if self.mode == "max":
            return functools.reduce(ops.maximum, windows(x, -math.inf))
        inside = ops.ones([pixels if index == axis else 1 for index in range(4)], x.dtype)
        return sum(windows(x, 0)) / sum(windows(inside, 0))

    def size_behind(self, pixels, axis):
        """The length of axis 1 or 2 of the output, for one of the input: a number, an array or a tensor."""
        return pixels + sum(self._padding(pixels, axis)) - self.dilation_rate * (self.pool_size[axis - 1] - 1)

    def _padding(self, pixels, axis):
        size, strides, border = (pair[axis - 1] for pair in (self.pool_size, self.strides, self.border))
        return dense_padding(pixels, size, strides, self.dilation_rate, self.padding, border)

    def compute_output_spec(self, inputs):
        return _resized_spec(self, inputs)

    def get_config(self):
        return super().get_config() | {
            "pool_size": self.pool_size,
            "mode": self.mode,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "padding": self.padding,
            "border": self.border,
        }


@keras.saving.register_keras_serializable("tfseg")
class DensePadding(keras.layers.Layer):
    """Zeros about a dense map, for a "valid" dilated convolution that stands for a strided one on the coarse map.

    The coarse map is every `dilation_rate`-th pixel. The zeros depend on its size (see `dense_padding`).

    Args:
        kernel_size: pixels of the coarse map from the kernel's first to its last, rows and columns.
        strides: of the convolution on the coarse map, rows and columns.
        dilation_rate: how many times denser than the coarse map the input is.
        padding: "valid" or "same", of the convolution on the coarse map.
        border: rows and columns of the coarse map that a layer before this one has already put about it.
    """

    def __init__(self, kernel_size, strides, dilation_rate=1, padding="same", border=0, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.border = _pair(border)

    def call(self, inputs):
        x = inputs
        for axis in (1, 2):
            x = _padded(x, axis, self._padding(ops.shape(x)[axis], axis), 0)
        return x

    def _padding(self, pixels, axis):
        size, strides, border = (pair[axis - 1] for pair in (self.kernel_size, self.strides, self.border))
        return dense_padding(pixels, size, strides, self.dilation_rate, self.padding, border)

    def size_behind(self, pixels, axis):
        """As of `DilatedPooling`."""
        return pixels + sum(self._padding(pixels, axis))

    def compute_output_spec(self, inputs):
        return _resized_spec(self, inputs)

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "padding": self.padding,
            "border": self.border,
        }


def dense_padding(pixels, size, strides, rate, padding, border=0):
    """How many pixels to put before and after an axis, so that windows at every pixel do what strided ones did.

    The axis is `rate` times denser than a coarse one, which had a window of `size` pixels at every `strides`-th pixel.
    "same" puts before it what the coarse axis has, by its length, and fills up to keep the dense length. "valid" keeps
    that, too, where a window was at every `strides`-th pixel; else it ends so that sampling gives the coarse length.

    Args:
        pixels: length of the dense axis: a number, an array or a tensor.
        border: how much of the coarse axis is padding already, which the length need not keep.
    """
    lost = rate * (size - 1)
    if padding == "same":
        coarse = (pixels + rate - 1) // rate
        # Negative where windows leave gaps between them.
        before = rate * (_larger(size - 1 - (coarse - 1) % strides, 0) // 2)
        return before, lost - before
    if strides == 1:
        return 0, 0
    step = rate * strides
    reached = (pixels - lost + step - 1) // step * step
    return 0, _larger(_smaller(pixels - rate * border, reached) - pixels + lost, 0)


def _resized_spec(layer, inputs):
    sizes = [pixels and layer.size_behind(pixels, axis) for axis, pixels in enumerate(inputs.shape[1:3], 1)]
    return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=layer.compute_dtype)


def _larger(one, other):
    return max(one, other) if isinstance(one, int) else _library(one).maximum(one, other)


def _smaller(one, other):
    return min(one, other) if isinstance(one, int) else _library(one).minimum(one, other)


def _library(value):
    return np if isinstance(value, np.ndarray) else ops


def _padded(x, axis, pads, value):
    if isinstance(pads[1], int) and not any(pads):
        return x
    return ops.pad(x, [list(pads) if index == axis else [0, 0] for index in range(4)], constant_values=value)


def _part(x, axis, start, size):
    return x[tuple(slice(start, start + size) if index == axis else slice(None) for index in range(4))]


def _floats(*numbers):
    return [ops.cast(number, "float32") for number in numbers]


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _along_axes(x, weights, height, width):
    """A map that is linear in each axis: `weights(outputs, pixels)` is the matrix of one of them."""
    rows, columns = ops.shape(x)[1:3]
    channels = x.shape[3]
    x = ops.matmul(weights(height, rows), ops.reshape(x, (-1, rows, columns * channels)))
    return ops.matmul(weights(width, columns), ops.reshape(x, (-1, height, columns, channels)))


def metadata(model):
    """What travels inside a model, `{"preprocessing": ..., "classes": ..., "colors": ...}`: None where unknown."""
    layer = _metadata_layer(model)
    return {key: _plain(getattr(layer, key, None)) for key in ("preprocessing", "classes", "colors")}


def set_metadata(model, **facts):
    """Changes facts that travel inside a model, in place: `preprocessing=`, `classes=`, `colors=` as in `Metadata`.

    Raises:
        ValueError: a model without a `Metadata` layer, or a fact that it does not carry.
    """
    layer = _metadata_layer(model)
    if layer is None:
        raise ValueError(
            f"The model {model.name!r} has no tfseg.layers.Metadata layer to carry facts: build it with tfseg, or put "
            "one behind its input."
        )
    unknown = set(facts) - set(metadata(model))
    if unknown:
        raise ValueError(f"A model carries preprocessing, classes and colors. Received: {', '.join(sorted(unknown))}")
    for key, value in facts.items():
        setattr(layer, key, _plain(value))


def _metadata_layer(model):
    return next((layer for layer in model.layers if isinstance(layer, Metadata)), None)


def _plain(value):
    """Plain lists and dictionaries, as JSON has them: Keras wraps what is set on a layer in trackers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
