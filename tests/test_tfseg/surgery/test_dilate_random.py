"""`tfseg.dilate` on random networks: exact, or refused by name; never wrong."""

import collections
import random

import hypothesis
import keras
import numpy as np
import pytest
from helpers.random_weights import is_nonconstant, random_image, randomize_weights
from helpers.references import output, relative
from hypothesis import strategies
from keras import layers, ops

import tfseg

CHANNELS = 4


class RandomNetwork:
    """One random network: layer upon layer, with branches that meet again.

    Args:
        generator: a `random.Random`, which makes all choices.
    """

    def __init__(self, generator):
        self.random = generator
        self.sizes = [self.pair(40, 90) for _ in range(2)]
        self.static = self.random.random() < 0.5
        if self.static:
            self.sizes = self.sizes[:1]
        image = keras.Input((*(self.sizes[0] if self.static else (None, None)), CHANNELS))
        x, self.stride = image, 1
        strides = self.random.randrange(2, 5)
        for _ in range(strides):
            for _ in range(self.random.randrange(0, 3)):
                x = self.pick(self.BETWEEN)(self, x)
            self.factor = 2
            x = self.pick(self.STRIDING)(self, x)
            self.stride *= self.factor
        for _ in range(self.random.randrange(0, 3)):
            x = self.pick(self.BETWEEN)(self, x)
        outputs = self.pick([x, x, x, self.classifier(x)])
        self.model = randomize_weights(keras.Model(image, outputs), self.random.randrange(2**32))
        self.output_stride = 2 ** self.random.randrange(strides)

    def pick(self, choices):
        return choices[self.random.randrange(len(choices))]

    def pair(self, start, stop):
        return self.random.randrange(start, stop), self.random.randrange(start, stop)

    def kernel(self, most=5):
        sizes = self.pair(1, most + 1)
        return sizes if self.random.random() < 0.3 else sizes[:1] * 2

    def padding(self):
        return self.pick(["same", "valid"])

    # ------------------------------------------------------------------------------------------------ single layers

    def conv(self, x, strides=1, kernel=None, padding=None):
        kernel, padding = kernel or self.kernel(), padding or self.padding()
        dilation = self.random.randrange(1, 3) if strides == 1 and kernel != 1 else 1
        kind = self.pick([layers.Conv2D, layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D])
        filters = () if kind is layers.DepthwiseConv2D else (CHANNELS,)
        return kind(*filters, kernel, strides=strides, padding=padding, dilation_rate=dilation)(x)

    def pool(self, x, strides=1, window=None, padding=None):
        window, padding = window or self.kernel(3), padding or self.padding()
        if self.random.random() < 0.2:
            return self.pick([ops.max_pool, ops.average_pool])(x, window, strides, padding)
        return self.pick([layers.MaxPooling2D, layers.AveragePooling2D])(window, strides, padding)(x)

    def border(self, x):
        sides = tuple(self.pair(0, 3) for _ in range(2))
        if self.random.random() < 0.2:
            return ops.pad(x, [[0, 0], *map(list, sides), [0, 0]])
        return self.pick([layers.ZeroPadding2D, layers.Cropping2D])(sides)(x)

    def pixelwise(self, x):
        return self.pick([layers.BatchNormalization(), layers.LeakyReLU(), ops.tanh, layers.LayerNormalization()])(x)

    def inner(self, x):
        steps = [layers.Conv2D(CHANNELS, self.kernel(), padding="same"), layers.LeakyReLU()]
        return keras.Sequential(steps)(x)

    def enlarged(self, x):
        """Rarely an upsampling, which can be dilated only in front of the dense part."""
        return layers.UpSampling2D()(self.stride_alone(x)) if self.random.random() < 0.1 else self.pixelwise(x)

    # ----------------------------------------------------------------------------------------------------- branches

    def squeeze_and_excite(self, x):
        way = self.random.randrange(3)
        if way == 0:
            squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
        elif way == 1:
            squeezed = layers.Reshape((1, 1, CHANNELS))(layers.GlobalMaxPooling2D()(x))
        else:
            squeezed = ops.mean(x, axis=(1, 2), keepdims=True)
        gate = layers.Conv2D(CHANNELS, 1, activation="sigmoid")(squeezed)
        return layers.Multiply()([x, gate]) if self.random.random() < 0.5 else x * gate

    def residual(self, x):
        y = self.pixelwise(self.conv(x, padding="same"))
        return self.joined([x, y])

    def joined(self, branches):
        way = self.random.randrange(5)
        if way == 0:
            return layers.Conv2D(CHANNELS, 1)(layers.Concatenate()(branches))
        if way == 1 and len(branches) == 2:
            return branches[0] - branches[1]
        return self.pick([layers.Add, layers.Average, layers.Maximum])()(branches)

    def stride_alone(self, x, strides=2):
        return self.pick([RandomNetwork.conv, RandomNetwork.pool])(self, x, strides)

    def stride_three(self, x):
        self.factor = 3 if self.random.random() < 0.05 else 2
        return self.stride_alone(x, self.factor)

    def stride_in_branches(self, x):
        """Each branch strides somewhere. Branches of fixed sizes are cropped; others halve and round in the same way."""
        count = self.random.randrange(2, 4)
        if not self.static:
            halves = self.pick([self.ROUNDED_UP, self.ROUNDED_DOWN, self.SHRUNK])
            return self.joined([self.pixelwise(self.pick(halves)(self, x)) for _ in range(count)])
        branches = []
        for _ in range(count):
            y = x
            for _ in range(self.random.randrange(0, 2)):
                y = self.pick(self.SINGLE)(self, y)
            y = self.stride_alone(y)
            for _ in range(self.random.randrange(0, 2)):
                y = self.pick(self.SINGLE)(self, y)
            branches.append(y)
        common = [min(branch.shape[axis] for branch in branches) for axis in (1, 2)]
        return self.joined([self.cropped(branch, common) for branch in branches])

    def cropped(self, x, size):
        more = [x.shape[axis] - wanted for axis, wanted in zip((1, 2), size, strict=True)]
        before = [self.random.randrange(extra + 1) for extra in more]
        sides = tuple((first, extra - first) for first, extra in zip(before, more, strict=True))
        return layers.Cropping2D(sides)(x) if any(more) else x

    def classifier(self, x):
        if self.static and self.random.random() < 0.5:
            x = layers.Flatten()(x)
        else:
            x = self.pick([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])()(x)
        return layers.Dense(3)(x)

    SINGLE = (conv, pool, border, pixelwise)
    BETWEEN = (*SINGLE, conv, pixelwise, inner, squeeze_and_excite, residual, residual, enlarged)
    STRIDING = (stride_alone, stride_alone, stride_three, stride_in_branches, stride_in_branches)
    ROUNDED_UP = (
        lambda self, x: self.conv(x, 2, padding="same"),
        lambda self, x: self.pool(x, 2, padding="same"),
        lambda self, x: self.conv(x, 2, 1, "valid"),
        lambda self, x: self.conv(layers.ZeroPadding2D(1)(x), 2, 3, "valid"),
        lambda self, x: self.pool(layers.ZeroPadding2D(((2, 0), (1, 1)))(x), 2, 3, "valid"),
    )
    ROUNDED_DOWN = (
        lambda self, x: self.pool(x, 2, 2, "valid"),
        lambda self, x: self.conv(x, 2, 2, "valid"),
        lambda self, x: self.conv(layers.ZeroPadding2D(((0, 1), (0, 1)))(x), 2, 3, "valid"),
        lambda self, x: self.conv(layers.Cropping2D(((1, 0), (1, 0)))(x), 2, 1, "valid"),
    )
    SHRUNK = (
        lambda self, x: self.pool(x, 2, 3, "valid"),
        lambda self, x: self.conv(x, 2, 3, "valid"),
        lambda self, x: self.conv(self.pool(x, 1, 2, "valid"), 2, 2, "valid"),
        lambda self, x: self.conv(layers.Cropping2D(1)(x), 2, 1, "valid"),
    )


