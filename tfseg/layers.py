"""Layers that Keras lacks: sizes known only when an image comes, poolings with holes, and the model's own facts."""

import itertools
import math

import keras
from keras import ops


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
    """The first input, bilinear, at the height and width of the second; pixel corners not aligned (torch's default).

    Call on `[x, reference]`, both `(batch, height, width, channels)`. `keras.ops.image.resize` cannot serve: it refuses
    sizes that are known only when an image comes.
    """

    def call(self, inputs):
        x, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return _along_axes(x, self._weights, height, width)

    def _weights(self, outputs, pixels):
        # In float32 and in torch's order of operations, so that its rounding is ours.
        scale = ops.cast(pixels, "float32") / ops.cast(outputs, "float32")
        place = scale * (ops.arange(outputs, dtype="float32") + 0.5) - 0.5
        place = ops.clip(place, 0, ops.cast(pixels - 1, "float32"))
        distance = ops.abs(place[:, None] - ops.arange(pixels, dtype="float32")[None])
        return ops.cast(ops.relu(1 - distance), self.compute_dtype)

    def compute_output_spec(self, inputs):
        x, reference = inputs
        return keras.KerasTensor((x.shape[0], *reference.shape[1:3], x.shape[3]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable("tfseg")
class CropLike(keras.layers.Layer):
    """The window of the first input that has the second's height and width and begins `offset` pixels in.

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
        return keras.KerasTensor((x.shape[0], *reference.shape[1:3], x.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"offset": self.offset}


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
class DilatedMaxPooling(keras.layers.Layer):
    """Max pooling, stride 1, of pixels `dilation_rate` apart; the output has the input's size.

    What a strided pooling becomes on a grid `dilation_rate` times as dense. Padding counts as minus infinity.

    Args:
        pool_size: pixels of the window's side.
        dilation_rate: distance between them.
        before: pixels of the window that lie before the output pixel, in units of `dilation_rate`.
    """

    def __init__(self, pool_size, dilation_rate=1, before=0, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.dilation_rate = dilation_rate
        self.before = before

    def call(self, inputs):
        height, width = ops.shape(inputs)[1:3]
        pad = [self.before * self.dilation_rate, (self.pool_size - 1 - self.before) * self.dilation_rate]
        x = ops.pad(inputs, [[0, 0], pad, pad, [0, 0]], constant_values=-math.inf)
        starts = range(0, self.pool_size * self.dilation_rate, self.dilation_rate)
        windows = [x[:, i : i + height, j : j + width, :] for i, j in itertools.product(starts, starts)]
        while len(windows) > 1:
            windows = [ops.maximum(windows[0], windows[1]), *windows[2:]]
        return windows[0]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "pool_size": self.pool_size,
            "dilation_rate": self.dilation_rate,
            "before": self.before,
        }


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
