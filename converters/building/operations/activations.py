"""Functions of each number, dropout, and softmax."""

from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import Laid
from converters.building.operations.convolutions import constant


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
        raise b.refusal("is scaled")
    return _same(b, input, b.layer(keras.layers.ELU, input.tensor, alpha=alpha))


def prelu(b: Builder, input: Laid, weight: Any) -> Laid:
    """PReLU with one slope, or one for each channel."""
    slopes = constant(b, weight, "slopes")
    laid = input.as_map() if input.rank == 4 else input.in_order()
    shared = list(range(1, laid.rank - 1)) if slopes.size > 1 else list(range(1, laid.rank))
    weights = {"alpha": Weight("weight", f"c -> {'1 ' * (laid.rank - 2)}c")}
    return b.laid(b.layer(keras.layers.PReLU, laid.tensor, weights, shared_axes=shared), laid.axes)


def clamp(b: Builder, input: Laid, low: Any, high: Any) -> Laid:
    """Numbers outside an interval become its ends."""
    if low == 0 and (high is None or high > 0):
        return _same(b, input, b.layer(keras.layers.ReLU, input.tensor, max_value=high))
    if high is None:
        return _same(b, input, ops.maximum(input.tensor, low))
    return _same(b, input, ops.minimum(input.tensor, high) if low is None else ops.clip(input.tensor, low, high))


def softmax(b: Builder, input: Laid, dim: int, dtype: Any = None) -> Laid:
    """Softmax over one axis."""
    laid = input.plain()
    return b.laid(b.layer(keras.layers.Softmax, laid.tensor, axis=laid.place(dim)), laid.axes)


def softplus(b: Builder, input: Laid, beta: float = 1, threshold: float = 20) -> Laid:
    """Softplus; above torch's usual threshold it is its input, to the last digit."""
    if beta != 1 or threshold < 20:
        raise b.refusal("has a factor or a threshold of its own")
    return _same(b, input, b.layer(keras.layers.Activation, input.tensor, activation="softplus"))


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
    laid = input.as_map()
    return b.laid(b.layer(keras.layers.SpatialDropout2D, laid.tensor, rate=p), laid.axes)


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
    "softmax": lambda b, input, dim, dtype=None: softmax(b, input, dim, dtype),
    "dropout": dropout,
    "feature_dropout": feature_dropout,
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
