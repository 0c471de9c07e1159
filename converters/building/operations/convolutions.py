"""Convolutions and fully connected layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import Laid
from tfseg.layers.transposed_convolution import TransposedConvolution

_Pads = tuple[tuple[int, int], tuple[int, int]]


def pair(value: Any) -> tuple[int, int]:
    """Rows and columns of an argument that may be one number."""
    if isinstance(value, int):
        return value, value
    values = list(value)
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def conv2d(
    b: Builder,
    input: Laid,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Laid:
    """A convolution of maps, as one layer and the zeros that it needs."""
    kernel = constant(b, weight, "a kernel")
    outputs, inputs, *window = kernel.shape
    stride, dilation = pair(stride), pair(dilation)
    pads = _pads(padding, window, dilation)
    border = input.border
    x = input.tensor if border else input.as_map().tensor
    half = tuple((rate * (size - 1) // 2,) * 2 for rate, size in zip(dilation, window, strict=True))
    odd = all(size % 2 for size in window)
    same = stride == (1, 1) and odd and pads == half
    if border:
        if any(map(any, pads)) or border.value or not border.is_same(window, stride, dilation):
            raise b.refusal("reads a map that is padded by what its size says, unlike TensorFlow's SAME")
        same = True
    if not same and any(map(any, pads)):
        x = b.layer(keras.layers.ZeroPadding2D, x, suffix="pad", padding=pads)
    config: dict[str, Any] = {
        "use_bias": bias is not None,
        "padding": "same" if border or (same and any(map(any, pads))) else "valid",
    }
    if groups > 1 and inputs == 1 and outputs % groups == 0 and groups == input.shapes[0][1]:
        multiplier = outputs // groups
        # torch: output channel c * multiplier + j reads input channel c.
        layout = f"(c m) 1 h w -> h w c m; m={multiplier}"
        config |= {"kernel_size": window, "depth_multiplier": multiplier}
        make: Any = keras.layers.DepthwiseConv2D
    else:
        layout = "o i h w -> h w i o"
        config |= {"kernel_size": window, "filters": outputs, "groups": groups}
        make = keras.layers.Conv2D
    steps = stride
    uneven = len(set(stride)) > 1 and make is keras.layers.DepthwiseConv2D
    if border and (max(dilation) > 1 < max(stride) or uneven):
        raise b.refusal("is dilated and strides over a map that is padded by what its size says")
    if max(dilation) > 1 and max(stride) > 1:  # Keras computes one of them: every stride-th pixel is taken afterwards
        stride = (1, 1)
    if len(set(stride)) > 1 and make is keras.layers.DepthwiseConv2D:
        stride = (1, 1)  # TensorFlow has one stride for both axes
    x = b.layer(make, x, _weights(layout, bias), strides=stride, dilation_rate=dilation, **config)
    if stride != steps:
        x = b.layer(keras.layers.MaxPooling2D, x, suffix="stride", pool_size=1, strides=steps)
    return b.laid(x)


def _weights(layout: str, bias: Any) -> dict[str, Weight]:
    """Where a layer's kernel and its bias come from."""
    return {"kernel": Weight("weight", layout)} | ({} if bias is None else {"bias": Weight("bias", "o -> o")})


def _pads(padding: Any, window: Sequence[int], dilation: tuple[int, int]) -> _Pads:
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        sums = [rate * (size - 1) for rate, size in zip(dilation, window, strict=True)]
        return (sums[0] // 2, sums[0] - sums[0] // 2), (sums[1] // 2, sums[1] - sums[1] // 2)
    rows, columns = pair(padding)
    return (rows, rows), (columns, columns)


def conv_transpose2d(
    b: Builder,
    input: Laid,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Laid:
    """A transposed convolution: the whole result, and then what padding cuts off."""
    kernel = constant(b, weight, "a kernel")
    stride, padding, extra, dilation = pair(stride), pair(padding), pair(output_padding), pair(dilation)
    window = kernel.shape[2:]
    small = any(size < step for size, step in zip(window, stride, strict=True))
    more = any(more > less for more, less in zip(extra, padding, strict=True))
    if groups != 1 or dilation != (1, 1) or small or more:
        x = b.layer(
            TransposedConvolution,
            input.as_map().tensor,
            _weights("i o h w -> h w o i", bias),
            filters=kernel.shape[1] * groups,
            kernel_size=window,
            strides=stride,
            padding=padding,
            output_padding=extra,
            groups=groups,
            dilation_rate=dilation,
            use_bias=bias is not None,
        )
        return b.laid(x)
    x = b.layer(
        keras.layers.Conv2DTranspose,
        input.as_map().tensor,
        _weights("i o h w -> h w o i", bias),
        filters=kernel.shape[1],
        kernel_size=window,
        strides=stride,
        use_bias=bias is not None,
    )
    crop = tuple((less, less - more) for less, more in zip(padding, extra, strict=True))
    if any(map(any, crop)):
        x = b.layer(keras.layers.Cropping2D, x, suffix="crop", cropping=crop)
    return b.laid(x)


def linear(b: Builder, input: Laid, weight: Any, bias: Any = None) -> Laid:
    """A fully connected layer on the last axis."""
    units, layout = constant(b, weight, "a matrix").shape[0], "o i -> i o"
    if input.mixed:  # the rows of the kernel are permuted, not the map
        _, height, width = input.mixed
        layout = f"o (c h w) -> (h w c) o; h={height} w={width}"
        x, axes = input.tensor, input.axes
    else:
        axes = input.axes if input.axes[-1] == input.rank - 1 else tuple(range(input.rank))
        x = input.arranged(axes).tensor
    x = b.layer(keras.layers.Dense, x, _weights(layout, bias), units=units, use_bias=bias is not None)
    return b.laid(x, axes)


def constant(b: Builder, value: Any, what: str) -> np.ndarray:
    """An argument that has to be a tensor of the file."""
    if not isinstance(value, np.ndarray):
        raise b.refusal(f"has {what} that the network computes")
    return value


def conv1d(
    b: Builder,
    input: Laid,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Laid:
    """A convolution of sequences `(batch, channels, length)`."""
    kernel = constant(b, weight, "a kernel")
    stride, padding, dilation = (
        value[0] if isinstance(value, list) else value for value in (stride, padding, dilation)
    )
    if not isinstance(padding, int):
        raise b.refusal(f"pads by {padding!r}")
    x = input.arranged((0, 2, 1)).tensor
    if padding:
        x = b.layer(keras.layers.ZeroPadding1D, x, suffix="pad", padding=padding)
    config: dict[str, Any] = {
        "filters": kernel.shape[0],
        "kernel_size": kernel.shape[2],
        "groups": groups,
        "use_bias": bias is not None,
    }
    x = b.layer(
        keras.layers.Conv1D, x, _weights("o i l -> l i o", bias), strides=stride, dilation_rate=dilation, **config
    )
    return b.laid(x, (0, 2, 1))


HANDLERS: dict[str, Handler] = {
    "conv1d": conv1d,
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "linear": linear,
}
