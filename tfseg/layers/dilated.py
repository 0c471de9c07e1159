"""Poolings and paddings for maps that are denser than the maps that a network was built for."""

import functools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from tfseg.layers.arguments import pair
from tfseg.types import Tensor

Length: TypeAlias = Tensor
"""Pixels along one axis: a number, an array of numbers, or a tensor."""


@keras.saving.register_keras_serializable("tfseg")
class DilatedPooling(keras.layers.Layer):
    """Pooling at every pixel, over pixels `dilation_rate` apart: what a pooling becomes on a denser grid.

    Every `strides * dilation_rate`-th output pixel equals the strided pooling of every `dilation_rate`-th input pixel.
    That pooling is `MaxPooling2D(pool_size, strides, padding)`, or its average. Pixels outside the map do not count.

    Args:
        pool_size: pixels of the window: one number, or rows and columns.
        mode: "max" or "average".
        strides: strides of the original pooling: one number, or rows and columns. The size of the output depends on
            them (see `dense_padding`).
        dilation_rate: distance in pixels between the pixels of a window.
        padding: "valid" or "same", the padding of the original pooling.
        border: rows and columns of the coarse map that an earlier layer has already added as padding.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> x = np.arange(8.0).reshape(1, 1, 8, 1).repeat(2, axis=1)
        >>> np.array(tfseg.layers.DilatedPooling(2, strides=2)(x))[0, 0, :, 0].astype(int).tolist()
        [1, 2, 3, 4, 5, 6, 7, 7]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        mode: str = "max",
        strides: int | Sequence[int] = 1,
        dilation_rate: int = 1,
        padding: str = "valid",
        border: int | Sequence[int] = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = pair(pool_size)
        self.mode = mode
        self.strides = pair(strides)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.border = pair(border)

    def call(self, inputs: Tensor) -> Tensor:
        """The pooled map, as large as `size_after` says."""
        # Windows of a rectangle are windows of windows: first along the rows, then along the columns.
        return self._along(self._along(inputs, 1), 2)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        pixels, size = ops.shape(x)[axis], self.pool_size[axis - 1]
        pads = self._padding(pixels, axis)

        def windows(x: Tensor, outside: float) -> list[Tensor]:
            x = _padded(x, axis, pads, outside)
            outputs = self.size_after(pixels, axis)
            return [_part(x, axis, self.dilation_rate * index, outputs) for index in range(size)]

        if self.mode == "max":
            return functools.reduce(ops.maximum, windows(x, -math.inf))
        inside = ops.ones([pixels if index == axis else 1 for index in range(4)], x.dtype)
        return sum(windows(x, 0)) / sum(windows(inside, 0))

    def size_after(self, pixels: Length, axis: int) -> Length:
        """Length of the output along an axis.

        Args:
            pixels: length of the input along that axis: a number, an array or a tensor.
            axis: 1 for rows, 2 for columns.
        """
        return pixels + sum(self._padding(pixels, axis)) - self.dilation_rate * (self.pool_size[axis - 1] - 1)

    def _padding(self, pixels: Length, axis: int) -> tuple[Length, Length]:
        size, strides, border = (sides[axis - 1] for sides in (self.pool_size, self.strides, self.border))
        return dense_padding(pixels, size, strides, self.dilation_rate, self.padding, border)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the pooled map; an unknown size stays unknown."""
        return _resized_spec(self, inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
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
    """Zeros around a dense map, for a "valid" dilated convolution that replaces a strided one on the coarse map.

    The coarse map is every `dilation_rate`-th pixel. The number of zeros depends on its size (see `dense_padding`).

    Args:
        kernel_size: pixels of the coarse map from the kernel's first to its last: one number, or rows and columns.
        strides: strides of the convolution on the coarse map: one number, or rows and columns.
        dilation_rate: how many times denser than the coarse map the input is.
        padding: "valid" or "same", the padding of the convolution on the coarse map.
        border: rows and columns of the coarse map that an earlier layer has already added as padding.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.DensePadding(3, strides=2, dilation_rate=2)(np.zeros((1, 16, 18, 5))).shape)
        (1, 20, 22, 5)
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        dilation_rate: int = 1,
        padding: str = "same",
        border: int | Sequence[int] = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = pair(kernel_size)
        self.strides = pair(strides)
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.border = pair(border)

    def call(self, inputs: Tensor) -> Tensor:
        """The padded map, as large as `size_after` says."""
        x = inputs
        for axis in (1, 2):
            x = _padded(x, axis, self._padding(ops.shape(x)[axis], axis), 0)
        return x

    def _padding(self, pixels: Length, axis: int) -> tuple[Length, Length]:
        size, strides, border = (sides[axis - 1] for sides in (self.kernel_size, self.strides, self.border))
        return dense_padding(pixels, size, strides, self.dilation_rate, self.padding, border)

    def size_after(self, pixels: Length, axis: int) -> Length:
        """Length of the output along an axis.

        Args:
            pixels: length of the input along that axis: a number, an array or a tensor.
            axis: 1 for rows, 2 for columns.
        """
        return pixels + sum(self._padding(pixels, axis))

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the padded map; an unknown size stays unknown."""
        return _resized_spec(self, inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "padding": self.padding,
            "border": self.border,
        }


def dense_padding(
    pixels: Length, size: int, strides: int, rate: int, padding: str, border: int = 0
) -> tuple[Length, Length]:
    """Padding before and after a dense axis, so that windows at every pixel contain what the strided windows read.

    The axis is `rate` times denser than a coarse axis, on which a window of `size` pixels moved by `strides` pixels.
    "same" puts before the axis what the coarse axis has, which depends on its length, and keeps the dense length.
    "valid" keeps the length, too, where the strided windows cover the axis. Elsewhere the axis ends such that
    sampling the result gives the coarse length.

    Args:
        pixels: length of the dense axis: a number, an array or a tensor.
        size: pixels of the window on the coarse axis.
        strides: distance in pixels between two windows on the coarse axis.
        rate: how many times denser than the coarse axis the dense one is.
        padding: "valid" or "same", the padding of the coarse axis.
        border: how many pixels of the coarse axis are padding already; the length need not keep them.
    Returns: number of pixels before and number of pixels after the axis, in the form of `pixels`.

    Example:
        >>> tfseg.layers.dense_padding(16, size=3, strides=2, rate=2, padding="same")
        (0, 4)
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


def _resized_spec(layer: DilatedPooling | DensePadding, inputs: keras.KerasTensor) -> keras.KerasTensor:
    sizes = [pixels and layer.size_after(pixels, axis) for axis, pixels in enumerate(inputs.shape[1:3], 1)]
    return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=layer.compute_dtype)


def _larger(first: Length, second: Length) -> Length:
    return max(first, second) if isinstance(first, int) else _library(first).maximum(first, second)


def _smaller(first: Length, second: Length) -> Length:
    return min(first, second) if isinstance(first, int) else _library(first).minimum(first, second)


def _library(value: Length) -> ModuleType:
    return np if isinstance(value, np.ndarray) else ops


def _padded(x: Tensor, axis: int, pads: tuple[Length, Length], value: float) -> Tensor:
    if isinstance(pads[1], int) and not any(pads):
        return x
    return ops.pad(x, [list(pads) if index == axis else [0, 0] for index in range(4)], constant_values=value)


def _part(x: Tensor, axis: int, start: int, size: Length) -> Tensor:
    return x[tuple(slice(start, start + size) if index == axis else slice(None) for index in range(4))]
