"""How several tensors become the arguments of a module's forward: in order, or by name."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Arguments(NamedTuple):
    """What a module is called with.

    Attributes:
        args: arguments in order.
        kwargs: arguments by name.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def arguments(module: Any, values: Any) -> Arguments:
    """The arguments of a call.

    Args:
        module: live torch module.
        values: one tensor; a list of them, in the order of the forward's parameters; or a dictionary of them by name.
            If the forward has no such parameters, it gets the list or the dictionary itself.
    """
    if isinstance(values, Mapping):
        bound = _bound(module, (), dict(values))
        return Arguments(bound.args, dict(bound.kwargs)) if bound else Arguments((dict(values),), {})
    if isinstance(values, list | tuple):
        return Arguments(tuple(values) if _bound(module, values, {}) else (list(values),), {})
    return Arguments((values,), {})


def argument_names(module: Any, values: Sequence[Any] | Mapping[str, Any]) -> list[str]:
    """A name for each of several tensors: that of the parameter which takes it, or of the dictionary's key.

    Args:
        module: live torch module.
        values: tensors, as in `arguments`.
    """
    if isinstance(values, Mapping):
        bound = _bound(module, (), dict(values))
        return list(bound.arguments) if bound and set(bound.arguments) == set(values) else list(values)
    bound = _bound(module, values, {})
    taken = bound.arguments if bound else {(required_arguments(module) or ["input"])[0]: tuple(values)}
    names: list[str] = []
    for name, value in taken.items():
        names += [f"{name}_{index}" for index in range(len(value))] if isinstance(value, tuple) else [name]
    return names


def required_arguments(module: Any) -> list[str]:
    """The names of the arguments that a module's forward cannot do without.

    Args:
        module: live torch module.
    """
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [part.name for part in parameters if part.default is part.empty and part.kind not in kinds]


def _bound(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments | None:
    try:
        return inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):  # other parameters, or a forward that is not written in Python
        return None
