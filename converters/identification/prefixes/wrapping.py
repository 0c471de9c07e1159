"""Parts of keys that wrappers put anywhere."""

from collections.abc import Mapping

_WRAPPING = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""DataParallel, torch.compile, FSDP, activation checkpointing."""


def without_wrapping(names: Mapping[str, str]) -> dict[str, str]:
    """Names without the parts that wrappers put in; the names themselves if two would become one.

    Args:
        names: key -> name.
    Returns: key -> name.
    """
    short = {key: _without(name) if "mod" in name else name for key, name in names.items()}
    return short if len(set(short.values())) == len(short) else dict(names)


def _without(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)
