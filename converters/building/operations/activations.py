"""Functions of each number, dropout, and softmax."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import Laid
from converters.building.operations.convolutions import constant
from converters.building.operations.kinds import as_numbers, check_kind, is_floating


def _same(b: Builder, laid: Laid, tensor: Any) -> Laid:
    return b.laid(tensor, laid.axes, laid.mixed)


def _activation(name: str) -> Handler:
    def handler(b: Builder, input: Laid, **_: Any) -> Laid:
        return _same(b, input, b.layer(keras.layers.Activation, input.tensor, activation=name))

    return handler


def _operation(function: Any) -> Handler:
    def handler(b: Builder, input: Laid, **_: Any) -> Laid:
        return _same(b, input, function(input.tensor))

    return handler


def gelu(b: Builder, input: Laid, approximate: str = "none") -> Laid:
    """GELU, exact or by the hyperbolic tangent."""
    if approximate == "none":
        return _same(b, input, b.layer(keras.layers.Activation, input.tensor, activation="gelu"))
    return _same(b, input, ops.gelu(input.tensor, approximate=True))


def leaky_relu(b: Builder, input: Laid, negative_slope: float = 0.01) -> Laid:
    """Leaky ReLU."""
    return _same(b, input, b.layer(keras.layers.LeakyReLU, input.tensor, negative_slope=negative_slope))


def elu(b: Builder, input: Laid, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Laid:
    """ELU."""
    if (scale, input_scale) != (1, 1):
        negative = ops.expm1(ops.minimum(input.tensor, 0) * float(input_scale)) * float(alpha * scale)
        return _same(b, input, ops.where(input.tensor > 0, input.tensor * float(scale), negative))
    return _same(b, input, b.layer(keras.layers.ELU, input.tensor, alpha=alpha))


def prelu(b: Builder, input: Laid, weight: Any) -> Laid:
    """PReLU with one slope, or one for each channel."""
    slopes = constant(b, weight, "slopes")
    laid = input.as_map() if input.rank == 4 else input.in_order()
    shared = list(range(1, laid.rank - 1)) if slopes.size > 1 else list(range(1, laid.rank))
    weights = {"alpha": Weight("weight", f"c -> {'1 ' * (laid.rank - 2)}c")}
    return b.laid(b.layer(keras.layers.PReLU, laid.tensor, weights, shared_axes=shared), laid.axes)


def clamp(b: Builder, input: Laid, low: Any, high: Any) -> Laid:
    """Numbers outside an interval become its ends; where the ends are exchanged, all become the upper one."""
    low, high = (end.item() if isinstance(end, np.ndarray) and end.size == 1 else end for end in (low, high))
    if any(isinstance(end, Laid) for end in (low, high)):
        x = input if low is None else b.handlers["maximum"](b, input, low)
        return x if high is None else b.handlers["minimum"](b, x, high)
    if not all(end is None or isinstance(end, int | float) for end in (low, high)):
        raise b.refusal("has bounds that the network computes")
    if not is_floating(input.tensor):
        raise b.refusal("bounds integers")
    if low == 0 and (high is None or high > 0):
        return _same(b, input, b.layer(keras.layers.ReLU, input.tensor, max_value=high))
    tensor = input.tensor if low is None else ops.maximum(input.tensor, float(low))
    return _same(b, input, tensor if high is None else ops.minimum(tensor, float(high)))


def softmax(b: Builder, input: Laid, dim: int, dtype: Any = None) -> Laid:
    """Softmax over one axis."""
    check_kind(b, dtype)
    laid = as_numbers(input.plain())
    _check_axis(b, laid, dim)
    return b.laid(b.layer(keras.layers.Softmax, laid.tensor, axis=laid.place(dim)), laid.axes)


def log_softmax(b: Builder, input: Laid, dim: int, dtype: Any = None) -> Laid:
    """The logarithm of softmax over one axis."""
    check_kind(b, dtype)
    laid = as_numbers(input.plain())
    _check_axis(b, laid, dim)
    return b.laid(ops.log_softmax(laid.tensor, axis=laid.place(dim)), laid.axes)


def _check_axis(b: Builder, x: Laid, dim: int) -> None:
    if dim % x.rank == 0:
        raise b.refusal("sums over the batch: what it gives for an image depends on the other images")


def softplus(b: Builder, input: Laid, beta: float = 1, threshold: float = 20) -> Laid:
    """Softplus; above torch's usual threshold it is its input, to the last digit."""
    if beta == 1 and threshold >= 20:
        return _same(b, input, b.layer(keras.layers.Activation, input.tensor, activation="softplus"))
    scaled = input.tensor * float(beta)
    smooth = ops.softplus(scaled) / float(beta)
    return _same(b, input, ops.where(scaled > float(threshold), input.tensor, smooth))


