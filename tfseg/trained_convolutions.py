"""Convolutions that take less time in a training step of TensorFlow on a CPU. Results differ by rounding only.

* A wide 3x3 kernel in float32 is filtered along rows, with half of the multiplications, and so are both gradients:
  Lavin and Gray 2015, https://arxiv.org/abs/1509.09308.
* In 16 bits, the gradient of a kernel is a matrix product: oneDNN's own takes two to three times as long on a processor
  with AMX.

`benchmarks/training_convolutions.py` shows where that pays.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfseg.rewrites.winograd import RESULTS, SPAN, TAPS, combine, winograd_matrices
from tfseg.types import Tensor

Convolve = Callable[[Tensor, Tensor], Tensor]  # from maps `(batch, height, width, channels)` and a kernel
Rates = tuple[int, int]  # dilation along rows and along columns

# With fewer pixels in a batch, the transformation of a kernel takes what is saved.
LEAST_PIXELS = 1024
# On both sides of a kernel that is filtered along rows.
LEAST_CHANNELS = 512
# Of whole tiles, for each column that is wanted.
MOST_COLUMNS = 1.25


def trained_convolution(maps: Tensor, kernel: Tensor, padding: str, rates: Rates) -> Convolve | None:
    """The fastest way to convolve without strides, if it is not TensorFlow's own.

    Args:
        maps: `(batch, height, width, channels)`, of which shape and type are read.
        kernel: `(height, width, channels, filters)`.
        padding: "same" or "valid".
        rates: dilation along rows and along columns.
    """
    import tensorflow as tf

    if any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")) or None in maps.shape[1:]:
        return None
    *places, channels, filters = kernel.shape
    if kernel.dtype.size == 2:
        pays = channels >= 1024 if places == [3, 3] else places == [1, 1] and min(channels, filters) >= 64
        return with_products(padding, rates) if pays else None
    if kernel.dtype != tf.float32 or places != [TAPS, TAPS]:
        return None
    pixels, columns = math.prod(size or 1 for size in maps.shape[:3]), _columns(maps, padding, rates)
    pays = min(channels, filters) >= LEAST_CHANNELS and pixels >= LEAST_PIXELS
    fits = 0 < RESULTS * rates[1] * _tiles(columns, rates) <= MOST_COLUMNS * columns
    return along_rows(padding, rates) if pays and fits else None


def with_products(padding: str, rates: Rates) -> Convolve:
    """TensorFlow's own convolution, and a matrix product for the gradient of each place of the kernel."""
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(maps: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        def gradients(outer: Tensor) -> tuple[Tensor, Tensor]:
            of_maps = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(maps),
                filter=kernel,
                out_backprop=outer,
                strides=(1,) * 4,
                padding=padding.upper(),
                dilations=(1, *rates, 1),
            )
            *places, channels, filters = kernel.shape
            read = _padded(maps, places, padding, rates)
            height, width = outer.shape[1:3]
            of_places = []
            for down, right in np.ndindex(*places):
                top, left = down * rates[0], right * rates[1]
                seen = tf.reshape(read[:, top : top + height, left : left + width], (-1, channels))
                of_places.append(tf.matmul(seen, tf.reshape(outer, (-1, filters)), transpose_a=True))
            return of_maps, tf.reshape(tf.stack(of_places), kernel.shape)

        return tf.nn.conv2d(maps, kernel, 1, padding.upper(), dilations=rates), gradients

    return convolve


