"""What a segmenter returns: its logits, alone or among other results in a list or a dictionary."""

from collections.abc import Mapping
from typing import Any

_LOGITS = ("logits", "out")  # keys of transformers and torchvision
_AUX = "aux"


def logits_of(output: Any) -> Any:
    """The logits: the first entry of a list; in a dictionary "logits", "out" or else the first entry.

    Args:
        output: what a model returns or has as its `output`: one tensor, or a list or a dictionary of tensors.
    """
    if isinstance(output, Mapping):
        return logits_of(output[_logits_key(output)]) if output else None
    if isinstance(output, list | tuple):
        return logits_of(output[0]) if output else None
    return output


def trained_outputs(output: Any) -> list[Any]:
    """The outputs that have a loss: all of a list, and the logits and the auxiliary logits of a dictionary.

    Args:
        output: what a model returns or has as its `output`.
    Returns: tensors, the logits first.
    """
    if isinstance(output, Mapping):
        return [logits_of(output[key]) for key in trained_keys(output)]
    return list(output) if isinstance(output, list | tuple) else [output]


def trained_keys(output: Mapping[str, Any]) -> list[str]:
    """The keys of `trained_outputs`, in its order.

    Args:
        output: dictionary that a model returns.
    """
    first = _logits_key(output)
    return [first, *(key for key in output if _AUX in key and key != first)]


def _logits_key(output: Mapping[str, Any]) -> str:
    return next((key for key in _LOGITS if key in output), next(iter(output)))