def threshold(b: Builder, input: Laid, threshold: float, value: float) -> Laid:
    """Numbers up to a threshold become another one."""
    number = ops.cast(float(value), input.tensor.dtype)
    return _same(b, input, ops.where(input.tensor > float(threshold), input.tensor, number))


def softshrink(b: Builder, input: Laid, lambd: float = 0.5) -> Laid:
    """Numbers nearer to zero."""
    x, width = input.tensor, float(lambd)
    return _same(b, input, ops.where(x > width, x - width, ops.where(x < -width, x + width, x * 0)))


def hardshrink(b: Builder, input: Laid, lambd: float = 0.5) -> Laid:
    """Zero for numbers near it."""
    x, width = input.tensor, float(lambd)
    near = ops.logical_and(x >= -width, x <= width)
    return _same(b, input, ops.where(near, ops.zeros_like(x), x))


def glu(b: Builder, input: Laid, dim: int = -1) -> Laid:
    """The first half of an axis, times the sigmoid of the second."""
    laid = input.plain()
    if len(set(laid.sizes(dim))) > 1:
        raise b.refusal("halves an axis whose size depends on the image")
    first, second = ops.split(laid.tensor, 2, axis=laid.place(dim))
    return b.laid(first * ops.sigmoid(second), laid.axes)


def rrelu(
    b: Builder, input: Laid, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, generator: Any = None
) -> Laid:
    """Leaky ReLU with the middle of an interval as its slope."""
    _check_train(b, training)
    return leaky_relu(b, input, (lower + upper) / 2)


def sign(x: Any) -> Any:
    """The sign of each number; torch's zero for what is no number."""
    return ops.where(x > 0, ops.ones_like(x), ops.where(x < 0, -ops.ones_like(x), ops.zeros_like(x)))