def verdict(generator):
    """The result for one network: "exact", "refused", "invalid" (too small for its kernels) or "constant"."""
    try:
        network = RandomNetwork(generator)
        for size in network.sizes:  # if a kernel is larger than the map, TensorFlow computes anything; Keras raises
            network.model.compute_output_shape((1, *size, CHANNELS))
        values = [output(network.model, random_image(*size, channels=CHANNELS)) for size in network.sizes]
    except hypothesis.errors.HypothesisException:
        raise
    except Exception:
        return "invalid"
    if not all(value.size and np.isfinite(value).all() and is_nonconstant(value) for value in values):
        return "constant"
    try:
        dilated = tfseg.dilate(network.model, network.output_stride)
    except ValueError as error:
        if "cannot be dilated" in str(error):
            return "refused"
        raise
    step = network.stride // network.output_stride
    for size, expected in zip(network.sizes, values, strict=True):
        result = output(dilated, random_image(*size, channels=CHANNELS))
        assert np.isfinite(result).all()
        old_grid = result[:, ::step, ::step] if result.ndim == 4 else result
        assert relative(old_grid, expected) <= 1e-5, f"output stride {network.output_stride}, image {size}"
    return "exact"


def tally(count, seed):
    """How often each verdict occurs, until `count` networks are exact or refused; hypothesis makes the choices."""
    counts = collections.Counter()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.randoms(use_true_random=False))
    def check(generator):
        result = verdict(generator)
        keras.backend.clear_session()
        counts[result] += 1
        hypothesis.assume(result in ("exact", "refused"))

    check()
    return counts


def test_eight_random_networks_are_dilated_exactly_or_refused():
    """Drawn without hypothesis, whose choices depend on the modules that are loaded (it tries their constants)."""
    counts, seed = collections.Counter(), 0
    while counts["exact"] + counts["refused"] < 8:
        counts[verdict(random.Random(seed))] += 1
        keras.backend.clear_session()
        seed += 1
    check_counts(counts, 8)


# Two thousand in all, in parts that workers can share.
@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_networks_are_dilated_exactly_or_refused(seed):
    counts = tally(500, seed)
    assert counts["exact"] + counts["refused"] >= 500
    check_counts(counts, 500)


def check_counts(counts, count):
    """Most networks must be dilated, or the test shows little."""
    print(dict(counts))  # shown by pytest -rP
    assert counts["exact"] > 0.7 * count
    assert counts["constant"] + counts["invalid"] < 0.5 * count
