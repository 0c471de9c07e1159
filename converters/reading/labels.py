"""What stands beside the tensors of a file and says how they were trained: plain values by dotted names."""

from collections.abc import Iterator
from typing import Any

from converters.reading.pickle.inert import Placeholder
from converters.reading.pickle.numpy_arrays import PickledArray
from converters.reading.tensors import Tensor, Unreadable

Plain = str | int | float | bool | None | tuple[Any, ...]

_MOST = 2000  # values, and containers that are looked into
_DEPTH = 5
_LENGTH = 200_000  # characters of a text: mmcv keeps a whole configuration in one
_LISTED = 16  # entries of a list
# What training leaves beside the weights and what no network is described by.
_SKIPPED = ("optim", "scheduler", "callbacks", "loops", "scaler", "history", "rng", "message_hub", "ema_state")
# What OmegaConf, and the header of a safetensors file, put between a name and its value.
_SILENT = ("_content", "_val", "__metadata__")


def labels(saved: object) -> dict[str, Plain]:
    """`{"args.arch": "resnet50"}` for the texts, numbers and short lists outside the tensors, in the file's order.

    Dictionaries and objects with attributes (`argparse.Namespace`) are looked into. The number of values, the depth and
    the length of each are bounded, since a file may be hostile.

    Args:
        saved: object that a file holds.
    """
    values: dict[str, Plain] = {}
    seen: set[int] = set()
    # The attributes of a pickled module are read as its modules, see `module_tree`.
    module = isinstance(saved, Placeholder) and "_parameters" in saved.state
    left: list[tuple[str, Any, int]] = [] if module else [("", saved, 0)]
    for _ in range(_MOST):
        if not left or len(values) >= _MOST:
            break
        prefix, node, depth = left.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        for key, value in _entries(node):
            name = prefix if key in _SILENT else f"{prefix}.{key}" if prefix else key
            plain = _plain(value)
            if len(values) >= _MOST:
                break
            if plain is not _NONE:
                values.setdefault(name, plain)
            elif depth < _DEPTH and _is_described(key, value):
                left.append((name, value, depth + 1))
    return values


_NONE: Any = object()


def _entries(node: object) -> Iterator[tuple[str, Any]]:
    parts: list[dict[Any, Any]] = [node] if isinstance(node, dict) else []
    if isinstance(node, Placeholder):
        parts = [node.state, node.entries]
    for part in parts:
        for index, (key, value) in enumerate(part.items()):
            if index >= 10 * _MOST:
                return
            if isinstance(key, str) and len(key) <= 100:
                yield key, value


def _is_described(key: str, value: object) -> bool:
    """Whether a container may describe the network: no set of tensors, no module, no state of an optimizer."""
    if any(word in key.lower() for word in _SKIPPED):
        return False
    if isinstance(value, Placeholder):
        return "_parameters" not in value.state
    if not isinstance(value, dict):
        return False
    first = next(iter(value.values()), None)
    return not isinstance(first, Tensor | Unreadable | PickledArray)


def _plain(value: object) -> Any:
    """The value if it is plain, a tuple for a list of plain values; else `_NONE`."""
    if isinstance(value, Placeholder) and "_val" in value.state:  # OmegaConf's leaf
        value = value.state["_val"]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _LENGTH else _NONE
    if isinstance(value, Placeholder) and isinstance(value.state.get("_content"), list):
        value = value.state["_content"]
    if isinstance(value, list | tuple) and len(value) <= _LISTED:
        items = tuple(_plain(item) for item in value)
        return items if not any(item is _NONE for item in items) else _NONE
    return _NONE