def nan_to_num(b: Builder, input: Laid, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Laid:
    """Missing and infinite numbers become others."""
    config = {"nan": nan or 0.0, "posinf": posinf, "neginf": neginf}
    return _same(b, input, ops.nan_to_num(input.tensor, **config))


def _check_train(b: Builder, train: bool) -> None:
    if train:
        raise b.refusal("drops numbers at random in evaluation mode, too")


def dropout(b: Builder, input: Laid, p: float = 0.5, train: bool = False) -> Laid:
    """Dropout, which only acts in training."""
    _check_train(b, train)
    if p == 0:
        return input
    return _same(b, input, b.layer(keras.layers.Dropout, input.tensor, rate=p))


def feature_dropout(b: Builder, input: Laid, p: float = 0.5, train: bool = False) -> Laid:
    """Dropout of whole channels."""
    _check_train(b, train)
    if p == 0:
        return input
    if input.rank == 4:
        laid = input.as_map()
        return b.laid(b.layer(keras.layers.SpatialDropout2D, laid.tensor, rate=p), laid.axes)
    laid = input.plain()
    return b.laid(b.layer(keras.layers.Dropout, laid.tensor, rate=p, noise_shape=_of_channels(laid)), laid.axes)


def alpha_dropout(b: Builder, input: Laid, p: float = 0.5, train: bool = False) -> Laid:
    """Dropout that keeps mean and variance, for SELU."""
    _check_train(b, train)
    return input if p == 0 else _same(b, input, b.layer(keras.layers.AlphaDropout, input.tensor, rate=p))


def feature_alpha_dropout(b: Builder, input: Laid, p: float = 0.5, train: bool = False) -> Laid:
    """The same, of whole channels."""
    _check_train(b, train)
    if p == 0:
        return input
    laid = input.plain()
    return b.laid(b.layer(keras.layers.AlphaDropout, laid.tensor, rate=p, noise_shape=_of_channels(laid)), laid.axes)


def _of_channels(laid: Laid) -> tuple[int | None, ...]:
    """The shape of random numbers that are one for each image and channel."""
    return tuple(None if axis < 2 else 1 for axis in laid.axes)


def stochastic_depth(b: Builder, input: Laid, p: float, mode: str) -> Laid:
    """A branch that training drops at random, for each image or for all."""
    laid = input.plain()
    shape = (None if mode == "row" else 1, *[1] * (laid.rank - 1))
    if laid.axes[0] != 0:
        raise b.refusal("drops branches of images that are not the first axis")
    return b.laid(b.layer(keras.layers.Dropout, laid.tensor, rate=p, noise_shape=shape), laid.axes)


HANDLERS: dict[str, Handler] = {
    "relu": lambda b, input: _same(b, input, b.layer(keras.layers.Activation, input.tensor, activation="relu")),
    "relu6": lambda b, input: clamp(b, input, 0.0, 6.0),
    "sigmoid": lambda b, input: _activation("sigmoid")(b, input),
    "tanh": lambda b, input: _activation("tanh")(b, input),
    "silu": lambda b, input: _activation("silu")(b, input),
    "hardswish": lambda b, input: _activation("hard_silu")(b, input),
    "hardsigmoid": lambda b, input: _activation("hard_sigmoid")(b, input),
    "mish": lambda b, input: _activation("mish")(b, input),
    "softplus": softplus,
    "gelu": lambda b, input, approximate="none": gelu(b, input, approximate),
    "leaky_relu": lambda b, input, negative_slope=0.01: leaky_relu(b, input, negative_slope),
    "elu": lambda b, input, alpha=1, scale=1, input_scale=1: elu(b, input, alpha, scale, input_scale),
    "prelu": lambda b, input, weight: prelu(b, input, weight),
    "hardtanh": lambda b, input, min_val=-1, max_val=1: clamp(b, input, min_val, max_val),
    "clamp": lambda b, input, min=None, max=None: clamp(b, input, min, max),
    "clamp_min": lambda b, input, min: clamp(b, input, min, None),
    "clamp_max": lambda b, input, max: clamp(b, input, None, max),
    "selu": lambda b, input: _operation(ops.selu)(b, input),
    "celu": lambda b, input, alpha=1.0: elu(b, input, alpha, 1, 1 / alpha),
    "log_sigmoid": lambda b, input: _operation(ops.log_sigmoid)(b, input),
    "softshrink": lambda b, input, lambd=0.5: softshrink(b, input, lambd),
    "hardshrink": lambda b, input, lambd=0.5: hardshrink(b, input, lambd),
    "threshold": threshold,
    "glu": lambda b, input, dim=-1: glu(b, input, dim),
    "rrelu": rrelu,
    "nan_to_num": nan_to_num,
    **dict.fromkeys(("softmax", "_softmax"), lambda b, input, dim, dtype=None, **_: softmax(b, input, dim, dtype)),
    **dict.fromkeys(
        ("log_softmax", "_log_softmax"), lambda b, input, dim, dtype=None, **_: log_softmax(b, input, dim, dtype)
    ),
    **{
        name: functools.partial(lambda b, input, function: _operation(function)(b, input), function=function)
        for name, function in {
            "log1p": ops.log1p,
            "expm1": ops.expm1,
            "exp2": ops.exp2,
            "log2": ops.log2,
            "log10": ops.log10,
            "reciprocal": ops.reciprocal,
            "sign": sign,
            "floor": ops.floor,
            "ceil": ops.ceil,
            "trunc": ops.trunc,
            "round": ops.round,
            "tan": ops.tan,
            "sinh": ops.sinh,
            "cosh": ops.cosh,
            "asin": ops.arcsin,
            "acos": ops.arccos,
            "atan": ops.arctan,
            "isnan": ops.isnan,
            "isinf": ops.isinf,
            "isfinite": ops.isfinite,
        }.items()
    },
    "dropout": dropout,
    "feature_dropout": feature_dropout,
    "alpha_dropout": alpha_dropout,
    "feature_alpha_dropout": feature_alpha_dropout,
    "stochastic_depth": stochastic_depth,
    "exp": lambda b, input: _operation(ops.exp)(b, input),
    "sqrt": lambda b, input: _operation(ops.sqrt)(b, input),
    "rsqrt": lambda b, input: _operation(ops.rsqrt)(b, input),
    "neg": lambda b, input: _operation(ops.negative)(b, input),
    "abs": lambda b, input: _operation(ops.abs)(b, input),
    "square": lambda b, input: _operation(ops.square)(b, input),
    "sin": lambda b, input: _operation(ops.sin)(b, input),
    "cos": lambda b, input: _operation(ops.cos)(b, input),
    "erf": lambda b, input: _operation(ops.erf)(b, input),
    "log": lambda b, input: _operation(ops.log)(b, input),
}
