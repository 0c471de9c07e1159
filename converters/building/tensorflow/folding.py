"""Nodes that read no image, computed by TensorFlow itself: arithmetic with sizes, and with weights.

A graph is anybody's, so that only operations which compute numbers from numbers run: none reads a file or writes one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.building.tensorflow.graph_nodes import count, definition_of, plain
from converters.reading.onnx.model_file import OnnxNode

FOLDABLE = frozenset(
    "Identity IdentityN StopGradient Snapshot PreventGradient CheckNumerics EnsureShape Shape ShapeN Size Rank "
    "Cast Pack Unpack Concat ConcatV2 Split SplitV Slice StridedSlice Reshape Squeeze ExpandDims Transpose Fill Tile "
    "Range LinSpace ZerosLike OnesLike Pad PadV2 MirrorPad ReverseV2 Gather GatherV2 GatherNd BroadcastTo "
    "BroadcastArgs Where Select SelectV2 OneHot Diag MatrixDiag InvertPermutation SpaceToDepth DepthToSpace "
    "Add AddV2 AddN Sub Mul Div RealDiv FloorDiv TruncateDiv DivNoNan FloorMod Mod TruncateMod Maximum Minimum Neg Abs "
    "Sign Square SquaredDifference Sqrt Rsqrt Reciprocal Inv Exp Expm1 Log Log1p Pow Floor Ceil Round Rint Sigmoid "
    "Tanh Relu Relu6 Elu Selu Softplus Softsign Softmax LogSoftmax LeakyRelu Sin Cos Erf ClipByValue BiasAdd "
    "Sum Mean Max Min Prod All Any Cumsum ArgMax ArgMin L2Loss "
    "Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalNot IsFinite IsNan IsInf "
    "MatMul BatchMatMul BatchMatMulV2 Einsum Conv2D DepthwiseConv2dNative ResizeBilinear ResizeNearestNeighbor "
    "StringJoin ListDiff Unique".split()
)
_REAL, _DOUBLE = 1, 2  # DT_FLOAT, DT_DOUBLE


def fold(node: OnnxNode, arrays: Sequence[np.ndarray], *, double: bool) -> list[np.ndarray]:
    """The results of a node.

    Args:
        node: operation, one of `FOLDABLE`.
        arrays: its inputs.
        double: whether floats are computed in double precision.
    Raises:
        ValueError: TensorFlow does not compute it, with its own reason.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context, execute

    definition = definition_of(node.type)
    attributes: dict[str, Any] = node.attributes
    tensors = [tf.constant(array) for array in arrays]
    inferred: dict[str, int] = {}
    place = 0
    for argument in definition.input_arg:
        if argument.type_attr and place < len(tensors):
            inferred.setdefault(argument.type_attr, tensors[place].dtype.as_datatype_enum)
        place += count(attributes, argument)
    given: list[Any] = [part for pair in inferred.items() for part in pair]
    for attribute in definition.attr:
        if attribute.name not in inferred and attribute.name in attributes:
            value = plain(attributes[attribute.name])
            given += [attribute.name, _DOUBLE if double and attribute.type == "type" and value == _REAL else value]
    number = sum(count(attributes, argument) for argument in definition.output_arg)
    try:
        with tf.device("/CPU:0"):
            results = execute.execute(node.type, number, tensors, tuple(given), context.context())
    except (tf.errors.OpError, TypeError, ValueError, KeyError) as error:
        raise ValueError(str(error)[:200]) from error
    return [result.numpy() for result in results]
