"""Finding the tensors in what a file holds: training scripts wrap them and prefix them in many ways."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from converters.errors import ConversionError
from converters.reading.pickle.inert import Placeholder
from converters.reading.pickle.numpy_arrays import PickledArray
from converters.reading.tensors import AnyTensor, Tensor, Unreadable

# Keys under which weights lie. The first one that holds tensors counts. Averaged weights come before those of the last
# step. The order of timm's own keys is timm's, so that a file gives the same weights here and there.
WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "params_ema",
    "swa_model",
    "swa_state_dict",
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net_state_dict",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "blobs",
    # Self-supervised training keeps an average of its network beside it; VISSL keeps its own deep below.
    "teacher",
    "student",
    "classy_state_dict",
    "base_model",
    "trunk",
)
# What wrappers put before every key: DataParallel, torch.compile, Lightning.
PREFIXES = ("module.", "_orig_mod.", "model.")

_MOST_PREFIXES = 16  # in a row: people wrap a network a few times
_MAX_MODULES = 100_000
_MAX_DEPTH = 100
# Of further sets of tensors: how many are looked for, how deep, and in how many dictionaries.
_MAX_SETS = 16
_MAX_SET_DEPTH = 6
_MAX_NODES = 1000
_MAX_TOGETHER = 100_000  # tensors of several dictionaries that are read together.
_STATES = ("optim", "scheduler", "scaler", "callbacks", "loops", "rng")  # names of what is no network's weights
# What training keeps in files of their own, by keys that such a dictionary has.
_TRAINING = (
    ({"state", "param_groups"}, "the state of an optimizer"),
    ({"growth_factor", "backoff_factor"}, "the state of a gradient scaler"),
    ({"last_epoch", "_step_count"}, "the state of a learning-rate scheduler"),
)


_Value = TypeVar("_Value")


def unwrap(saved: object) -> tuple[tuple[str, ...], dict[str, AnyTensor], dict[str, Any]]:
    """The tensors in a saved object, with the keys that led to them and what was left out.

    A dictionary is entered by the first of WRAPPERS that holds tensors, or else by its only key that holds some. It is
    not entered if more tensors stand beside that key than in there. Several dictionaries of tensors whose keys are no
    usual ones are read as one: their keys then stand before those of the tensors.

    Args:
        saved: object that a file holds: a dictionary, a pickled module or another one.
    Returns: `(keys unwrapped, {key: tensor}, {name of what was left out: its value if it is text or a number})`.
    Raises: ConversionError for an object without named tensors, and for several pickled modules.
    """
    wrapper: list[str] = []
    extras: dict[str, Any] = {}
    node: Any = saved
    known: dict[int, int] = {}
    path: set[int] = set()
    if isinstance(saved, Tensor | Unreadable | PickledArray):
        raise ConversionError("holds a single tensor without a name. Expected a dictionary: save model.state_dict().")
    while True:
        if isinstance(node, Placeholder):
            extras[f"the object of class {node.origin}"] = None
        contents = _contents(node)
        tensors = {key: tensor for key, tensor in contents.items() if tensor is not None}
        path.add(id(node))
        weights = {key: _weigh(value, known) for key, value in _inner(node).items() if id(value) not in path}
        candidates = [key for key, weight in weights.items() if weight]
        entered = next((key for key in WRAPPERS if key in candidates), candidates[0] if len(candidates) == 1 else None)
        if entered is None or weights[entered] < len(tensors):
            break
        wrapper.append(entered)
        extras |= {_label(key): _plain(value) for key, value in node.items() if key != entered}
        node = node[entered]
    if not tensors:
        tensors = _together(node, candidates)
    if not tensors:
        raise ConversionError(_nothing(saved, candidates))
    beside = node if isinstance(node, dict) else {}
    extras |= {_label(key): _plain(beside.get(key)) for key in contents if key not in tensors}
    return tuple(wrapper), tensors, extras


def _together(node: object, candidates: Iterable[str]) -> dict[str, AnyTensor]:
    """The tensors of several dictionaries, each under its dictionary's key; none if one of them is no plain one."""
    sets = {key: _inner(node)[key] for key in candidates if not any(word in key for word in _STATES)}
    if not all(isinstance(value, dict) for value in sets.values()):
        return {}
    if sum(len(value) for value in sets.values()) > _MAX_TOGETHER:  # hostile files nest one dictionary many times
        return {}
    if not all(any(tensor is not None for tensor in _contents(value).values()) for value in sets.values()):
        return {}
    return {
        f"{key}.{name}": tensor
        for key, value in sets.items()
        for name, tensor in _contents(value).items()
        if tensor is not None
    }


