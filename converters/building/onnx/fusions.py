"""Steps that exporters took apart, put together again: GELU, SiLU, LayerNorm, GroupNorm, biases.

A group of steps becomes one only where no other step reads what lies between, and the numbers in it are the operation's
own. The result is the same function; it has fewer layers, and their names.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.graph import GraphStep, Ref
from converters.types import Shape

_CLOSE = 1e-6


class Fuser:
    """Rewrites the steps of a program.

    Attributes:
        steps: name -> step, in order.
        shapes: name of a result -> its shape at each traced size.
        constants: name -> tensor of the program.
    """

    def __init__(
        self,
        steps: Sequence[GraphStep],
        shapes: Mapping[str, tuple[Shape, ...]],
        constants: Mapping[str, np.ndarray],
        outputs: Sequence[str],
    ) -> None:
        self.steps = {step.name: step for step in steps}
        self.shapes, self.constants = shapes, constants
        self.users = Counter(name for step in steps for name in _names(list(step.arguments.values())))
        self.users.update(outputs)

    def run(self) -> list[GraphStep]:
        """The steps, fused."""
        for name in list(self.steps):
            step = self.steps[name]
            for rule in (self._activation, self._layer_norm, self._affine, self._bias):
                if fused := rule(step):
                    self._replace(step, fused)
                    step = fused
        return list(self.steps.values())

    def _replace(self, old: GraphStep, new: GraphStep) -> None:
        self.users.subtract(_names(list(old.arguments.values())))
        self.users.update(_names(list(new.arguments.values())))
        self.steps[old.name] = new

    # ---- patterns

    def _activation(self, step: GraphStep) -> GraphStep | None:
        if step.op not in ("mul", "div"):
            return None
        factors, number = self._factors(Ref(step.name))
        if len(factors) == 1 and math.isclose(number, 1 / 6, rel_tol=_CLOSE) and self._six(factors[0]):
            return dataclasses.replace(step, op="hardsigmoid", arguments={"input": self._six(factors[0])})
        if len(factors) != 2:
            return None
        for x, other in (factors, factors[::-1]):
            if fused := self._of_two(x, other, number):
                op, arguments = fused
                return dataclasses.replace(step, op=op, arguments={"input": x, **arguments})
        return None

    def _of_two(self, x: Ref, other: Ref, number: float) -> tuple[str, dict[str, Any]] | None:
        """The activation that is the product of a tensor, a function of it, and a number."""
        inner = self._only(other)
        if inner is None:
            return None
        if number == 1 and inner.op == "sigmoid" and inner.arguments["input"] == x:
            return "silu", {}
        if number == 1 and inner.op == "hardsigmoid" and inner.arguments["input"] == x:
            return "hardswish", {}
        if math.isclose(number, 1 / 6, rel_tol=_CLOSE) and self._six(other) == x:
            return "hardswish", {}
        if number == 1 and inner.op == "tanh":
            softplus = self._only(inner.arguments["input"])
            if softplus is not None and softplus.op == "softplus" and softplus.arguments["input"] == x:
                return "mish", {}
        if number == 0.5 and inner.op == "add" and (erf := self._plus(inner, 1)) is not None:
            function = self._only(erf)
            if function is not None and function.op == "erf":
                places, scale = self._factors(function.arguments["input"])
                if places == [x] and math.isclose(scale, math.sqrt(0.5), rel_tol=_CLOSE):
                    return "gelu", {"approximate": "none"}
        return None

    def _six(self, ref: Ref) -> Ref | None:
        """x, where a value is x + 3 between 0 and 6."""
        clamp = self._only(ref)
        if clamp is None or clamp.op != "clamp" or (clamp.arguments["min"], clamp.arguments["max"]) != (0, 6):
            return None
        add = self._only(clamp.arguments["input"])
        return self._plus(add, 3) if add is not None and add.op == "add" else None

    def _plus(self, step: GraphStep, number: float) -> Ref | None:
        """What a number is added to."""
        first, second = step.arguments["input"], step.arguments["other"]
        for x, other in ((first, second), (second, first)):
            if isinstance(x, Ref) and other == number and not isinstance(other, Ref):
                return x
        return None

    def _factors(self, ref: Ref) -> tuple[list[Ref], float]:
        """The tensors and the number whose product a value is; only products that no other step reads are opened."""
        step = self.steps.get(ref.name)
        if step is None or step.op not in ("mul", "div"):
            return [ref], 1.0
        parts: list[Ref] = []
        number = 1.0
        for key in ("input", "other"):
            value = step.arguments[key]
            below = step.op == "div" and key == "other"
            if not isinstance(value, Ref):
                number = number / value if below else number * value
            elif below:
                return [ref], 1.0
            elif self._only(value) is not None and self.shapes.get(value.name) == self.shapes.get(ref.name):
                inner, factor = self._factors(value)
                parts, number = parts + inner, number * factor
            else:
                parts.append(value)
        if step.op == "div" and not isinstance(step.arguments["input"], Ref):
            return [ref], 1.0
        return parts, number

    def _layer_norm(self, step: GraphStep) -> GraphStep | None:
        """(x - mean) / sqrt(variance + epsilon) over the last axis."""
        if step.op not in ("div", "mul"):
            return None
        first, second = step.arguments["input"], step.arguments["other"]
        if not isinstance(first, Ref) or not isinstance(second, Ref):
            return None
        for top, below in ((first, second), (second, first))[: 1 if step.op == "div" else 2]:
            x = self._centered(top)
            epsilon = self._deviation(below, x, root="sqrt" if step.op == "div" else "rsqrt")
            if x is None or epsilon is None:
                continue
            size = {shape[-1] for shape in self.shapes[x.name]}
            if len(size) == 1:
                arguments = {"input": x, "normalized_shape": [size.pop()], "weight": None, "bias": None, "eps": epsilon}
                return dataclasses.replace(step, op="layer_norm", arguments=arguments)
        return None

    def _centered(self, ref: Any) -> Ref | None:
        """x, where a value is x less its mean over the last axis."""
        step = self.steps.get(ref.name) if isinstance(ref, Ref) else None
        if step is None or step.op != "sub":
            return None
        x, mean = step.arguments["input"], step.arguments["other"]
        return x if isinstance(x, Ref) and isinstance(mean, Ref) and self._mean_of(mean) == x else None

    def _mean_of(self, ref: Any) -> Ref | None:
        step = self.steps.get(ref.name) if isinstance(ref, Ref) else None
        if step is None or step.op != "mean" or not step.arguments["keepdim"]:
            return None
        x = step.arguments["input"]
        rank = len(self.shapes[x.name][0]) if x.name in self.shapes else 0
        return x if list(step.arguments["dim"]) == [rank - 1] else None

    def _deviation(self, ref: Any, x: Ref | None, *, root: str) -> float | None:
        """epsilon, where a value is the root of the variance of x and epsilon, or one over it."""
        step = self.steps.get(ref.name) if isinstance(ref, Ref) else None
        if x is None or step is None or step.op != root:
            return None
        add = self.steps.get(step.arguments["input"].name)
        if add is None or add.op != "add":
            return None
        first, second = add.arguments["input"], add.arguments["other"]
        variance, epsilon = (first, second) if isinstance(first, Ref) else (second, first)
        square = self.steps.get(getattr(self._mean_of(variance), "name", ""))
        if square is None or isinstance(epsilon, Ref):
            return None
        squared = square.arguments["input"] if square.op == "square" else None
        if square.op == "mul" and square.arguments["input"] == square.arguments["other"]:
            squared = square.arguments["input"]
        return float(f"{epsilon:.7g}") if self._centered(squared) == x else None

    def _affine(self, step: GraphStep) -> GraphStep | None:
        """The factor and the shift after a normalization, which are its own."""
        if step.op not in ("mul", "add"):
            return None
        for key, other in (("input", "other"), ("other", "input")):
            norm = self._only(step.arguments[key])
            if norm is None or norm.op not in ("layer_norm", "group_norm"):
                continue
            array = self._constant(step.arguments[other])
            slot = "weight" if step.op == "mul" else "bias"
            free = norm.arguments[slot] is None and (slot == "bias" or norm.arguments["bias"] is None)
            if array is None or not free:
                continue
            channels = self.shapes[step.name][0][-1 if norm.op == "layer_norm" else 1]
            wanted = (
                (channels,) if norm.op == "layer_norm" else (channels, *(1,) * (len(self.shapes[step.name][0]) - 2))
            )
            if array.shape not in (wanted, (1, *wanted)):
                continue
            vector = self._vector(step.arguments[other], array)
            return dataclasses.replace(
                norm, name=step.name, arguments={**norm.arguments, slot: vector}, module=step.module or norm.module
            )
        return None

    def _bias(self, step: GraphStep) -> GraphStep | None:
        """The shift after a product of matrices, which is its bias."""
        if step.op != "add":
            return None
        for key, other in (("input", "other"), ("other", "input")):
            linear = self._only(step.arguments[key])
            array = self._constant(step.arguments[other])
            if linear is None or linear.op != "linear" or linear.arguments["bias"] is not None or array is None:
                continue
            if array.shape == self.shapes[step.name][0][-1:]:
                arguments = {**linear.arguments, "bias": step.arguments[other]}
                return dataclasses.replace(linear, name=step.name, arguments=arguments)
        return None

    # ---- helpers

    def _only(self, value: Any) -> GraphStep | None:
        """The step of a value that one step alone reads."""
        if not isinstance(value, Ref) or self.users[value.name] != 1:
            return None
        return self.steps.get(value.name)

    def _constant(self, value: Any) -> np.ndarray | None:
        return self.constants.get(value.name) if isinstance(value, Ref) else None

    def _vector(self, ref: Ref, array: np.ndarray) -> Ref:
        """The constant with one axis: a step that is computed beforehand, where it has more."""
        if array.ndim == 1:
            return ref
        name = f"{ref.name}.vector"
        if name not in self.steps:
            step = GraphStep(name, "constant", {"tensors": [ref]}, "", compute=_flat)
            # It has to stand before the step that reads it; nothing else depends on its place.
            self.steps = {name: step, **self.steps} if ref.name not in self.steps else self._after(ref.name, step)
        return Ref(name)

    def _after(self, name: str, step: GraphStep) -> dict[str, GraphStep]:
        steps: dict[str, GraphStep] = {}
        for key, value in self.steps.items():
            steps[key] = value
            if key == name:
                steps[step.name] = step
        return steps


def _flat(arguments: Mapping[str, Any]) -> np.ndarray:
    """The one tensor of a step with one axis."""
    return np.ascontiguousarray(arguments["tensors"][0].reshape(-1))


def _names(value: Any) -> list[str]:
    if isinstance(value, Ref):
        return [value.name]
    if isinstance(value, list):
        return [name for part in value for name in _names(part)]
    return []
