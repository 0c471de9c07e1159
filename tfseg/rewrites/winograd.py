"""3x3 convolutions by Winograd's minimal filtering, for maps of one known size."""

import functools

import keras
import numpy as np
from keras import layers, ops

from tfseg.rewrites.slice_convolutions import CONFIG, is_plain
from tfseg.rewrites.split_filters import SplitConv2D
from tfseg.rewrites.timing import seconds

RESULTS, TAPS = 4, 3  # made at once along an axis, and the kernel's length: F(4x4, 3x3)
SPAN = RESULTS + TAPS - 1  # pixels that they depend on
# Where the polynomials are evaluated, beside infinity: the usual 1, -1, 2, -2 make thrice the error.
POINTS = (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)
FEWEST = 128  # channels in and out: with fewer, the transforms outweigh the products, as measured
GAIN = 1.1  # it must be so many times faster


def use_winograd(plan):
    """Of a 3x3 kernel, 16 results of a channel need 36 multiplications instead of 144.

    Y = A^T [(G g G^T) * (B^T d B)] A, for every tile d of 6x6 pixels, kernel g, and tile Y of 4x4 results. Summed over
    the channels, the product in the middle is 36 matrix products. With dilation the map falls into phases, each of
    which the kernel sees undilated.

    That pays once XLA has compiled the transforms into few loops, for one size of the map, which must be known. Whether
    it pays there is measured here, each kind of layer in both forms.

    The kernels take four times the memory.

    Returns: the changed layers' names.
    Reference: Lavin and Gray 2015, https://arxiv.org/abs/1509.09308; for the points, Barabasz et al. 2018,
        https://arxiv.org/abs/1803.10986
    """
    changed, known = [], {}
    for step in plan.of_kind(layers.Conv2D, SplitConv2D):
        conv = step.operation
        if not _fits(conv):
            continue
        config = step.config(KEPT) | {"dtype": conv.dtype_policy}
        case = repr((conv.input.shape[1:], conv.filters, config))
        if case not in known:
            known[case] = gain(conv, config)
        if known[case] >= GAIN:
            step.kind, step.changes = WinogradConv2D, config
            kernel, *bias = step.arrays
            step.values = [transformed(kernel), *bias]
            changed.append(step.name)
    return changed


KEPT = tuple(key for key in CONFIG if key != "kernel_size")


def _fits(conv):
    shape = conv.input.shape
    return (
        conv.kernel_size == (TAPS, TAPS)
        and is_plain(conv)
        and None not in shape[1:]
        and min(shape[-1], conv.filters) >= FEWEST
        and conv.compute_dtype == "float32"
    )


def gain(conv, config):
    """How many times faster a convolution is in this form, measured here."""
    image = np.random.default_rng(0).normal(size=(1, *conv.input.shape[1:])).astype("float32")
    models = []
    for layer in (type(conv).from_config(conv.get_config()), WinogradConv2D(**config)):
        tensor = keras.Input(image.shape[1:])
        models.append(keras.Model(tensor, layer(tensor)))
    plain, ours = (seconds(model, image) for model in models)
    return plain / ours


@functools.cache
def matrices():
    """A^T (4, 6), G (6, 3) and B^T (6, 6): polynomials multiplied by their values at `POINTS` and at infinity."""
    points = np.array(POINTS)
    others = [points[points != point] for point in points]
    scale = [[np.prod(point - rest)] for point, rest in zip(points, others, strict=True)]
    a = np.column_stack([np.vander(points, RESULTS, increasing=True).T, np.eye(RESULTS)[-1]])
    g = np.vstack([np.vander(points, TAPS, increasing=True) / scale, np.eye(TAPS)[-1]])
    b = np.array([np.pad(np.poly(roots)[::-1], (0, SPAN - 1 - len(roots))) for roots in [*others, points]])
    return a, g, b


def transformed(kernel):
    """G g G^T: `(3, 3, channels, filters)` to `(36, channels, filters)`."""
    _, g, _ = matrices()
    kernel = np.asarray(kernel, "float64")
    return np.einsum("ia,abcf,jb->ijcf", g, kernel, g).reshape(SPAN * SPAN, *kernel.shape[2:]).astype("float32")


