"""Steps that TensorFlow takes apart, put together again: biases of convolutions, and BatchNorm written as arithmetic.

A group of steps becomes one only where no other step reads what lies between. The result is the same function.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.graph import GraphStep, Ref
from converters.types import Shape

_BIASED = frozenset(("conv2d", "conv_transpose2d", "linear"))


def fused(
    steps: Sequence[GraphStep],
    shapes: Mapping[str, tuple[Shape, ...]],
    constants: Mapping[str, np.ndarray],
    outputs: Sequence[str],
) -> list[GraphStep]:
    """The steps, with every bias in its convolution.

    Args:
        steps: steps in order.
        shapes: name of a result -> its shape at each traced size.
        constants: name -> tensor of the program.
        outputs: names of the results of the program.
    """
    users = Counter(outputs)
    for step in steps:
        users.update(_names(list(step.arguments.values())))
    made = {step.name: step for step in steps}
    moved: set[str] = set()  # steps that now have the names of those that followed
    for step in steps:
        if step.op != "add":
            continue
        for key, other in (("input", "other"), ("other", "input")):
            before, bias = step.arguments[key], step.arguments[other]
            if not isinstance(before, Ref) or not isinstance(bias, Ref) or users[before.name] != 1:
                continue
            chain = _chain(before.name, made, users)
            product = made.get(chain[-1])
            array = constants.get(bias.name)
            if product is None or array is None or product.op not in _BIASED or product.arguments["bias"] is not None:
                continue
            shape = shapes[step.name][0]
            channels = shape[-1] if product.op == "linear" else shape[1]
            wanted = (channels,) if product.op == "linear" else (1, channels, 1, 1)
            if shapes[step.name] != shapes[before.name] or array.shape not in ((channels,), wanted):
                continue
            vector = _vector(bias.name, array, made)
            arguments = {**product.arguments, "bias": vector}
            made[product.name] = dataclasses.replace(product, arguments=arguments)
            # The last of the steps, a part of the map or the convolution itself, takes the place of the sum.
            made[step.name] = dataclasses.replace(made[before.name], name=step.name)
            moved.add(before.name)
            break
    kept = [made[step.name] for step in _with_vectors(steps, made) if step.name not in moved]
    # Handlers look ahead to the kernels of the steps that follow.
    return [*(s for s in kept if s.op == "constant"), *(s for s in kept if s.op != "constant")]


def _chain(name: str, made: Mapping[str, GraphStep], users: Mapping[str, int]) -> list[str]:
    """A result and those before it that are only cut, down to the one that is computed."""
    chain = [name]
    while (step := made.get(chain[-1])) is not None and step.op == "slice" and users[step.name] == 1:
        chain.append(step.arguments["input"].name)
    return chain if users[chain[-1]] == 1 else chain[:1]


def _vector(name: str, array: np.ndarray, made: dict[str, GraphStep]) -> Ref:
    """The constant with one axis."""
    if array.ndim == 1:
        return Ref(name)
    vector = f"{name}.vector"
    made.setdefault(vector, GraphStep(vector, "constant", {"tensors": [Ref(name)]}, "", compute=_flat))
    return Ref(vector)


def _with_vectors(steps: Sequence[GraphStep], made: Mapping[str, GraphStep]) -> list[GraphStep]:
    """The steps, and each new constant after the one that it is made of."""
    known = {step.name for step in steps}
    new = [step for name, step in made.items() if name not in known]
    by_source: dict[str, list[GraphStep]] = {}
    for step in new:
        by_source.setdefault(step.arguments["tensors"][0].name, []).append(step)
    result = [step for name, parts in by_source.items() if name not in known for step in parts]
    for step in steps:
        result += [step, *by_source.get(step.name, [])]
    return result


def _flat(arguments: Mapping[str, Any]) -> np.ndarray:
    """The one tensor of a step with one axis."""
    return np.ascontiguousarray(arguments["tensors"][0].reshape(-1))


def _names(value: Any) -> list[str]:
    if isinstance(value, Ref):
        return [value.name]
    if isinstance(value, list):
        return [name for part in value for name in _names(part)]
    return []
