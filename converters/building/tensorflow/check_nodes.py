"""Which nodes no Keras model can be: refused by their names, before anything of the graph runs."""

import re
from collections.abc import Sequence

from converters.building.tensorflow.folding import FOLDABLE
from converters.building.tensorflow.graph_nodes import BRANCHES, CALLS
from converters.building.tensorflow.rules import RULES
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxNode

# What has no rule and is no arithmetic with constants.
_SOURCES = frozenset(
    "Const Placeholder PlaceholderV2 PlaceholderWithDefault VariableV2 Variable VarHandleOp ReadVariableOp "
    "BatchToSpaceND SpaceToBatchND".split()
)
_LOOPS = re.compile(r"(Ref)?(Enter|Exit|NextIteration)|LoopCond|(Stateless)?While|For|TensorArray.*|TensorList.*|Map.*")
_BRANCHES = re.compile(r"(Stateless)?(If|Case)")
_QUANTIZED = re.compile(r"Quantize.*|Dequantize|FakeQuant.*|.*Requantiz.*")
_BOXES = re.compile(r"(Combined)?NonMaxSuppression.*|CropAndResize|.*TopK.*|ExtractGlimpse.*|Where|Unique.*")
_FILES = re.compile(
    r"Decode.*|ReadFile|WriteFile|Parse.*|.*Queue.*|.*Iterator.*|.*Dataset.*|.*Reader.*|.*TFRecord.*|MatchingFiles|"
    r".*HashTable.*|LookupTable.*|(Eager)?PyFunc.*"
)
_RECURRENT = re.compile(r".*(LSTM|GRU|RNN).*")


def check_nodes(nodes: Sequence[OnnxNode]) -> None:
    """Refuses the first node that no Keras model can be.

    Args:
        nodes: nodes that the results need.
    Raises:
        ConversionError: naming it, with the way out.
    """
    for node in nodes:
        where = f"the node {node.name!r}, {node.type},"
        if _LOOPS.fullmatch(node.type):
            raise ConversionError(
                f"{where} repeats its steps as often as the data say, so that the network has no fixed program. Freeze "
                "the part without the loop, or name the results before it: outputs=['node'] (--outputs=node)."
            )
        if _BRANCHES.fullmatch(node.type):
            raise ConversionError(
                f"{where} branches on values that the network computes, so that it has no fixed program. Name the "
                "results before it: outputs=['node'] (--outputs=node)."
            )
        if _QUANTIZED.fullmatch(node.type):
            raise ConversionError(
                f"is a quantized network: {where} rounds to few bits. A Keras model computes with floats. Freeze the "
                "network before it is quantized."
            )
        if node.type in RULES or node.type in FOLDABLE or node.type in _SOURCES:
            continue
        why = "has no counterpart in Keras that is exact"
        if _BOXES.fullmatch(node.type):
            why = "chooses boxes or entries of a detector"
        elif _FILES.fullmatch(node.type):
            why = "reads files or runs code, which no network needs"
        elif _RECURRENT.fullmatch(node.type):
            why = "is a recurrent network"
        raise ConversionError(
            f"{where} {why}. Name the results before it, if the network is there: outputs=['node'] (--outputs=node)."
        )


def is_harmless(op: str) -> bool:
    """Whether an operation only computes numbers from numbers, or calls a function.

    Args:
        op: name of the operation.
    """
    return op in RULES or op in FOLDABLE or op in _SOURCES or op in CALLS or op in BRANCHES
