"""A user's own hooks on a module, which run while it is traced, and modules whose results change from call to call."""

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.errors import ConversionError

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_CALLS = 3
_ROUNDING = 1e-4  # relative; threads may add in another order


def hooked_modules(module: Any) -> list[str]:
    """The names of the modules with hooks beside torch's own (such as those of `weight_norm`).

    Args:
        module: live torch module.
    """
    names = []
    for name, part in module.named_modules():
        hooks = [hook for kind in _HOOKS for hook in getattr(part, kind, {}).values()]
        if any(not (_origin(hook)).startswith("torch.") for hook in hooks):
            names.append(name)
    return names


def _origin(hook: Any) -> str:
    return getattr(hook, "__module__", None) or type(hook).__module__


def hook_note(names: list[str]) -> str:
    """The sentence of a receipt about hooks.

    Args:
        names: names of the modules that have some.
    """
    listed = ", ".join(name or "the network itself" for name in names[:4])
    more = ", ..." if len(names) > 4 else ""
    return (
        f"it has hooks of its own, which ran while it was traced and compared: on {listed}{more}. What they change in "
        "results is in the model; what else they do is not"
    )


def require_repeatable(name: str, run: Callable[[Any], Any], images: Any) -> None:
    """Refuses a source whose results on the same image change from call to call.

    Args:
        name: its name in messages.
        run: computes its results, as arrays in lists or dictionaries.
        images: what it is run on.
    Raises:
        ConversionError: such a source.
    """
    first = _leaves(run(images))
    for _ in range(_CALLS - 1):
        again = _leaves(run(images))
        equal = len(first) == len(again) and all(map(_is_close, first, again))
        if not equal:
            raise ConversionError(
                f"{name} gives another result when it is called again on the same image, so there is no one function "
                "to convert. A hook or an attribute that counts calls, or random numbers, may do that. Remove it: "
                "in evaluation mode, results depend on the image alone."
            )


def _is_close(value: np.ndarray, other: np.ndarray) -> bool:
    if value.shape != other.shape:
        return False
    finite = np.isfinite(value)
    scale = float(np.abs(value[finite]).max(initial=0))
    return bool(np.allclose(value, other, rtol=0, atol=_ROUNDING * scale, equal_nan=True))


def _leaves(result: Any) -> list[np.ndarray]:
    if isinstance(result, np.ndarray):
        return [result]
    return [leaf for part in (result.values() if isinstance(result, dict) else result) for leaf in _leaves(part)]
