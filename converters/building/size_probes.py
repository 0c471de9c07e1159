"""Sizes of images at which a network may compute something else than at the sizes that were traced.

A number that all traces share may still depend on the image: `min(height, 400)`, or a kernel that the size chooses. So
the network runs on tensors without numbers, on torch's device "meta", at many sizes, which costs no memory. Where it
takes another step, or a number that all traces share is another one, the model has to be compared with it.
"""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from converters.building.module_inputs import ModuleInputs

Size = tuple[int, int]
"""Height and width of an image."""

# In the order in which they are compared: the smallest images first.
_PROBES = (
    *((17, 23), (33, 35), (64, 64), (128, 96), (224, 224), (255, 449), (2048, 64), (64, 2048), (37, 5000), (5000, 37)),
    *((384, 640), (512, 512), (513, 1025), (1024, 1024)),
)
# A number that differed between the traces and does not between these has met a bound, as min(height, 600).
_BOUNDS = (((2048, 64), (5120, 192)), ((64, 2048), (192, 5120)))
# Steps that a program has wherever they run. Of others, as "clone" for a reshape, the layout in memory decides.
_TELLING = frozenset("slice roll cat stack masked_fill constant_pad_nd convolution softmax".split())
_MOST = 3  # sizes that are compared for the sake of such differences


class _Dispatched(NamedTuple):
    """A step that ran.

    Attributes:
        name: name of the operation.
        numbers: all numbers in its arguments, in order.
    """

    name: str
    numbers: tuple[Any, ...]


def sizes_to_compare(
    module: Any, inputs: ModuleInputs, traced: Sequence[Size], multiple: int, allowed: Callable[[Size], bool]
) -> list[Size] | None:
    """Sizes at which the network takes other steps, or numbers that no trace shows; None if it cannot be probed.

    Args:
        module: live torch module, in evaluation mode.
        inputs: tensors that it takes.
        traced: sizes that were traced.
        multiple: sides of images must be multiples of this number.
        allowed: whether the module takes images of a size.
    """
    hollow = _without_numbers(module)
    if hollow is None:
        return None
    run = functools.cache(functools.partial(_dispatched, hollow, inputs))
    traces = [run(size) for size in traced]
    known = [trace for trace in traces if trace is not None]
    if len(known) < len(traces):
        return None
    alike: dict[tuple[str, ...], list[list[_Dispatched]]] = {}
    for trace in known:
        alike.setdefault(_names(trace), []).append(trace)
    shared = {names: _shared_numbers(traces) for names, traces in alike.items()}

    def is_other(size: Size) -> bool:
        steps = run(size)
        return steps is not None and (_names(steps) not in shared or _differ(shared[_names(steps)], steps))

    def is_bound(size: Size, larger: Size) -> bool:
        steps, more = run(size), run(larger)
        if steps is None or more is None or not _names(steps) == _names(more) in shared:
            return False
        return _met_bounds(shared[_names(steps)], steps, more)

    def multiples(size: Size) -> Size:
        height, width = size
        return max(height // multiple, 1) * multiple, max(width // multiple, 1) * multiple

    chosen: list[Size] = []
    varying = any(None in numbers for table in shared.values() for numbers in table)
    for size, larger in _BOUNDS if varying else ():
        if is_bound(multiples(size), multiples(larger)) and allowed(multiples(size)):
            chosen.append(multiples(size))
    for size in dict.fromkeys(map(multiples, _PROBES)):
        if len(chosen) < _MOST and size not in chosen and is_other(size) and allowed(size):
            chosen.append(size)
    return chosen


def may_have_equal_steps(module: Any, inputs: ModuleInputs, size: Size) -> Callable[[Size], bool]:
    """Whether the program of another size may have the steps of a size's; False where it surely has others.

    A trace takes seconds, and a run without numbers a tenth of one.

    Args:
        module: live torch module, in evaluation mode.
        inputs: tensors that it takes.
        size: the size.
    """

    def told(size: Size) -> list[str] | None:
        steps = None if hollow is None else _dispatched(hollow, inputs, size)
        return None if steps is None else [step.name for step in steps if step.name.split(".")[1] in _TELLING]

    hollow = _without_numbers(module)
    first = told(size)
    return lambda other: first is None or told(other) in (None, first)


def _names(steps: Sequence[_Dispatched]) -> tuple[str, ...]:
    return tuple(step.name for step in steps)


def _without_numbers(module: Any) -> Any:
    """A copy of the module on the device meta; its tensors are not copied. None where it cannot be copied."""
    tensors = [*module.parameters(), *module.buffers()]
    try:
        hollow = {id(tensor): tensor.to("meta") for tensor in tensors}
        import torch

        for tensor in module.parameters():
            hollow[id(tensor)] = torch.nn.Parameter(hollow[id(tensor)], requires_grad=False)
        return copy.deepcopy(module, hollow)
    except Exception:  # a module of someone else: it is traced at more sizes instead
        return None


def _dispatched(hollow: Any, inputs: ModuleInputs, size: Size) -> list[_Dispatched] | None:
    """The steps that the module runs on an image of a size; None where it does not run."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    steps: list[_Dispatched] = []
    batch_norm = torch.ops.aten.native_batch_norm.default

    class Recorder(TorchDispatchMode):
        """Writes down each operation."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            steps.append(_Dispatched(str(func), tuple(numbers_in((args, kwargs or {})))))
            if func is batch_norm:  # torch finds its result's shape by ten steps, which take half of the time
                return torch.empty_like(args[0]), torch.empty(0, device="meta"), torch.empty(0, device="meta")
            return func(*args, **(kwargs or {}))

    args, kwargs = inputs.zeros(hollow, 2, size, device="meta")
    try:
        with torch.no_grad(), Recorder():
            hollow(*args, **kwargs)
    except Exception:  # the module does not take this size, or reads numbers
        return None
    return steps


def numbers_in(value: Any) -> list[Any]:
    """All numbers in the arguments of a step, in order."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers_in(part)]
    return [value] if isinstance(value, int | float) else []


def _shared_numbers(traces: Sequence[Sequence[_Dispatched]]) -> list[list[Any]]:
    """For each step the numbers that all traces have; None where they differ."""
    shared = []
    for steps in zip(*traces, strict=True):
        columns = zip(*(step.numbers for step in steps), strict=False)
        shared.append([column[0] if len(set(column)) == 1 else None for column in columns])
    return shared


def _differ(shared: Sequence[Sequence[Any]], steps: Sequence[_Dispatched]) -> bool:
    return any(
        number is not None and number != other
        for numbers, step in zip(shared, steps, strict=True)
        for number, other in zip(numbers, step.numbers, strict=False)
    )


def _met_bounds(shared: Sequence[Sequence[Any]], steps: Sequence[_Dispatched], more: Sequence[_Dispatched]) -> bool:
    """Whether a number that differed between the traces is the same at two sizes, of which one is larger by far."""
    return any(
        number is None and first == second
        for numbers, step, other in zip(shared, steps, more, strict=True)
        for number, first, second in zip(numbers, step.numbers, other.numbers, strict=False)
    )