def along_rows(padding: str, rates: Rates) -> Convolve:
    """Winograd's filtering along rows, for 3x3 kernels: six products for four results, instead of twelve."""
    import tensorflow as tf

    fused = functools.partial(tf.function, jit_compile=True, autograph=False)  # one loop over the pixels

    @tf.custom_gradient
    def convolve(maps: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        to_windows = functools.partial(_windows, padding=padding, rates=rates)
        to_results = functools.partial(_results, columns=_columns(maps, padding, rates))
        matrix = tf.constant(winograd_matrices().kernel, kernel.dtype)
        kernels = tf.matmul(matrix, tf.reshape(kernel, (TAPS, TAPS, -1)))
        kernels = tf.reshape(kernels, (TAPS, SPAN, *kernel.shape[2:]))
        products = _products(fused(to_windows)(maps), kernels, rates[0])

        def gradients(outer: Tensor) -> tuple[Tensor, Tensor]:
            with tf.control_dependencies([outer]):  # or TensorFlow takes the windows above, and keeps them till here
                windows = fused(to_windows)(tf.identity(maps))
            outers = fused(functools.partial(_to_products, to_results, products[0].shape))(outer)
            of_windows, of_kernels = _gradients_of_products(windows, kernels, outers, rates[0])
            of_kernel = tf.matmul(matrix, tf.reshape(of_kernels, (TAPS, SPAN, -1)), transpose_a=True)
            return fused(_transposed(to_windows))(maps, of_windows), tf.reshape(of_kernel, kernel.shape)

        return fused(to_results)(products), gradients

    return convolve


def _products(windows: list[Tensor], kernels: Tensor, rate: int) -> list[Tensor]:
    """Each of six maps `(rows, batch, tiles, rate, channels)`, convolved down its columns.

    Args:
        windows: the maps.
        kernels: `(3, 6, channels, filters)`.
        rate: dilation.
    """
    import tensorflow as tf

    rows, _, *inner, _ = windows[0].shape
    height = rows - (TAPS - 1) * rate
    shape = (height, -1, *inner, kernels.shape[3])
    sums = [
        tf.add_n([tf.matmul(_rows(window, place * rate, height), kernels[place, number]) for place in range(TAPS)])
        for number, window in enumerate(windows)
    ]
    return [tf.reshape(values, shape) for values in sums]


def _gradients_of_products(
    windows: list[Tensor], kernels: Tensor, outers: list[Tensor], rate: int
) -> tuple[list[Tensor], Tensor]:
    """Gradients of the maps and of the kernels, from those of what `_products` returns."""
    import tensorflow as tf

    rows, beside = windows[0].shape[0], (TAPS - 1) * rate
    height, shape = rows - beside, tf.shape(windows[0])
    flat = [tf.reshape(outer, (-1, kernels.shape[3])) for outer in outers]
    of_kernels = [
        tf.matmul(_rows(window, place * rate, height), values, transpose_a=True)
        for place in range(TAPS)
        for window, values in zip(windows, flat, strict=True)
    ]
    of_windows = []
    for number, outer in enumerate(outers):
        wide = tf.pad(outer, [(beside, beside), (0, 0), (0, 0), (0, 0), (0, 0)])
        parts = [
            tf.matmul(_rows(wide, beside - place * rate, rows), kernels[place, number], transpose_b=True)
            for place in range(TAPS)
        ]
        of_windows.append(tf.reshape(tf.add_n(parts), shape))
    return of_windows, tf.stack(of_kernels)


def _rows(maps: Tensor, first: int, count: int) -> Tensor:
    """Some rows as a matrix of pixels and channels. Rows are the first axis, so that nothing is copied."""
    import tensorflow as tf

    return tf.reshape(maps[first : first + count], (-1, maps.shape[-1]))


def _to_products(to_results: Callable[[list[Tensor]], Tensor], shape: Sequence[int | None], outer: Tensor) -> Any:
    """The gradients of six products from those of the results. Only their shape counts, so they need not be kept."""
    import tensorflow as tf

    rows, _, *inner = shape
    zeros = [tf.zeros((rows, tf.shape(outer)[0], *inner), outer.dtype) for _ in range(SPAN)]
    return _transposed(to_results)(zeros, outer)


def _transposed(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The gradient of a linear function: only the shape of its first argument counts."""
    import tensorflow as tf

    def gradient(inputs: Any, outer: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        return tape.gradient(outputs, inputs, outer)

    return gradient


def _windows(maps: Tensor, padding: str, rates: Rates) -> list[Tensor]:
    """B^T d: `(batch, height, width, channels)` to six maps `(rows, batch, tiles, rates[1], channels)`."""
    import tensorflow as tf

    length = RESULTS * _tiles(_columns(maps, padding, rates), rates) + TAPS - 1  # of every `rates[1]`-th column
    read = _padded(maps, (TAPS, TAPS), padding, rates)
    read = tf.pad(read, [(0, 0), (0, 0), (0, length * rates[1] - read.shape[2]), (0, 0)])
    read = tf.transpose(tf.reshape(read, (-1, read.shape[1], length, rates[1], read.shape[3])), (1, 0, 2, 3, 4))
    last = length - SPAN + 1
    return combine(winograd_matrices().pixels, [read[:, :, place : last + place : RESULTS] for place in range(SPAN)])


def _results(products: list[Tensor], columns: int) -> Tensor:
    """A^T m: six maps `(rows, batch, tiles, rate, filters)` to `(batch, height, columns, filters)`."""
    import tensorflow as tf

    results = tf.stack(combine(winograd_matrices().results, products), axis=3)
    rows, _, tiles, _, rate, filters = results.shape
    results = tf.reshape(results, (rows, -1, tiles * RESULTS * rate, filters))
    return tf.transpose(results, (1, 0, 2, 3))[:, :, :columns]


def _padded(maps: Tensor, places: Sequence[int], padding: str, rates: Rates) -> Tensor:
    """The maps, with the zeros that a kernel of odd sides reads beside them."""
    import tensorflow as tf

    beside = [rate * (side // 2) if padding == "same" else 0 for side, rate in zip(places, rates, strict=True)]
    return tf.pad(maps, [(0, 0), *((pixels, pixels) for pixels in beside), (0, 0)]) if any(beside) else maps


def _columns(maps: Tensor, padding: str, rates: Rates) -> int:
    """Width of the result of a 3x3 kernel."""
    width: int = maps.shape[2]
    return width if padding == "same" else max(width - (TAPS - 1) * rates[1], 0)


def _tiles(columns: int, rates: Rates) -> int:
    """How many times four results of a row, for each of the `rates[1]` that lie between each other."""
    return math.ceil(columns / (RESULTS * rates[1]))
