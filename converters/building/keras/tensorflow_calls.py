"""Calls of TensorFlow's functions inside a Keras 2 model, as operations of Keras 3.

Reference: https://www.tensorflow.org/api_docs/python/tf
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from converters.errors import ConversionError


def added(x: Any, y: Any) -> Any:
    """The sum. With TensorFlow, Keras takes a second tensor with one long axis for a bias of the channels.

    Args:
        x: tensor or number.
        y: tensor or number.
    """
    shapes = [getattr(part, "shape", None) for part in (x, y)]
    if None in shapes or shapes[0] == shapes[1]:
        return ops.add(x, y)
    return ops.subtract(x, ops.negative(y))  # the same number to the last bit


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "__operators__.add": added,
    "math.add": added,
    "math.subtract": ops.subtract,
    "math.multiply": ops.multiply,
    "math.truediv": ops.true_divide,
    "math.divide": ops.true_divide,
    "math.maximum": ops.maximum,
    "math.minimum": ops.minimum,
    "math.pow": ops.power,
}
_UNARY: dict[str, Callable[[Any], Any]] = {
    "nn.relu": ops.relu,
    "nn.relu6": ops.relu6,
    "nn.elu": ops.elu,
    "nn.silu": ops.silu,
    "nn.swish": ops.silu,
    "math.sigmoid": ops.sigmoid,
    "nn.sigmoid": ops.sigmoid,
    "sigmoid": ops.sigmoid,
    "math.tanh": ops.tanh,
    "nn.tanh": ops.tanh,
    "math.square": ops.square,
    "math.sqrt": ops.sqrt,
    "math.abs": ops.absolute,
    "math.exp": ops.exp,
    "math.negative": ops.negative,
    "identity": lambda x: x,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "math.reduce_mean": ops.mean,
    "math.reduce_sum": ops.sum,
    "math.reduce_max": ops.max,
    "math.reduce_min": ops.min,
}
ELEMENTWISE = frozenset((*_BINARY, *_UNARY))
"""Functions for which the order of axes does not matter, between tensors of equal order."""


def call_tensorflow(name: str, function: str, inputs: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    """The result of a function of TensorFlow.

    Args:
        name: name of the layer in the file.
        function: name of the function, without "tf.".
        inputs: tensors that it reads.
        arguments: what else it was called with; "keyword tensors" names the arguments that are tensors.
    Raises:
        ConversionError: a function, or arguments of one, with no counterpart that is known here.
    """
    given = {key: value for key, value in arguments.items() if key not in ("name", "keyword tensors")}
    tensors = list(arguments.get("keyword tensors", ()))
    if function in _BINARY and tensors in ([], ["y"]):
        if len(inputs) == 2 and not given:
            return _BINARY[function](*inputs)
        if len(inputs) == 1 and set(given) == {"y"} and not tensors and _is_number(given["y"]):
            return _BINARY[function](inputs[0], given["y"])
        if len(inputs) == 1 and set(given) == {"constant"} and tensors == ["y"] and _is_number(given["constant"]):
            return _BINARY[function](given["constant"], inputs[0])
    if len(inputs) == 1 and not tensors:
        (x,) = inputs
        if function in _UNARY and not given:
            return _UNARY[function](x)
        if function in _REDUCTIONS and set(given) <= {"axis", "keepdims"}:
            return _REDUCTIONS[function](x, axis=_axes(given.get("axis")), keepdims=bool(given.get("keepdims")))
        if function == "nn.softmax" and set(given) <= {"axis"}:
            return ops.softmax(x, axis=given.get("axis", -1))
        if function == "nn.leaky_relu" and set(given) <= {"alpha"}:
            return ops.leaky_relu(x, given.get("alpha", 0.2))
        if function == "clip_by_value" and set(given) == {"clip_value_min", "clip_value_max"}:
            return ops.clip(x, given["clip_value_min"], given["clip_value_max"])
        if function == "cast" and given.get("dtype") == "float32" and x.dtype == "float32":
            return x
        if function == "image.resize" and _is_plain_resize(given):
            return keras.layers.Resizing(*given["size"], interpolation=given.get("method", "bilinear"))(x)
    if function == "concat" and set(given) == {"axis"} and not tensors:
        return ops.concatenate(list(inputs), axis=given["axis"])
    raise ConversionError(
        f"its layer {name!r} calls tf.{function}, which is not rebuilt with these arguments: "
        f"{', '.join(f'{key}={value!r}' for key, value in arguments.items())[:200] or 'none'}. Load the model in the "
        "Keras that wrote it, replace the call by a layer of Keras, and save it again."
    )


def _is_number(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_number, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _is_plain_resize(given: Mapping[str, Any]) -> bool:
    size = given.get("size")
    sized = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)
    others = {
        key: value for key, value in given.items() if key not in ("size", "method") and value not in (None, False)
    }
    return sized and not others and given.get("method", "bilinear") in ("bilinear", "nearest")