def other_sets(saved: object, chosen: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, AnyTensor]]]:
    """The further sets of tensors in a saved object, in the order of `WRAPPERS`, then in that of the file.

    Args:
        saved: object that a file holds.
        chosen: keys that lead to the set which `unwrap` chose.
    Returns: `(keys that lead there, {key: tensor})` of each.
    """
    number, known = 0, set()
    root = saved
    for key in chosen:
        root = root[key] if isinstance(root, dict) else None
    together = isinstance(root, dict) and not any(_contents(root).values())
    left: list[tuple[tuple[str, ...], Any]] = [((), saved)]
    for _ in range(_MAX_NODES):
        if not left or number >= _MAX_SETS:
            return
        path, node = left.pop(0)
        if id(node) in known:
            continue
        known.add(id(node))
        tensors = {key: tensor for key, tensor in _contents(node).items() if tensor is not None}
        # Dictionaries that were read as one are no further sets.
        if tensors and path != chosen and not (together and path[:-1] == chosen):
            number += 1
            yield path, tensors
        inner = {key: value for key, value in _inner(node).items() if not any(word in key for word in _STATES)}
        if len(path) < _MAX_SET_DEPTH:
            order = sorted(inner, key=lambda key: WRAPPERS.index(key) if key in WRAPPERS else len(WRAPPERS))
            left[:0] = [((*path, key), inner[key]) for key in order]


def strip(tensors: Mapping[str, _Value]) -> tuple[str, dict[str, _Value]]:
    """The prefix of `PREFIXES`, or several in a row, that every key has, and the tensors without it.

    Args:
        tensors: {key: tensor}, or {key: anything else}.
    """
    prefix = ""
    for _ in range(_MOST_PREFIXES if tensors else 0):
        longer = _longer(prefix, tensors)
        if longer is None:
            break
        prefix = longer
    return prefix, {key[len(prefix) :]: tensor for key, tensor in tensors.items()}


def _longer(prefix: str, keys: Iterable[str]) -> str | None:
    """The prefix with one more that all keys have, too."""
    candidates = (prefix + more for more in PREFIXES)
    return next((longer for longer in candidates if all(_has_prefix(key, longer) for key in keys)), None)


