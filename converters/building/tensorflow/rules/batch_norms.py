"""BatchNorm that a graph writes as arithmetic: x * m + (beta - mean * m), m = gamma / sqrt(variance + epsilon)."""

import re
from typing import Any

import numpy as np

from converters.building.onnx.values import Known
from converters.building.tensorflow.call import GraphCall
from converters.building.tensorflow.values import Ordered
from converters.reading.onnx.model_file import OnnxNode

_MOMENTUM = 0.01  # Keras's share of the newest batch; a graph for inference does not say its own
_SUMS, _PASSED = ("Add", "AddV2"), ("Identity", "ReadVariableOp")


def batch_norm_of(call: GraphCall) -> Ordered | None:
    """The BatchNorm whose last step a sum is; None for every other sum.

    Args:
        call: node, a sum.
    """
    pattern = _Pattern(call)
    for product, shift in (call.node.inputs[:2], call.node.inputs[1::-1]):
        result = pattern.match(product, shift)
        if result is not None:
            return result
    return None


class _Pattern:
    """The nodes before a sum, as a tree of operations."""

    def __init__(self, call: GraphCall) -> None:
        self.call = call
        self.tracer: Any = call.tracer

    def match(self, product: str, shift: str) -> Ordered | None:
        """BatchNorm from `x * m` and `beta - mean * m`."""
        node = self._node(product, ("Mul",))
        if node is None or not isinstance(self.tracer.values.get(shift), Known):
            return None
        for x, factor in (node.inputs, node.inputs[::-1]):
            image = self.tracer.values.get(x)
            if isinstance(image, Ordered) and isinstance(self.tracer.values.get(factor), Known):
                return self._built(image, factor, shift)
        return None

    def _built(self, x: Ordered, factor: str, shift: str) -> Ordered | None:
        scaled = self._scale(factor)
        if scaled is None:
            return None
        gamma, variance, epsilon = scaled
        centered = self._center(shift, factor)
        if centered is None:
            return None
        beta, mean = centered
        if not (x.is_map or x.axes in ((0, 1), (0, 1, 2, 3))):
            return None
        channels = x.sizes(1)[0]
        parts = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
        given: dict[str, Any] = {}
        for key, name in parts.items():
            given[key] = None if name is None else self._vector(name, channels, key, x)
            if name is not None and given[key] is None:
                return None
        self.call.module = re.sub(r"[._]?batchnorm[._]\w+$", "", self.call.module) or self.call.module
        return self.call.alike("batch_norm", x, **given, training=False, momentum=_MOMENTUM, eps=epsilon)

    def _scale(self, name: str) -> tuple[str | None, str, float] | None:
        """`(gamma, variance, epsilon)` of a factor; gamma may be missing."""
        node = self._node(name, ("Mul", "Rsqrt"))
        if node is None:
            return None
        pairs: list[tuple[str | None, str]] = [(None, name)]
        if node.type == "Mul":
            pairs = [(node.inputs[1], node.inputs[0]), (node.inputs[0], node.inputs[1])]
        for gamma, root in pairs:
            rooted = self._node(root, ("Rsqrt",))
            added = self._node(rooted.inputs[0], _SUMS) if rooted else None
            if added is None:
                continue
            for variance, number in (added.inputs, added.inputs[::-1]):
                epsilon = self.tracer.values.get(number)
                if isinstance(epsilon, Known) and epsilon.arrays[0].size == 1 and epsilon.is_fixed:
                    self.tracer.arguments.update(epsilon.parents)
                    return gamma, variance, float(f"{float(epsilon.arrays[0].reshape(())):.7g}")
        return None

    def _center(self, name: str, factor: str) -> tuple[str | None, str] | None:
        """`(beta, mean)` of a shift; beta may be missing."""
        node = self._node(name, ("Sub", "Neg", "Mul"))
        if node is None:
            return None
        product = node if node.type == "Mul" else self._node(node.inputs[-1], ("Mul",))
        if product is None:
            return None
        for mean, other in (product.inputs, product.inputs[::-1]):
            if self._plain(other) != self._plain(factor):
                continue
            if node.type != "Mul":
                return (node.inputs[0] if node.type == "Sub" else None), mean
            negative = self._node(mean, ("Neg",))  # without beta, the mean itself is negated
            if negative is not None:
                return None, negative.inputs[0]
        return None

    def _vector(self, name: str, channels: int, key: str, x: Ordered) -> Known | None:
        """The numbers of the channels; None for others."""
        value = self.tracer.values.get(name)
        if not isinstance(value, Known) or not value.is_fixed:
            return None
        array = value.arrays[0]
        last = x.is_map or x.rank == 2
        wanted = [(channels,), *((*(1,) * n, channels) for n in range(1, 4))] if last else [(1, channels, 1, 1)]
        if array.shape not in [shape for shape in wanted if len(shape) <= x.rank]:
            return None
        if array.ndim == 1:
            return value
        return self.call.made(np.ascontiguousarray(array.reshape(-1)), key, value.parents)

    def _plain(self, name: str) -> str:
        node = self.tracer.by_name.get(name)
        while node is not None and node.type in _PASSED:
            name = node.inputs[0]
            node = self.tracer.by_name.get(name)
        return name

    def _node(self, name: str, kinds: tuple[str, ...]) -> OnnxNode | None:
        """The node that gives a value, if it is one of some kinds."""
        node: OnnxNode | None = self.tracer.by_name.get(self._plain(name))
        return node if node is not None and node.type in kinds else None
