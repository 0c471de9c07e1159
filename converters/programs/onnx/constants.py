"""The arithmetic that an ONNX graph does with sizes: computed, at the size of image at which programs are compared."""

import math
from collections.abc import Sequence

import numpy as np

from converters.errors import ConversionError
from converters.programs.onnx import folding
from converters.programs.onnx.arguments import Unfoldable
from converters.reading.onnx.model_file import OnnxNode
from converters.reading.tensors import Tensor

LIMIT = 4096
"""Numbers of a result that is computed; sizes and windows have fewer."""


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
    if len(node.outputs) != 1 or node.domain not in ("", "ai.onnx"):
        raise NoConstant(node.type)
    try:
        (result,) = folding.fold(node, inputs, opset)
    except (ConversionError, Unfoldable) as error:
        raise NoConstant(node.type) from error
    if result.size > LIMIT:
        raise NoConstant(node.type)
    return result


def small(tensor: object) -> np.ndarray | None:
    """The numbers of a tensor, if they are few."""
    if isinstance(tensor, Tensor) and math.prod(tensor.shape) <= LIMIT and tensor.dtype.kind in "fiub":
        return tensor.read()
    return None
