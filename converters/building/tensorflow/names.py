"""Names of modules for nodes: `MobilenetV2/Conv/Conv2D` is the module `MobilenetV2.Conv`."""

import re

from converters.reading.onnx.model_file import OnnxNode

# What TensorFlow adds to the name of a layer for the operation that is the layer.
_WEIGHTED = re.compile(
    r"(?i)(conv2d|convolution|depthwise(_?conv2d(native)?)?|separable_conv2d|biasadd|matmul|conv2dbackpropinput|"
    r"conv2d_transpose|fusedbatchnorm(v[23])?|batchnorm|batch_normalization|xw_plus_b)(_\d+)?"
)
_KINDS = frozenset(
    "Conv2D DepthwiseConv2dNative Conv2DBackpropInput BiasAdd MatMul FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 "
    "BatchToSpaceND".split()
)
_OF_CALLS = re.compile(r"^((Stateful)?PartitionedCall(_\d+)?/)+")
_LONGEST = 200


def module_of(node: OnnxNode) -> str:
    """The name of the module that a node was.

    Args:
        node: operation.
    """
    parts = [part for part in _OF_CALLS.sub("", node.name).split("/") if part]
    if len(parts) > 1 and node.type in _KINDS and _is_operation(parts[-1], parts[-2], node.type):
        parts.pop()
    return re.sub(r"[^0-9A-Za-z_.]+", "_", ".".join(parts)).strip("_.")[-_LONGEST:]


def _is_operation(part: str, above: str, kind: str) -> bool:
    """Whether the last part of a name is the operation's, and the one before it the layer's."""
    whole = _WEIGHTED.fullmatch(part) is not None
    if kind.startswith("FusedBatchNorm"):
        return part.lower().startswith("fusedbatchnorm") or (whole and above == part)
    return whole and not part.lower().startswith(("batchnorm", "batch_norm"))