def _has_prefix(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and key != prefix


def _contents(node: object) -> Mapping[Any, AnyTensor | None]:
    """Every key of a dictionary or of a pickled module, with its tensor or None."""
    if isinstance(node, Placeholder):
        return _module_tensors(node)
    if not isinstance(node, dict):
        return {}
    return {key: _as_tensor(value) if isinstance(key, str) else None for key, value in node.items()}


def _inner(node: object) -> dict[str, Any]:
    """The entries of a dictionary that may hold tensors in turn."""
    if not isinstance(node, dict):
        return {}
    return {k: v for k, v in node.items() if isinstance(k, str) and isinstance(v, dict | Placeholder)}


def _weigh(node: object, known: dict[int, int]) -> int:
    """How many tensors unwrapping would reach in there.

    `known` has the results by identity: hostile files nest one object many times.
    """
    if id(node) not in known:
        known[id(node)] = 0  # ends cycles
        direct = sum(tensor is not None for tensor in _contents(node).values())
        deeper = (_weigh(value, known) for key, value in _inner(node).items() if key in WRAPPERS)
        known[id(node)] = max(direct, *deeper, 0)
    return known[id(node)]


def _as_tensor(value: object) -> AnyTensor | None:
    if isinstance(value, PickledArray):
        return value.tensor
    return value if isinstance(value, Tensor | Unreadable) else None


def _module_tensors(module: Placeholder) -> dict[str, AnyTensor]:
    """The state dictionary of a pickled torch.nn.Module, which keeps its parts under three well-known attributes."""
    tensors: dict[str, AnyTensor] = {}
    left = [("", module, 0)]
    for _ in range(_MAX_MODULES):
        if not left:
            return tensors
        prefix, module, depth = left.pop()
        state = module.state
        temporary = state.get("_non_persistent_buffers_set")
        temporary = temporary if isinstance(temporary, set | list) else ()
        for kind in ("_parameters", "_buffers"):
            for key, value in _dictionary(state.get(kind)).items():
                tensor = _as_tensor(value)
                if isinstance(key, str) and tensor is not None and not (kind == "_buffers" and key in temporary):
                    tensors[prefix + key] = tensor
        children = [(k, v) for k, v in _dictionary(state.get("_modules")).items() if isinstance(v, Placeholder)]
        if depth < _MAX_DEPTH:
            left += [(f"{prefix}{key}.", child, depth + 1) for key, child in reversed(children)]
    raise ConversionError(f"holds a pickled module of more than {_MAX_MODULES} parts; the file is hostile.")


def _dictionary(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: object) -> str | int | float | None:
    return value if isinstance(value, str | int | float) else None


def _label(key: object) -> str:
    if isinstance(key, str):
        return key
    kind = key.origin if isinstance(key, Placeholder) else type(key).__name__
    return repr(key) if isinstance(key, int) and abs(key) < 2**63 else f"a key of type {kind}"


def _training_state(saved: object) -> str | None:
    """What of training a saved object holds, if it holds nothing else; None for other objects."""
    entries = _dictionary(saved)
    kind = next((what for keys, what in _TRAINING if keys <= entries.keys()), None)
    if kind or not entries:
        return kind
    inner = {key: _training_state(value) for key, value in entries.items() if isinstance(value, dict)}
    kinds = dict.fromkeys(what for what in inner.values() if what)
    return " and ".join(kinds) if kinds and all(inner.values()) else None


def _nothing(saved: object, candidates: list[str]) -> str:
    """The message for a saved object in which no tensors were found."""
    if what := _training_state(saved):
        return (
            f"holds {what} and no weights of a network. Give the file with the weights, which the trainer wrote "
            "beside it or before: model.state_dict()."
        )
    if empty := [key for key, value in _dictionary(saved).items() if key in WRAPPERS and value == {}]:
        return (
            f"its entry {empty[0]!r} is empty. A network whose weights lie on several devices is gathered before it is "
            "saved: save model.state_dict() again, from its first process."
        )
    if candidates:
        return (
            f"holds several sets of tensors and none under a usual name. Expected one of {', '.join(WRAPPERS)}. "
            f"Received: {', '.join(map(ascii, candidates[:20]))}. Save the one you mean in a file of its own."
        )
    if isinstance(saved, Placeholder):
        return (
            f"this file holds a pickled object of class {saved.origin}, whose tensors cannot be found without running "
            "its code. Save model.state_dict() instead."
        )
    if isinstance(saved, dict):
        received = (
            f"keys {', '.join(ascii(_label(key)) for key in list(saved)[:20])}" if saved else "an empty dictionary"
        )
    else:
        received = f"an object of type {type(saved).__name__}"
    return (
        "holds no named tensors. Expected a dictionary of tensors, or one under a usual name such as state_dict. "
        f"Received: {received}. Save model.state_dict() instead."
    )
