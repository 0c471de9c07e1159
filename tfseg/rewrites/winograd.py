"""Winograd's minimal filtering: its matrices, and the 3x3 convolution that is made of them."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from tfseg.types import Array, Tensor

RESULTS, TAPS = 4, 3  # made at once along an axis, and the kernel's length: F(4x4, 3x3)
SPAN = RESULTS + TAPS - 1  # pixels that they depend on
# Where the polynomials are evaluated, beside infinity: the usual 1, -1, 2, -2 make three times the error.
POINTS = (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)


class WinogradMatrices(NamedTuple):
    """The matrices of `y = A^T [(G g) * (B^T d)]`, for four results y, a kernel g of three and six pixels d.

    Attributes:
        results: A^T, (4, 6).
        kernel: G, (6, 3).
        pixels: B^T, (6, 6).
    """

    results: Array
    kernel: Array
    pixels: Array


@functools.cache
def winograd_matrices() -> WinogradMatrices:
    """The matrices that multiply polynomials by their values at `POINTS` and at infinity."""
    points = np.array(POINTS)
    others = [points[points != point] for point in points]
    scale = [[np.prod(point - rest)] for point, rest in zip(points, others, strict=True)]
    a = np.column_stack([np.vander(points, RESULTS, increasing=True).T, np.eye(RESULTS)[-1]])
    g = np.vstack([np.vander(points, TAPS, increasing=True) / scale, np.eye(TAPS)[-1]])
    b = np.array([np.pad(np.poly(roots)[::-1], (0, SPAN - 1 - len(roots))) for roots in [*others, points]])
    return WinogradMatrices(a, g, b)


def transform_kernel(kernel: Array) -> Array:
    """G g G^T: `(3, 3, channels, filters)` to `(36, channels, filters)`."""
    g = winograd_matrices().kernel
    kernel = np.asarray(kernel, "float64")
    return np.einsum("ia,abcf,jb->ijcf", g, kernel, g).reshape(SPAN * SPAN, *kernel.shape[2:]).astype("float32")


def combine(matrix: Array, values: Iterable[Tensor]) -> list[Tensor]:
    """The matrix times a vector of maps, written as sums, so that a compiler makes one loop of them."""
    values = list(values)
    sums = []
    for row in matrix:
        terms = [value if factor == 1 else factor * value for factor, value in zip(row, values, strict=True) if factor]
        sums.append(sum(terms[1:], terms[0]))
    return sums


@keras.saving.register_keras_serializable("tfseg")
class WinogradConv2D(layers.Layer):
    """What `keras.layers.Conv2D` computes with a 3x3 kernel at stride 1, channels last, one group.

    Arguments are those of `Conv2D`; the weight `kernel` is made by `transform_kernel`.
    """

    def __init__(
        self,
        filters: int,
        padding: str = "valid",
        dilation_rate: int | Sequence[int] = 1,
        use_bias: bool = True,
        activation: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters, self.padding, self.use_bias = filters, padding, use_bias
        self.dilation_rate = (dilation_rate,) * 2 if isinstance(dilation_rate, int) else tuple(dilation_rate)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weights."""
        self.kernel = self.add_weight((SPAN * SPAN, input_shape[-1], self.filters), name="kernel")
        self.bias = self.add_weight((self.filters,), name="bias", initializer="zeros") if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """The convolution of `(batch, height, width, channels)`, whose height and width are known."""
        sizes = self._output_sizes(inputs.shape[1:3])
        pads, phases = [], []
        for size, output_size, rate in zip(inputs.shape[1:3], sizes, self.dilation_rate, strict=True):
            before = rate if self.padding == "same" else 0
            length = RESULTS * -(-output_size // (RESULTS * rate)) + TAPS - 1  # of a phase: whole tiles
            pads.append((before, length * rate - before - size))
            phases += [length, rate]
        batch, *_, channels = ops.shape(inputs)
        x = ops.reshape(ops.pad(inputs, [(0, 0), *pads, (0, 0)]), (batch, *phases, channels))
        tiles = compiled(to_tiles, tuple(x.shape))(x)
        shape = (batch, *tiles[0].shape[1:5])
        # The products stay outside: the backend's are faster than XLA's.
        products = [ops.matmul(ops.reshape(tile, (-1, channels)), self.kernel[i]) for i, tile in enumerate(tiles)]
        products = [ops.reshape(product, (*shape, self.filters)) for product in products]
        y = compiled(from_tiles, tuple(products[0].shape))(products)[:, : sizes[0], : sizes[1]]
        return self.activation(y + self.bias if self.use_bias else y)

    def _output_sizes(self, sizes: Sequence[int]) -> list[int]:
        """Height and width of the result."""
        lost = 0 if self.padding == "same" else TAPS - 1
        return [size - lost * rate for size, rate in zip(sizes, self.dilation_rate, strict=True)]

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The symbolic result."""
        shape = (inputs.shape[0], *self._output_sizes(inputs.shape[1:3]), self.filters)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().get_config() | {
            "filters": self.filters,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
        }


def to_tiles(x: Tensor) -> list[Tensor]:
    """B^T d B: `(batch, rows, down, columns, right, channels)` to 36 such of `(batch, tiles, down, tiles, ...)`."""
    b = winograd_matrices().pixels
    rows = combine(b, [x[:, place : x.shape[1] - SPAN + 1 + place : RESULTS] for place in range(SPAN)])
    across = x.shape[3] - SPAN + 1
    return [
        tile
        for row in rows
        for tile in combine(b, [row[:, :, :, place : across + place : RESULTS] for place in range(SPAN)])
    ]


def from_tiles(products: list[Tensor]) -> Tensor:
    """A^T m A: 36 of `(batch, tiles, down, tiles, right, filters)` to `(batch, height, width, filters)`."""
    a = winograd_matrices().results
    batch, high, down, wide, right, filters = products[0].shape
    columns = [combine(a, products[place::SPAN]) for place in range(SPAN)]
    rows = [ops.stack(combine(a, row), axis=4) for row in zip(*columns, strict=True)]
    shape = (-1 if batch is None else batch, RESULTS * high * down, RESULTS * wide * right, filters)
    return ops.reshape(ops.stack(rows, axis=2), shape)


@functools.cache
def compiled(function: Callable[..., Any], _shape: tuple[int | None, ...]) -> Callable[..., Any]:
    """The function compiled by XLA where the backend leaves that to its user: JAX compiles anyway, PyTorch cannot.

    One for each shape: with several shapes in one function, TensorFlow warns of endless retracing.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)
