"""The few steps that all nets are made of: each is one or two Keras layers with the padding of PyTorch and Caffe."""

import contextlib
import contextvars
import math
from collections.abc import Collection, Iterator
from typing import Any, Protocol, TypeAlias

import keras

from tfseg import specs
from tfseg.layers import Metadata
from tfseg.types import Tensor

Padding: TypeAlias = int | tuple[int, int] | str | None
CHANNELS_LAST = "channels_last"  # stated everywhere, so that a user's keras.json cannot change what a net computes


class KernelInitializer(Protocol):
    """Values of a kernel, by shape and type."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """The values.

        Args:
            shape: shape of the kernel.
            dtype: type of the kernel.
        """


_blank: contextvars.ContextVar[KernelInitializer | None] = contextvars.ContextVar("blank", default=None)


@contextlib.contextmanager
def blank_weights(initializer: KernelInitializer) -> Iterator[None]:
    """Inside this context, kernels of new nets get the values of `initializer`: for an import that fills all of them.

    The fully connected layers of VGG16 alone are 120 million random numbers, two seconds of work. The layers keep their
    own initializers in their configuration; `initialize` applies them to what the import did not fill.

    Args:
        initializer: function of shape and type, as a Keras initializer.
    """
    token = _blank.set(initializer)
    try:
        yield
    finally:
        _blank.reset(token)


def image_input(channels: int, preprocessing: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input `(batch, height, width, channels)`, and the same after the layer that carries the metadata.

    Args:
        channels: number of channels of the image.
        preprocessing: name of `tfseg.specs.PREPROCESSING`; images of other than three channels have none.
    """
    image = keras.Input((None, None, channels), name="image")
    return image, Metadata(specs.PREPROCESSING[preprocessing] if channels == 3 else None, name="metadata")(image)


def conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    strides: int = 1,
    dilation_rate: int = 1,
    groups: int = 1,
    use_bias: bool = False,
    padding: Padding = None,
    kernel_initializer: str = "he_normal",
    kind: type[keras.layers.Conv2D] = keras.layers.Conv2D,
) -> Tensor:
    """A convolution with the same padding on both sides.

    Under a stride, Keras's own "same" pads only the far side of even sizes, so the zeros are a layer of their own.
    `padding="same"` is for TensorFlow's networks, which want that.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        kernel_size: rows, and columns, of the kernel.
        name: name of the layer.
        strides: input pixels per output pixel.
        dilation_rate: distance in pixels between the pixels that the kernel reads.
        groups: groups of channels that are convolved separately.
        use_bias: whether the convolution has a bias.
        padding: zero pixels on every side, those before and after each axis, or "same"; None: as many as keep the size
            at stride 1.
        kernel_initializer: name of a Keras initializer.
        kind: class of the layer.
    """
    x, keras_padding = _padded(x, padding, dilation_rate * (kernel_size - 1) // 2, strides, name)
    layer = kind(
        filters,
        kernel_size,
        strides=strides,
        padding=keras_padding,
        dilation_rate=dilation_rate,
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        data_format=CHANNELS_LAST,
        name=name,
    )
    return apply(layer, x)


def _padded(x: Tensor, padding: Padding, same: int, strides: int, name: str) -> tuple[Tensor, str]:
    """The map with the zeros that Keras does not add as wanted, and the word that Keras's layer gets."""
    padding = same if padding is None else padding
    if padding in (0, "same"):
        return x, "same" if padding else "valid"
    if padding == same and strides == 1:
        return x, "same"
    sides: Any = (padding, padding) if isinstance(padding, tuple) else padding
    return keras.layers.ZeroPadding2D(sides, data_format=CHANNELS_LAST, name=f"{name}_pad")(x), "valid"


def depthwise(
    x: Tensor,
    kernel_size: int,
    name: str,
    *,
    strides: int = 1,
    dilation_rate: int = 1,
    use_bias: bool = False,
    padding: Padding = None,
) -> Tensor:
    """A convolution of every channel by itself; it pads as `conv` does.

    Args:
        x: map `(batch, height, width, channels)`.
        kernel_size: rows, and columns, of the kernels; odd.
        name: name of the layer.
        strides: input pixels per output pixel.
        dilation_rate: distance in pixels between the pixels that a kernel reads.
        use_bias: whether the convolution has a bias.
        padding: see `conv`.
    """
    x, keras_padding = _padded(x, padding, dilation_rate * (kernel_size - 1) // 2, strides, name)
    layer = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=keras_padding,
        dilation_rate=dilation_rate,
        use_bias=use_bias,
        # Keras counts all channels as inputs of each channel; this factor gives he_normal of the kernel's own pixels.
        depthwise_initializer=keras.initializers.VarianceScaling(2.0 * x.shape[-1], "fan_in", "truncated_normal"),
        data_format=CHANNELS_LAST,
        name=name,
    )
    return layer(x)


def dense(x: Tensor, units: int, name: str) -> Tensor:
    """A fully connected layer.

    Args:
        x: features `(batch, channels)`.
        units: number of outputs.
        name: name of the layer.
    """
    return apply(keras.layers.Dense(units, kernel_initializer="he_normal", name=name), x)


def apply(layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """`layer(x)`; inside `blank_weights` its kernel stays blank.

    Args:
        layer: layer with a `kernel_initializer`, not built yet.
        x: input of the layer.
    """
    blank = _blank.get()
    if blank is None:
        return layer(x)
    initializer, layer.kernel_initializer = layer.kernel_initializer, blank
    try:
        return layer(x)
    finally:
        layer.kernel_initializer = initializer


def norm(x: Tensor, name: str, epsilon: float = 1e-5, momentum: float = 0.9) -> Tensor:
    """BatchNorm with PyTorch's epsilon and momentum (PyTorch's 0.1 for the new value is Keras's 0.9 for the old one).

    Args:
        x: map `(batch, height, width, channels)`.
        name: name of the layer.
        epsilon: number that is added to the variance.
        momentum: share of the old value in the moving averages.
    """
    return keras.layers.BatchNormalization(axis=-1, momentum=momentum, epsilon=epsilon, name=name)(x)


def affine(x: Tensor, name: str) -> Tensor:
    """Each channel times a factor, and a number added: the identity at the start.

    Args:
        x: map `(batch, height, width, channels)`.
        name: name of the layer.
    """
    return keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", data_format=CHANNELS_LAST, name=name)(x)


def relu(x: Tensor, name: str) -> Tensor:
    """A ReLU.

    Args:
        x: any tensor.
        name: name of the layer.
    """
    return keras.layers.Activation("relu", name=name)(x)


def conv_norm_relu(
    x: Tensor, filters: int, kernel_size: int, name: str, *, epsilon: float = 1e-5, **options: Any
) -> Tensor:
    """Convolution, BatchNorm and ReLU: layers `<name>_conv`, `<name>_bn` and `<name>_relu`.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        kernel_size: rows, and columns, of the kernel.
        name: beginning of the layers' names.
        epsilon: epsilon of the BatchNorm.
        options: further arguments of `conv`.
    """
    x = norm(conv(x, filters, kernel_size, f"{name}_conv", **options), f"{name}_bn", epsilon)
    return relu(x, f"{name}_relu")


def conv_relu(x: Tensor, filters: int, kernel_size: int, name: str, **options: Any) -> Tensor:
    """Convolution with a bias, and ReLU: layers `<name>_conv` and `<name>_relu`.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        kernel_size: rows, and columns, of the kernel.
        name: beginning of the layers' names.
        options: further arguments of `conv`.
    """
    return relu(conv(x, filters, kernel_size, f"{name}_conv", use_bias=True, **options), f"{name}_relu")


def separable_norm_relu(
    x: Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    dilation_rate: int = 1,
    use_bias: bool = False,
    depthwise_norm: bool = False,
) -> Tensor:
    """`conv_norm_relu` with a separable kernel: every channel by itself, then all channels pixel by pixel.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        kernel_size: rows, and columns, of the depthwise kernels; odd.
        name: beginning of the layers' names.
        dilation_rate: distance in pixels between the pixels that a depthwise kernel reads.
        use_bias: whether both convolutions have biases.
        depthwise_norm: whether BatchNorm and ReLU follow the depthwise convolution, too (TensorFlow's DeepLab).
    """
    x = depthwise(x, kernel_size, f"{name}_depthwise", dilation_rate=dilation_rate, use_bias=use_bias)
    if depthwise_norm:
        x = relu(norm(x, f"{name}_depthwise_bn"), f"{name}_depthwise_relu")
    return conv_norm_relu(x, filters, 1, name, use_bias=use_bias)


def max_pool(x: Tensor, pool_size: int, name: str, *, padding: str = "valid") -> Tensor:
    """A maximum pooling of stride 2.

    Args:
        x: map `(batch, height, width, channels)`.
        pool_size: rows, and columns, of the window.
        name: name of the layer.
        padding: "valid" or Keras's "same".
    """
    return keras.layers.MaxPooling2D(pool_size, 2, padding=padding, data_format=CHANNELS_LAST, name=name)(x)


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuses an argument that is not one of a few choices.

    Args:
        name: name of the argument.
        value: value that came.
        choices: values that are allowed.
    Raises:
        ValueError: the value is not among them.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {value!r}")


def check_width(width: float) -> None:
    """Refuses a multiplier of the channel counts that is not a positive number.

    Args:
        width: value that came.
    Raises:
        ValueError: zero, a negative number, infinity or NaN.
    """
    if not 0 < width < math.inf:
        raise ValueError(
            f"width multiplies every channel count: it must be a positive number. Received: width={width!r}"
        )


def initialize(model: keras.Model, paths: Collection[str]) -> None:
    """Gives kernels the values that `blank_weights` did not compute.

    Args:
        model: net that was built inside `blank_weights`.
        paths: paths of the variables that the import did not fill; those that are no kernels stay as they are.
    """
    for layer in model.layers:
        for variable in layer.weights:
            if variable.path in paths and variable.name == "kernel" and hasattr(layer, "kernel_initializer"):
                variable.assign(layer.kernel_initializer(variable.shape, variable.dtype))
