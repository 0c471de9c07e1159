"""The few steps that all nets are made of, each one or two Keras layers with the padding of PyTorch and Caffe."""

import contextlib
import contextvars

import keras

from tfseg import specs
from tfseg.layers import Metadata

CHANNELS_LAST = "channels_last"  # said everywhere, so that a user's keras.json cannot change what a net computes

_blank = contextvars.ContextVar("blank", default=None)


@contextlib.contextmanager
def blank_weights(initializer):
    """Kernels of nets built inside begin as `initializer(shape, dtype)` says: for an import that fills all of them.

    VGG16's fully connected layers alone are 120 million random numbers, two seconds of work. The layers keep their own
    initializers in their configuration; `initialize` applies them to what was not filled.
    """
    token = _blank.set(initializer)
    try:
        yield
    finally:
        _blank.reset(token)


def image_input(channels, preprocessing):
    image = keras.Input((None, None, channels), name="image")
    return image, Metadata(specs.PREPROCESSING[preprocessing], name="metadata")(image)


def conv(
    x,
    filters,
    kernel_size,
    name,
    *,
    strides=1,
    dilation_rate=1,
    groups=1,
    use_bias=False,
    padding=None,
    kernel_initializer="he_normal",
):
    """A convolution, padded alike on both sides by `padding` pixels: by default, by as many as keep the size.

    Under a stride Keras's own "same" pads only the far side of even sizes, so the zeros are a layer of their own; but
    where TensorFlow's networks want just that, `padding="same"`.
    """
    same = dilation_rate * (kernel_size - 1) // 2
    padding = same if padding is None else padding
    explicit = padding not in (0, "same") and (strides > 1 or padding != same)
    if explicit:
        x = keras.layers.ZeroPadding2D(padding, data_format=CHANNELS_LAST, name=f"{name}_pad")(x)
    layer = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same" if padding and not explicit else "valid",
        dilation_rate=dilation_rate,
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        data_format=CHANNELS_LAST,
        name=name,
    )
    return apply(layer, x)


def depthwise(x, kernel_size, name, *, dilation_rate=1):
    """A convolution of every channel by itself, which keeps the size."""
    layer = keras.layers.DepthwiseConv2D(
        kernel_size,
        padding="same",
        dilation_rate=dilation_rate,
        use_bias=False,
        # Keras counts all channels as inputs of each; this makes it he_normal of the kernel's pixels alone.
        depthwise_initializer=keras.initializers.VarianceScaling(2.0 * x.shape[-1], "fan_in", "truncated_normal"),
        data_format=CHANNELS_LAST,
        name=name,
    )
    return layer(x)


def dense(x, units, name):
    return apply(keras.layers.Dense(units, kernel_initializer="he_normal", name=name), x)


def apply(layer, x):
    """`layer(x)`, its kernel left blank inside `blank_weights`."""
    if _blank.get() is None:
        return layer(x)
    initializer, layer.kernel_initializer = layer.kernel_initializer, _blank.get()
    try:
        return layer(x)
    finally:
        layer.kernel_initializer = initializer


def norm(x, name, epsilon=1e-5):
    """BatchNorm with PyTorch's epsilon and momentum (its 0.1 of the new is Keras's 0.9 of the old)."""
    return keras.layers.BatchNormalization(axis=-1, momentum=0.9, epsilon=epsilon, name=name)(x)


def relu(x, name):
    return keras.layers.Activation("relu", name=name)(x)


def conv_norm_relu(x, filters, kernel_size, name, **options):
    x = norm(conv(x, filters, kernel_size, f"{name}_conv", **options), f"{name}_bn")
    return relu(x, f"{name}_relu")


def separable_norm_relu(x, filters, kernel_size, name, *, dilation_rate=1):
    """`conv_norm_relu` with its kernel taken apart: every channel by itself, then all of them pixel by pixel."""
    x = depthwise(x, kernel_size, f"{name}_depthwise", dilation_rate=dilation_rate)
    return conv_norm_relu(x, filters, 1, name)


def max_pool(x, pool_size, name, *, padding="valid"):
    return keras.layers.MaxPooling2D(pool_size, 2, padding=padding, data_format=CHANNELS_LAST, name=name)(x)


def scaled(filters, width):
    """`filters * width` channels: at least one, rounded."""
    return max(1, round(filters * width))


def check(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}. Received: {value!r}")


def initialize(model, paths):
    """Gives the kernels among `paths` the values that `blank_weights` kept from them."""
    for layer in model.layers:
        for variable in layer.weights:
            if variable.path in paths and variable.name == "kernel" and hasattr(layer, "kernel_initializer"):
                variable.assign(layer.kernel_initializer(variable.shape, variable.dtype))
