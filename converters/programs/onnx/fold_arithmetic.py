"""Operators of ONNX that compute with numbers, on arrays.

Reference: https://onnx.ai/onnx/operators
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.programs.onnx.arguments import Arguments, Unfoldable


def _one(function: Callable[[Any], Any]) -> Callable[[Arguments], Any]:
    return lambda arguments: function(arguments[0])


def _two(function: Callable[[Any, Any], Any]) -> Callable[[Arguments], Any]:
    return lambda arguments: function(arguments[0], arguments[1])


_ONE: dict[str, Callable[[Any], Any]] = {
    "Identity": np.asarray,
    "Dropout": np.asarray,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.round,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tanh": np.tanh,
    "Sign": np.sign,
    "Reciprocal": np.reciprocal,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Relu": lambda x: np.maximum(x, 0),
    "Not": np.logical_not,
    "IsNaN": np.isnan,
    "Size": lambda x: np.array(x.size, "i8"),
    "NonZero": lambda x: np.array(np.nonzero(x), "i8"),
}


_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
}


def _divide(arguments: Arguments) -> Any:
    x, y = arguments[0], arguments[1]
    if x.dtype.kind in "iu":  # towards zero, as C does
        return (np.sign(x) * np.sign(y) * (abs(x) // abs(y))).astype(x.dtype)
    return x / y


def _modulo(arguments: Arguments) -> Any:
    return (np.fmod if arguments.attribute("fmod", 0) else np.mod)(arguments[0], arguments[1])


def _power(arguments: Arguments) -> Any:
    return np.power(arguments[0].astype("f8"), arguments[1]).astype(arguments[0].dtype)


def _several(function: Callable[..., Any]) -> Callable[[Arguments], Any]:
    def rule(arguments: Arguments) -> Any:
        result = arguments[0]
        for index in range(1, len(arguments.inputs)):
            result = function(result, arguments[index])
        return result

    return rule


def _reduce(function: Callable[..., Any]) -> Callable[[Arguments], Any]:
    def rule(arguments: Arguments) -> Any:
        axes = arguments.integers(1, "axes")
        if not axes and arguments.attribute("noop_with_empty_axes", 0):
            return arguments[0]
        kept = bool(arguments.attribute("keepdims", 1))
        return function(arguments[0], axis=tuple(axes) if axes else None, keepdims=kept).astype(arguments[0].dtype)

    return rule


def _clip(arguments: Arguments) -> Any:
    low = arguments[1] if arguments.has(1) else arguments.attribute("min", None)
    high = arguments[2] if arguments.has(2) else arguments.attribute("max", None)
    x = arguments[0]
    x = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
    return x if high is None else np.minimum(x, np.asarray(high, x.dtype))


def _cumsum(arguments: Arguments) -> Any:
    if arguments.attribute("exclusive", 0) or arguments.attribute("reverse", 0):
        raise Unfoldable("CumSum")
    return np.cumsum(arguments[0], axis=int(arguments[1]), dtype=arguments[0].dtype)


def _arg(function: Callable[..., Any]) -> Callable[[Arguments], Any]:
    def rule(arguments: Arguments) -> Any:
        axis = arguments.attribute("axis", 0)
        result = function(arguments[0], axis)
        return np.expand_dims(result, axis) if arguments.attribute("keepdims", 1) else result

    return rule


def _matmul(arguments: Arguments) -> Any:
    return np.matmul(arguments[0], arguments[1])


def _gemm(arguments: Arguments) -> Any:
    x, y = arguments[0], arguments[1]
    x, y = (x.T if arguments.attribute("transA", 0) else x), (y.T if arguments.attribute("transB", 0) else y)
    result = np.float32(arguments.attribute("alpha", 1.0)) * (x @ y)
    return result + np.float32(arguments.attribute("beta", 1.0)) * arguments[2] if arguments.has(2) else result


def _softmax(arguments: Arguments) -> Any:
    x, axis = arguments[0], arguments.attribute("axis", -1)
    if arguments.opset < 13:
        raise Unfoldable("Softmax")
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def _erf(arguments: Arguments) -> Any:
    return np.vectorize(math.erf, otypes=[arguments[0].dtype])(arguments[0])


def _batch_norm(arguments: Arguments) -> Any:
    x, scale, shift, mean, variance = (arguments[index] for index in range(5))
    shape = (-1, *(1,) * (x.ndim - 2))
    if arguments.attribute("training_mode", 0):  # how torch standardizes weights
        axes = (0, *range(2, x.ndim))
        mean, variance = x.mean(axis=axes, dtype="f8"), x.var(axis=axes, dtype="f8")
        return _normalized(x, mean, variance, scale, shift, arguments)
    factor = (scale / np.sqrt(variance + arguments.attribute("epsilon", 1e-5))).reshape(shape)
    return (x - mean.reshape(shape)) * factor + shift.reshape(shape)


def _normalized(x: Any, mean: Any, variance: Any, scale: Any, shift: Any, arguments: Arguments) -> Any:
    shape = (-1, *(1,) * (x.ndim - 2))
    factor = scale / np.sqrt(variance + arguments.attribute("epsilon", 1e-5))
    return ((x - mean.reshape(shape)) * factor.reshape(shape) + shift.reshape(shape)).astype(x.dtype)


ARITHMETIC_RULES: dict[str, Callable[[Arguments], Any]] = {
    **{name: _one(function) for name, function in _ONE.items()},
    **{name: _two(function) for name, function in _TWO.items()},
    "Div": _divide,
    "Mod": _modulo,
    "Pow": _power,
    "Min": _several(np.minimum),
    "Max": _several(np.maximum),
    "Sum": _several(np.add),
    "Where": lambda arguments: np.where(arguments[0], arguments[1], arguments[2]),
    "Clip": _clip,
    "CumSum": _cumsum,
    "ArgMax": _arg(np.argmax),
    "ArgMin": _arg(np.argmin),
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": lambda arguments: np.einsum(
        arguments.attribute("equation"), *[arguments[index] for index in range(len(arguments.inputs))]
    ),
    "Softmax": _softmax,
    "Erf": _erf,
    "BatchNormalization": _batch_norm,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceL2": _reduce(lambda x, axis, keepdims: np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))),
}
"""Operator -> its result, from its inputs and attributes."""
