"""What an ONNX graph computes without the image: weights that it rearranges, tables, and arithmetic with sizes.

Reference: https://onnx.ai/onnx/operators
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.building.onnx.arguments import Arguments, Unfoldable
from converters.building.onnx.resampling import resize
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxNode
from converters.reading.tensors import Tensor

_TYPES = {
    **{1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8"},
    16: "f4",
}
_LARGEST = 2**28  # numbers of a constant: beyond it, the graph is a trap


def fold(node: OnnxNode, inputs: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """The results of a node that reads no image.

    Args:
        node: operation.
        inputs: arrays that it reads; None for an optional input that is left out.
        opset: version of ONNX's operators.
    Raises:
        Unfoldable: a node without a rule.
    """
    rule = RULES.get(node.type)
    if rule is None:
        raise Unfoldable(node.type)
    try:
        with np.errstate(all="ignore"):
            result = rule(Arguments(node, inputs, opset))
    # The graph is anybody's: whatever is not as its operator wants it makes no constant.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unfoldable(f"{node.type}: {error}") from error
    results = [np.asarray(part) for part in (result if isinstance(result, list) else [result])]
    if sum(part.size for part in results) > _LARGEST and not all(0 in part.strides for part in results):
        raise ConversionError(f"The node {node.name or node.type!r} makes a constant of more than {_LARGEST} numbers.")
    return results


def read_tensor(tensor: Any) -> np.ndarray:
    """The numbers of a tensor, floats in single or double precision.

    Raises:
        ConversionError: a tensor that cannot be read.
    """
    array = tensor.check().read()
    if array.dtype.name in ("bfloat16", "float16"):
        return array.astype("float32")
    return array


def _constant(arguments: Arguments) -> Any:
    given = arguments.node.attributes
    if isinstance(given.get("value"), Tensor):
        return read_tensor(given["value"])
    for name, dtype in (("value_int", "i8"), ("value_ints", "i8"), ("value_float", "f4"), ("value_floats", "f4")):
        if name in given:
            return np.array(() if given[name] is None else given[name], dtype)
    raise Unfoldable("Constant")


def _cast(arguments: Arguments) -> Any:
    dtype = np.dtype(_TYPES[arguments.attribute("to")])
    x = arguments[0]
    if dtype.kind == "f" and x.dtype == np.float64:
        return x
    if dtype == np.float16:
        return x.astype("f2").astype("f4")
    return x.astype(dtype)


def _size(shape: np.ndarray) -> list[int]:
    sizes = [int(size) for size in shape.reshape(-1)]
    if min(sizes, default=0) < 0:
        raise ValueError("negative size")
    return sizes


def _constant_of_shape(arguments: Arguments) -> Any:
    value = arguments.attribute("value")
    number = np.zeros(1, "f4") if value is None else read_tensor(value)
    return np.broadcast_to(number.reshape(()), _size(arguments[0]))


def _unsqueeze(arguments: Arguments) -> Any:
    return np.expand_dims(arguments[0], tuple(arguments.integers(1, "axes") or ()))


def _squeeze(arguments: Arguments) -> Any:
    axes = arguments.integers(1, "axes")
    return np.squeeze(arguments[0], None if axes is None else tuple(axes))


def slices(rank: int, shape: Sequence[int], cuts: Sequence[tuple[int, int, int, int]]) -> tuple[slice, ...]:
    """NumPy's index for ONNX's slices.

    Args:
        rank: number of axes.
        shape: sizes of the axes.
        cuts: `(axis, start, end, step)`.
    """
    window = [slice(None)] * rank
    for axis, start, end, step in cuts:
        size = shape[axis]
        if step > 0:
            window[axis] = slice(start, end, step)
        else:
            start = min(start + size if start < 0 else start, size - 1)
            end = end + size if -size <= end < 0 else max(end, -1)
            window[axis] = slice(start, None if end < 0 else end, step)
    return tuple(window)


def cuts_of(arguments: Arguments, rank: int) -> list[tuple[int, int, int, int]]:
    """`(axis, start, end, step)` of each cut of a Slice."""
    starts, ends = arguments.integers(1, "starts"), arguments.integers(2, "ends")
    axes, steps = arguments.integers(3, "axes"), arguments.integers(4, "steps")
    if starts is None or ends is None:
        raise Unfoldable("Slice")
    axes = axes if axes is not None else list(range(len(starts)))
    steps = steps if steps is not None else [1] * len(starts)
    if 0 in steps:
        raise Unfoldable("Slice")
    return [(axis % rank, *rest) for axis, *rest in zip(axes, starts, ends, steps, strict=True)]  # type: ignore[misc]


def _slice(arguments: Arguments) -> Any:
    x = arguments[0]
    return x[slices(x.ndim, x.shape, cuts_of(arguments, x.ndim))]


def _reshape(arguments: Arguments) -> Any:
    x, shape = arguments[0], [int(size) for size in arguments[1]]
    if not arguments.attribute("allowzero", 0):
        shape = [x.shape[index] if size == 0 else size for index, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(arguments: Arguments) -> Any:
    x, axis = arguments[0], arguments.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _expand(arguments: Arguments) -> Any:
    x = arguments[0]
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(_size(arguments[1]))))


def _range(arguments: Arguments) -> Any:
    start, stop, step = (arguments[index].item() for index in range(3))
    if (stop - start) / step > _LARGEST:
        raise ValueError("range")
    return np.arange(start, stop, step).astype(arguments[0].dtype)


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


def _split(arguments: Arguments) -> Any:
    x, axis = arguments[0], arguments.attribute("axis", 0)
    parts = split_sizes(arguments, x.shape[axis])
    return np.split(x, np.cumsum(parts)[:-1], axis)


def split_sizes(arguments: Arguments, size: int) -> list[int]:
    """The sizes of the parts of a Split of an axis of this size."""
    parts = arguments.integers(1, "split")
    if parts is None:
        number = arguments.attribute("num_outputs", len(arguments.node.outputs))
        step = -(-size // number)
        parts = [min(step, size - step * index) for index in range(number)]
    if sum(parts) != size or min(parts) < 0:
        raise Unfoldable("Split")
    return parts


def _gather_elements(arguments: Arguments) -> Any:
    x, indices, axis = arguments[0], arguments[1], arguments.attribute("axis", 0)
    return np.take_along_axis(x, np.where(indices < 0, indices + x.shape[axis], indices), axis)


def _gather(arguments: Arguments) -> Any:
    return np.take(arguments[0], arguments[1], arguments.attribute("axis", 0))


def _gather_nd(arguments: Arguments) -> Any:
    if arguments.attribute("batch_dims", 0):
        raise Unfoldable("GatherND")
    return arguments[0][tuple(np.moveaxis(arguments[1], -1, 0))]


def _scatter_nd(arguments: Arguments) -> Any:
    if arguments.attribute("reduction", "none") not in ("none", ""):
        raise Unfoldable("ScatterND")
    x = np.array(arguments[0])
    x[tuple(np.moveaxis(arguments[1], -1, 0))] = arguments[2]
    return x


def _clip(arguments: Arguments) -> Any:
    low = arguments[1] if arguments.has(1) else arguments.attribute("min", None)
    high = arguments[2] if arguments.has(2) else arguments.attribute("max", None)
    x = arguments[0]
    x = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
    return x if high is None else np.minimum(x, np.asarray(high, x.dtype))


def _pad(arguments: Arguments) -> Any:
    x = arguments[0]
    pads = arguments.integers(1, "pads") or []
    mode = arguments.attribute("mode", "constant")
    if arguments.has(3) or min(pads, default=0) < 0:
        raise Unfoldable("Pad")
    around = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    if mode != "constant":
        return np.pad(x, around, mode=mode)
    value = arguments[2].item() if arguments.has(2) else arguments.attribute("value", 0)
    return np.pad(x, around, constant_values=value)


def _transpose(arguments: Arguments) -> Any:
    return np.transpose(arguments[0], arguments.attribute("perm"))


def _cumsum(arguments: Arguments) -> Any:
    if arguments.attribute("exclusive", 0) or arguments.attribute("reverse", 0):
        raise Unfoldable("CumSum")
    return np.cumsum(arguments[0], axis=int(arguments[1]), dtype=arguments[0].dtype)


def _trilu(arguments: Arguments) -> Any:
    k = int(arguments[1]) if arguments.has(1) else 0
    return (np.triu if arguments.attribute("upper", 1) else np.tril)(arguments[0], k)


def _one_hot(arguments: Arguments) -> Any:
    axis = arguments.attribute("axis", -1)
    indices, depth, values = arguments[0], int(arguments[1]), arguments[2]
    hot = (indices[..., None] % depth) == np.arange(depth)
    return np.moveaxis(np.where(hot, values[1], values[0]), -1, axis)


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


def _shape(arguments: Arguments) -> Any:
    start, end = arguments.attribute("start", 0), arguments.attribute("end")
    return np.array(arguments[0].shape[start:end], "i8")


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
RULES: dict[str, Callable[[Arguments], Any]] = {
    **{name: _one(function) for name, function in _ONE.items()},
    **{name: _two(function) for name, function in _TWO.items()},
    "Constant": _constant,
    "Cast": _cast,
    "CastLike": lambda arguments: arguments[0].astype(arguments[1].dtype),
    "ConstantOfShape": _constant_of_shape,
    "Shape": _shape,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "Concat": lambda arguments: np.concatenate(
        [arguments[index] for index in range(len(arguments.inputs))], arguments.attribute("axis", 0)
    ),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Split": _split,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Expand": _expand,
    "Tile": lambda arguments: np.tile(arguments[0], arguments[1]),
    "Range": _range,
    "Div": _divide,
    "Mod": _modulo,
    "Pow": _power,
    "Min": _several(np.minimum),
    "Max": _several(np.maximum),
    "Sum": _several(np.add),
    "Where": lambda arguments: np.where(arguments[0], arguments[1], arguments[2]),
    "Transpose": _transpose,
    "Clip": _clip,
    "Pad": _pad,
    "CumSum": _cumsum,
    "Trilu": _trilu,
    "OneHot": _one_hot,
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
    "Resize": resize,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceL2": _reduce(lambda x, axis, keepdims: np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))),
}
