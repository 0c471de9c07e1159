"""Results of transformers' networks: a wrapper with keys, which many networks use for a single tensor."""

from typing import Any


def is_wrapper(result: Any) -> bool:
    """Whether a result is transformers' `ModelOutput`, and no dictionary of the network's author.

    Args:
        result: what a torch module returns.
    """
    return hasattr(result, "to_tuple") and hasattr(result, "keys")


def without_wrapper(result: Any) -> Any:
    """The one result of a wrapper that has no other; anything else as it is.

    A classifier of transformers gives its logits alone, as the same network of a known family does.

    Args:
        result: what a torch module returns.
    """
    if not is_wrapper(result):
        return result
    parts = [result[key] for key in result if result[key] is not None]
    return parts[0] if len(parts) == 1 else result