def combined(matrix, values):
    """The matrix times a vector of maps, written as sums, which a compiler makes one loop of."""
    sums = []
    for row in matrix:
        terms = [value if factor == 1 else factor * value for factor, value in zip(row, values, strict=True) if factor]
        sums.append(sum(terms[1:], terms[0]))
    return sums


@keras.saving.register_keras_serializable("tfseg")
class WinogradConv2D(layers.Layer):
    """What `keras.layers.Conv2D` computes with a 3x3 kernel at stride 1, channels last, one group.

    Arguments are those of `Conv2D`; the weight `kernel` is `transformed`.
    """

    def __init__(self, filters, padding="valid", dilation_rate=1, use_bias=True, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.padding, self.use_bias = filters, padding, use_bias
        self.dilation_rate = (dilation_rate,) * 2 if isinstance(dilation_rate, int) else tuple(dilation_rate)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.kernel = self.add_weight((SPAN * SPAN, input_shape[-1], self.filters), name="kernel")
        self.bias = self.add_weight((self.filters,), name="bias", initializer="zeros") if self.use_bias else None

    def call(self, inputs):
        sizes = self._sizes(inputs.shape[1:3])
        pads, phases = [], []
        for size, made, rate in zip(inputs.shape[1:3], sizes, self.dilation_rate, strict=True):
            before = rate if self.padding == "same" else 0
            length = RESULTS * -(-made // (RESULTS * rate)) + TAPS - 1  # of a phase: whole tiles
            pads.append((before, length * rate - before - size))
            phases += [length, rate]
        batch, *_, channels = ops.shape(inputs)
        x = ops.reshape(ops.pad(inputs, [(0, 0), *pads, (0, 0)]), (batch, *phases, channels))
        tiles = compiled(to_tiles, tuple(x.shape))(x)
        shape = (batch, *tiles[0].shape[1:5])
        # The products stay outside: the backend's are faster than XLA's.
        products = [ops.matmul(ops.reshape(one, (-1, channels)), self.kernel[i]) for i, one in enumerate(tiles)]
        products = [ops.reshape(product, (*shape, self.filters)) for product in products]
        y = compiled(from_tiles, tuple(products[0].shape))(products)[:, : sizes[0], : sizes[1]]
        return self.activation(y + self.bias if self.use_bias else y)

    def _sizes(self, sizes):
        """Of the result."""
        lost = 0 if self.padding == "same" else TAPS - 1
        return [size - lost * rate for size, rate in zip(sizes, self.dilation_rate, strict=True)]

    def compute_output_spec(self, inputs):
        shape = (inputs.shape[0], *self._sizes(inputs.shape[1:3]), self.filters)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
        }


def to_tiles(x):
    """B^T d B: `(batch, rows, down, columns, right, channels)` to 36 such of `(batch, tiles, down, tiles, ...)`."""
    _, _, b = matrices()
    rows = combined(b, [x[:, place : x.shape[1] - SPAN + 1 + place : RESULTS] for place in range(SPAN)])
    across = x.shape[3] - SPAN + 1
    return [
        tile
        for row in rows
        for tile in combined(b, [row[:, :, :, place : across + place : RESULTS] for place in range(SPAN)])
    ]


def from_tiles(products):
    """A^T m A: 36 of `(batch, tiles, down, tiles, right, filters)` to `(batch, height, width, filters)`."""
    a, _, _ = matrices()
    batch, high, down, wide, right, filters = products[0].shape
    columns = [combined(a, products[place::SPAN]) for place in range(SPAN)]
    rows = [ops.stack(combined(a, row), axis=4) for row in zip(*columns, strict=True)]
    shape = (-1 if batch is None else batch, RESULTS * high * down, RESULTS * wide * right, filters)
    return ops.reshape(ops.stack(rows, axis=2), shape)


@functools.cache
def compiled(function, _shape):
    """By XLA, where the backend leaves that to its user: JAX does it anyway, PyTorch cannot.

    One for each shape: TensorFlow takes the shapes of several layers for endless retracing, and warns.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)
