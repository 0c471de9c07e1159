"""What an ONNX graph computes without the image: weights that it rearranges, tables, and arithmetic with sizes.

Reference: https://onnx.ai/onnx/operators
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.programs.onnx.arguments import Arguments, Unfoldable, read_tensor
from converters.programs.onnx.fold_arithmetic import ARITHMETIC_RULES
from converters.programs.onnx.fold_shapes import LARGEST, SHAPE_RULES
from converters.programs.onnx.resampling import resize
from converters.reading.onnx.model_file import OnnxNode
from converters.reading.tensors import Tensor

_TYPES = {
    **{1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8"},
    16: "f4",
}


def fold(node: OnnxNode, inputs: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """The results of a node that reads no image.

    Args:
        node: operation.
        inputs: arrays that it reads; None for an optional input that is left out.
        opset: version of ONNX's operators.
    Raises:
        Unfoldable: a node without a rule.
    """
    rule = _RULES.get(node.type)
    if rule is None:
        raise Unfoldable(node.type)
    try:
        with np.errstate(all="ignore"):
            result = rule(Arguments(node, inputs, opset))
    # The graph is anybody's: whatever is not as its operator wants it makes no constant.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unfoldable(f"{node.type}: {error}") from error
    results = [np.asarray(part) for part in (result if isinstance(result, list) else [result])]
    if sum(part.size for part in results) > LARGEST and not all(0 in part.strides for part in results):
        raise ConversionError(f"The node {node.name or node.type!r} makes a constant of more than {LARGEST} numbers.")
    return results


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


_RULES: dict[str, Callable[[Arguments], Any]] = {
    **SHAPE_RULES,
    **ARITHMETIC_RULES,
    "Constant": _constant,
    "Cast": _cast,
    "CastLike": lambda arguments: arguments[0].astype(arguments[1].dtype),
    "Resize": resize,
}
