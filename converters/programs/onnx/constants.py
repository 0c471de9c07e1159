"""The arithmetic that an ONNX graph does with sizes: computed, at the size of image at which programs are compared."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.reading.onnx.model_file import OnnxNode
from converters.reading.tensors import Tensor

LIMIT = 4096
"""Numbers of a result that is computed; sizes and windows have fewer."""

_TYPES = {1: "f4", 2: "u1", 3: "i1", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}


class NoConstant(Exception):
    """A node whose result is not computed: it has no rule, or too many numbers."""


def fold(node: OnnxNode, inputs: Sequence[np.ndarray | None], opset: int) -> np.ndarray:
    """The result of a node that reads constants only.

    Args:
        node: operation.
        inputs: arrays that it reads; None for an optional input that is left out.
        opset: version of ONNX's operators.
    Raises: NoConstant.
    """
    rule = _RULES.get(node.type)
    if rule is None or len(node.outputs) != 1 or node.domain not in ("", "ai.onnx"):
        raise NoConstant(node.type)
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(rule(_Arguments(node, inputs, opset)))
    # The graph is anybody's: whatever is not as its operator wants it makes no constant.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NoConstant(node.type) from error
    if result.size > LIMIT:
        raise NoConstant(node.type)
    return result


def small(tensor: object) -> np.ndarray | None:
    """The numbers of a tensor, if they are few."""
    if isinstance(tensor, Tensor) and math.prod(tensor.shape) <= LIMIT and tensor.dtype.kind in "fiub":
        return tensor.read()
    return None


class _Arguments:
    """The inputs and attributes of a node; what one version of an operator has as input, another has as attribute."""

    def __init__(self, node: OnnxNode, inputs: Sequence[np.ndarray | None], opset: int) -> None:
        self.node, self.inputs, self.opset = node, inputs, opset

    def __getitem__(self, index: int) -> np.ndarray:
        value = self.inputs[index]
        if value is None:
            raise LookupError(index)
        return value

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    def integers(self, index: int, name: str) -> list[int] | None:
        """A list of integers that is an input or an attribute; None if it is neither."""
        if len(self.inputs) > index and self.inputs[index] is not None:
            return [int(number) for number in np.ravel(self[index])]
        given = self.attribute(name)
        return None if given is None else [int(number) for number in np.ravel(given)]


def _constant(arguments: _Arguments) -> Any:
    given = arguments.node.attributes
    if "value" in given:
        array = small(given["value"])
        if array is None:
            raise ValueError
        return array
    for name, dtype in (("value_int", "i8"), ("value_ints", "i8"), ("value_float", "f4"), ("value_floats", "f4")):
        if name in given:
            return np.array(given[name], dtype)
    raise ValueError


def _cast(arguments: _Arguments) -> Any:
    return arguments[0].astype(_TYPES[arguments.attribute("to")])


def _constant_of_shape(arguments: _Arguments) -> Any:
    shape = [int(size) for size in arguments[0]]
    if math.prod(shape) > LIMIT or min(shape, default=0) < 0:
        raise ValueError
    value = small(arguments.attribute("value"))
    return np.full(shape, np.float32(0) if value is None else np.ravel(value)[0])


def _unsqueeze(arguments: _Arguments) -> Any:
    axes = arguments.integers(1, "axes") or []
    return np.expand_dims(arguments[0], tuple(axes))


def _squeeze(arguments: _Arguments) -> Any:
    axes = arguments.integers(1, "axes")
    return np.squeeze(arguments[0], None if axes is None else tuple(axes))


def _slice(arguments: _Arguments) -> Any:
    starts, ends = arguments.integers(1, "starts"), arguments.integers(2, "ends")
    axes, steps = arguments.integers(3, "axes"), arguments.integers(4, "steps")
    if starts is None or ends is None:
        raise ValueError
    x = arguments[0]
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = axes[index] if axes else index, steps[index] if steps else 1
        window = [slice(None)] * x.ndim
        window[axis] = slice(start, end, step) if step > 0 or end >= -x.shape[axis] else slice(start, None, step)
        x = x[tuple(window)]
    return x


def _reshape(arguments: _Arguments) -> Any:
    x, shape = arguments[0], [int(size) for size in arguments[1]]
    return x.reshape([x.shape[index] if size == 0 else size for index, size in enumerate(shape)])


def _expand(arguments: _Arguments) -> Any:
    x, shape = arguments[0], [int(size) for size in arguments[1]]
    shape = list(np.broadcast_shapes(x.shape, tuple(shape)))
    if math.prod(shape) > LIMIT:
        raise ValueError
    return np.broadcast_to(x, shape)


def _apply(function: Callable[..., Any], number: int, arguments: _Arguments) -> Any:
    return function(*(arguments[index] for index in range(number)))


def _range(arguments: _Arguments) -> Any:
    start, stop, step = (arguments[index].item() for index in range(3))
    if (stop - start) / step > LIMIT:
        raise ValueError
    return np.arange(start, stop, step).astype(arguments[0].dtype)


def _divide(arguments: _Arguments) -> Any:
    x, y = arguments[0], arguments[1]
    if x.dtype.kind in "iu":  # towards zero, as C does
        return (np.sign(x) * np.sign(y) * (abs(x) // abs(y))).astype(x.dtype)
    return x / y


def _several(function: Callable[..., Any]) -> Callable[[_Arguments], Any]:
    def rule(arguments: _Arguments) -> Any:
        result = arguments[0]
        for index in range(1, len(arguments.inputs)):
            result = function(result, arguments[index])
        return result

    return rule


def _reduce(function: Callable[..., Any]) -> Callable[[_Arguments], Any]:
    def rule(arguments: _Arguments) -> Any:
        axes = arguments.integers(1, "axes")
        return function(
            arguments[0], axis=None if not axes else tuple(axes), keepdims=bool(arguments.attribute("keepdims", 1))
        )

    return rule


_ONE: dict[str, Callable[[Any], Any]] = {
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.round,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Not": np.logical_not,
    "Identity": np.asarray,
    "Shape": lambda x: np.array(x.shape, "i8"),
    "Size": lambda x: np.int64(x.size),
}
_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Mod": np.mod,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
}
_RULES: dict[str, Callable[[_Arguments], Any]] = {
    **{name: functools.partial(_apply, function, 1) for name, function in _ONE.items()},
    **{name: functools.partial(_apply, function, 2) for name, function in _TWO.items()},
    "Constant": _constant,
    "Cast": _cast,
    "CastLike": lambda arguments: arguments[0].astype(arguments[1].dtype),
    "ConstantOfShape": _constant_of_shape,
    "Gather": lambda arguments: np.take(arguments[0], arguments[1], arguments.attribute("axis", 0)),
    "Concat": lambda arguments: np.concatenate(
        [arguments[index] for index in range(len(arguments.inputs))], arguments.attribute("axis", 0)
    ),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Reshape": _reshape,
    "Expand": _expand,
    "Range": _range,
    "Div": _divide,
    "Min": _several(np.minimum),
    "Max": _several(np.maximum),
    "Where": lambda arguments: np.where(arguments[0], arguments[1], arguments[2]),
    "Transpose": lambda arguments: np.transpose(arguments[0], arguments.attribute("perm")),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
}
