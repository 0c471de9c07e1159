"""Pooling by windows, with the borders, gaps and counts that torch has and Keras lacks."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.arguments import pair
from tfseg.types import Tensor

MODES = ("average", "max", "sum")
_BORDERS = {"average": 0.0, "sum": 0.0, "max": float("-inf")}


@keras.saving.register_keras_serializable("tfseg")
class WindowPooling(keras.layers.Layer):
    """The average, maximum or sum of each window of a map `(batch, height, width, channels)`, as torch pools it.

    Args:
        pool_size: pixels of the window: one number, or rows and columns.
        mode: "average", "max" or "sum".
        strides: distance between windows; by default their size.
        padding: pixels on both sides of the map: one number, or rows and columns.
        dilation_rate: distance in pixels between the pixels of a window.
        ceil_mode: whether a last window that ends after the map counts, if it begins on the map or its first padding.
        count_include_pad: whether an average is divided by the padding's pixels, too.
        divisor: number that a sum is divided by instead of its pixels, for averages.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another mode.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html

    Example:
        >>> layer = tfseg.layers.WindowPooling(3, "average", strides=2, padding=1, ceil_mode=True)
        >>> tuple(layer(np.zeros((1, 8, 9, 3))).shape)
        (1, 5, 5, 3)
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        mode: str,
        strides: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor: int | None = None,
        **kwargs: Any,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}. Received: {mode!r}")
        super().__init__(**kwargs)
        self.pool_size, self.mode = pair(pool_size), mode
        self.strides = pair(self.pool_size if strides is None else strides)
        self.padding, self.dilation_rate = pair(padding), pair(dilation_rate)
        self.ceil_mode, self.count_include_pad, self.divisor = ceil_mode, count_include_pad, divisor

    def call(self, inputs: Tensor) -> Tensor:
        """The pooled map."""
        x = inputs
        counts = []
        for axis in (1, 2):  # windows of a rectangle are windows of windows
            counts.append(self._counts(ops.shape(x)[axis], axis))
            x = functools.reduce(ops.maximum if self.mode == "max" else ops.add, self._parts(x, axis))
        if self.mode != "average":
            return x
        if self.divisor is not None:
            return x / self.divisor
        return x / (counts[0][:, None, None] * counts[1][:, None])

    def _outputs(self, pixels: Any, axis: int) -> Any:
        size, stride, pad, rate = self._along(axis)
        room = pixels + 2 * pad - rate * (size - 1) - 1
        if not self.ceil_mode:
            return room // stride + 1
        outputs = (room + stride - 1) // stride + 1
        late = (outputs - 1) * stride >= pixels + pad  # a window may not begin in the last padding
        return outputs - (int(late) if isinstance(late, bool) else ops.cast(late, "int32"))

    def _along(self, axis: int) -> tuple[int, int, int, int]:
        arguments = (self.pool_size, self.strides, self.padding, self.dilation_rate)
        size, stride, pad, rate = (argument[axis - 1] for argument in arguments)
        return size, stride, pad, rate

    def _parts(self, x: Tensor, axis: int) -> list[Tensor]:
        """The map as it lies under each pixel of the window."""
        size, stride, pad, rate = self._along(axis)
        outputs = self._outputs(ops.shape(x)[axis], axis)
        length = (outputs - 1) * stride + 1
        # As many pixels after the map as the last window may need; what is too much is not read.
        after = pad + (stride - 1 if self.ceil_mode else 0)
        around = [[pad, after] if index == axis else [0, 0] for index in range(4)]
        if pad or after:
            x = ops.pad(x, around, constant_values=_BORDERS[self.mode])
        window = [slice(None)] * 4
        parts = []
        for index in range(size):
            window[axis] = slice(rate * index, rate * index + length, stride)
            parts.append(x[tuple(window)])
        return parts

    def _counts(self, pixels: Any, axis: int) -> Tensor:
        """The pixels of each window along an axis, as torch counts them."""
        size, stride, pad, _ = self._along(axis)
        start = ops.arange(self._outputs(pixels, axis), dtype="int32") * stride - pad
        stop = ops.minimum(start + size, pixels + pad)
        if not self.count_include_pad:
            start, stop = ops.maximum(start, 0), ops.minimum(stop, pixels)
        return ops.cast(stop - start, self.compute_dtype)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the pooled map; an unknown size stays unknown."""
        sides = [pixels and self._outputs(pixels, axis) for axis, pixels in enumerate(inputs.shape[1:3], 1)]
        return keras.KerasTensor((inputs.shape[0], *sides, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "pool_size": self.pool_size,
            "mode": self.mode,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
            "divisor": self.divisor,
        }
