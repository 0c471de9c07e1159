"""Poolings and paddings for maps that are denser than a network was built for."""

import functools
import math

import keras
import numpy as np
from keras import ops

from tfseg.layers.resizing import pair


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
        self.pool_size = pair(pool_size)
        self.mode = mode
        self.strides = pair(strides)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.border = pair(border)

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
        self.kernel_size = pair(kernel_size)
        self.strides = pair(strides)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.border = pair(border)

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
