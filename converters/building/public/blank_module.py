"""A torch module as its own constructor makes it, ready to be filled by a file.

What the file does not hold must be the same after each call of the constructor: tables of positions, masks of windows.
"""

from collections.abc import Callable, Iterator
from typing import Any

from converters.errors import ConversionError


def build_blank(make: Callable[[], Any]) -> Any:
    """The module that a constructor makes, on the CPU.

    Every tensor that is neither a parameter nor in the state dictionary keeps the constructor's numbers. Two calls of
    the constructor must agree in them: what is drawn at random would differ.

    Args:
        make: function that builds a torch module.
    Raises:
        ConversionError: a module with numbers of its own that differ from call to call.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        module = make()
        if isinstance(module, torch.nn.Module) and (numbers := dict(_own_numbers(module))):
            _require_equal(type(module).__name__, numbers, dict(_own_numbers(make())))
    return module


def _own_numbers(module: Any) -> Iterator[tuple[str, Any]]:
    """Name and tensor of what no state dictionary has: buffers that are not persistent, and plain attributes."""
    import torch

    for prefix, part in module.named_modules():
        start = f"{prefix}." if prefix else ""
        for name in part._non_persistent_buffers_set:
            if (buffer := part._buffers.get(name)) is not None:
                yield f"{start}{name}", buffer
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                yield f"{start}{name}", value


def _require_equal(module: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    for name, tensor in first.items():
        other = second.get(name)
        if other is None or not _is_equal(tensor, other):
            raise ConversionError(
                f"The constructor of {module} draws numbers at random that no file holds: {name}. Every call computes "
                "something else. Build the module, load its weights, and convert the module that you want."
            )


def _is_equal(tensor: Any, other: Any) -> bool:
    if tensor.shape != other.shape or tensor.dtype != other.dtype:
        return False
    equal = tensor == other
    if tensor.is_floating_point():
        equal = equal | (tensor.isnan() & other.isnan())
    return bool(equal.all())
