"""The modules of a torch network with their classes and numbers: of a pickled one without torch, or of a live one.

What a module computes is its class's code, which is in no file. Its class and its attributes are there, and tell much.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from converters.reading.pickle.inert import Placeholder

_MAX_MODULES = 100_000
_MAX_DEPTH = 100
_MAX_ITEMS = 16  # of a tuple or a dictionary that an attribute holds

# The class of all modules has no forward: an object of it holds tensors and computes nothing.
_EMPTY = "torch.nn.modules.module.Module"
# What only passes the image on to the module in it, and the name of that module.
_WRAPPERS = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
}
# Where torch keeps hooks of all kinds, and what was said of them.
_HOOK_ENDS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called")
_HOOKS = {"_forward_hooks": "a hook after it", "_forward_pre_hooks": "a hook before it"}


@dataclasses.dataclass(frozen=True, eq=False)
class ModuleRecord:
    """One module.

    Attributes:
        name: its name in the network, "" for the network itself, without the names that wrappers add.
        origin: full name of its class.
        facts: name of an attribute -> plain value: a number, a word, or a tuple or dictionary of them.
        tensors: names of its own parameters and buffers.
        children: names of the modules in it, in their order.
        changes: what of it is not its class's code, in words: hooks, or a method of its own.
    """

    name: str
    origin: str
    facts: Mapping[str, Any]
    tensors: tuple[str, ...]
    children: tuple[str, ...]
    changes: tuple[str, ...]


ModuleTree = Mapping[str, ModuleRecord]
"""Name -> module, each after the module that holds it."""


def read_tree(saved: object) -> dict[str, ModuleRecord]:
    """The modules of a pickled network; nothing for another object.

    A module that stands in several places is in the tree as often. A tree that is too deep or too large for a network
    ends there: the reader of its tensors refuses it.

    Args:
        saved: object that a file holds.
    """
    if not (isinstance(saved, Placeholder) and isinstance(saved.state.get("_modules"), dict)):
        return {}
    return _tree(saved, _pickled_parts, lambda module: module.origin)


def live_tree(module: object) -> dict[str, ModuleRecord]:
    """The modules of a live network; nothing for another object.

    Args:
        module: a torch module.
    """
    return _tree(module, _live_parts, _live_origin) if hasattr(module, "named_modules") else {}


def _tree(root: Any, parts: Any, origin: Any) -> dict[str, ModuleRecord]:
    tree: dict[str, ModuleRecord] = {}
    if origin(root) == _EMPTY and not list(_changes(parts(root))):
        return tree
    known: dict[int, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {}
    waiting = [("", root, 0)]
    while waiting and len(tree) < _MAX_MODULES:
        name, module, depth = waiting.pop()
        state = parts(module)
        children = _children(state) if depth < _MAX_DEPTH else {}
        inner = _WRAPPERS.get(origin(module))
        if inner in children:
            waiting.append((name, children[inner], depth + 1))
            continue
        if id(module) not in known:
            known[id(module)] = dict(_facts(state)), _tensors(state), tuple(_changes(state))
        facts, tensors, changes = known[id(module)]
        tree[name] = ModuleRecord(name, origin(module), facts, tensors, tuple(children), changes)
        prefix = f"{name}." if name else ""
        waiting += [(prefix + child, part, depth + 1) for child, part in reversed(children.items())]
    return tree


def _pickled_parts(module: Placeholder) -> Mapping[Any, Any]:
    return module.state


def _live_parts(module: Any) -> Mapping[Any, Any]:
    try:
        return {**vars(module), "_modules": dict(module.named_children())} if _is_script(module) else vars(module)
    except TypeError:  # a class without attributes
        return {}


def _is_script(module: Any) -> bool:
    return hasattr(module, "original_name")


def _live_origin(module: Any) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _children(state: Mapping[Any, Any]) -> dict[str, Any]:
    modules = state.get("_modules")
    entries = modules.items() if isinstance(modules, dict) else ()
    return {
        name: part
        for name, part in entries
        if isinstance(name, str) and (isinstance(part, Placeholder) or hasattr(part, "named_modules"))
    }


def _tensors(state: Mapping[Any, Any]) -> tuple[str, ...]:
    groups = [state.get(kind) for kind in ("_parameters", "_buffers")]
    entries = [entry for group in groups if isinstance(group, dict) for entry in group.items()]
    return tuple(name for name, value in entries if isinstance(name, str) and value is not None)


def _facts(state: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in state.items():
        if isinstance(name, str) and not name.startswith("_") and name != "training" and _is_plain(value):
            yield name, _frozen(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _MAX_ITEMS and all(_is_scalar(item) for item in value)
    if isinstance(value, dict):
        return len(value) <= _MAX_ITEMS and all(_is_scalar(item) for entry in value.items() for item in entry)
    return _is_scalar(value)


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float | str | None)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _changes(state: Mapping[Any, Any]) -> Iterator[str]:
    for name, words in _HOOKS.items():
        if state.get(name):
            yield words
    for name, value in state.items():
        if not isinstance(name, str) or _is_plain(value):
            continue
        if name in ("_forward_impl", "__call__") or ("forward" in name and not name.endswith(_HOOK_ENDS)):
            yield f"a method {name} of its own"
