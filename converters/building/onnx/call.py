"""A node of a graph while its rule runs: its inputs, its attributes, and the steps that it becomes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.building.graph import GraphStep, Ref
from converters.building.onnx.names import module_of
from converters.building.onnx.values import Computed, Known, OtherSize, Value
from converters.errors import ConversionError
from converters.programs.onnx.arguments import Arguments
from converters.reading.onnx.model_file import OnnxNode
from converters.types import Shape


class Call:
    """A node with its inputs, while its rule runs.

    Attributes:
        tracer: the trace, a `Tracer`.
        node: operation.
        inputs: values; None for an input that is left out.
    """

    def __init__(self, tracer: Any, node: OnnxNode, inputs: list[Value | None]) -> None:
        self.tracer, self.node, self.inputs = tracer, node, inputs
        weights = [value.parents[0] for value in inputs if isinstance(value, Known) and value.parents]
        self.module = module_of(node, weights)

    # ----------------------------------------------------------------------------------------------------------- inputs

    @property
    def opset(self) -> int:
        """Version of ONNX's operators."""
        version: int = self.tracer.graph.opset
        return version

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default where it is not given."""
        value = self.node.attributes.get(name)
        return default if value is None else value

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def computed(self, index: int = 0) -> Computed:
        """An input that depends on the image.

        Raises:
            ConversionError: a constant, or no such input.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, Computed):
            raise self.refusal(f"has a constant as input {index}")
        return value

    def known(self, index: int, what: str) -> Known:
        """An input that is known beforehand.

        Raises:
            ConversionError: an input that the network computes, or no such input.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, Known):
            raise self.refusal(f"has {what} that the network computes")
        return value

    def weight(self, index: int, what: str) -> Known:
        """An input that is a tensor of one shape at all sizes, with its numbers.

        Raises:
            ConversionError: an input that the network computes, or that depends on the size of the image.
        """
        value = self.known(index, what)
        if not value.is_fixed:
            raise self.refusal(f"has {what} that depends on the size of the image")
        return value

    def kernel(self, what: str) -> Known:
        """The weights of a convolution or a matrix, the second input.

        Raises:
            ConversionError: as `weight`, and whole numbers, as a quantized network has.
        """
        value = self.weight(1, what)
        if value.arrays[0].dtype.kind != "f":
            raise ConversionError(
                f"is a quantized network: {self._where()} has {what} of {value.arrays[0].dtype} numbers. Export the "
                "network in float32, before it is quantized."
            )
        return value

    def number(self, index: int, name: str, default: Any = None) -> Any:
        """A number that is an input or an attribute.

        Raises:
            ConversionError: one that the network computes or that depends on the size of the image.
        """
        if not self.has(index):
            return self.attribute(name, default)
        value = self.weight(index, f"a number {name}")
        self.tracer.arguments.update(value.parents)
        if value.arrays[0].size != 1:
            raise self.refusal(f"has {value.arrays[0].size} numbers {name} instead of one")
        return value.arrays[0].reshape(()).item()

    def arguments(self) -> list[Arguments]:
        """The inputs that are known, and the attributes, at each traced size."""
        for value in self.inputs[1:]:
            if isinstance(value, Known):
                self.tracer.arguments.update(value.parents)
        return [
            Arguments(
                self.node,
                [value.arrays[index] if isinstance(value, Known) else None for value in self.inputs],
                self.opset,
            )
            for index in range(len(self.tracer.images))
        ]

    def integers(self, index: int, name: str) -> list[int] | None:
        """A list of integers, an input or an attribute, that is the same at all sizes; None if it is neither.

        Raises:
            ConversionError: one that the network computes or that depends on the size of the image.
        """
        if self.has(index):
            self.weight(index, name)
        return self.arguments()[0].integers(index, name)

    # ------------------------------------------------------------------------------------------------------------ steps

    def emit(
        self, op: str, shapes: Sequence[Shape], kind: str = "f", base: Computed | None = None, **given: Any
    ) -> Computed:
        """A step of the program.

        Args:
            op: name of the operation, as ATen has it.
            shapes: shape of its result at each traced size.
            kind: kind of its numbers.
            base: what the result is another shape of.
            given: arguments of the step: values, numbers, or lists of those.
        """
        name = self.tracer.new_name(self.node.outputs[0] or self.node.type)
        given = {key: self._argument(value) for key, value in given.items()}
        line = f"node {self.node.name or self.node.outputs[0]}, {self.node.type}"
        self.tracer.steps.append(GraphStep(name, op, given, self.module, line))
        self.tracer.shapes[name] = tuple(shapes)
        return Computed(name, tuple(shapes), kind, base)

    def step(self, op: str, x: Computed, **given: Any) -> Computed:
        """A step of one tensor that keeps its shape."""
        return self.emit(op, x.shapes, x.kind, input=x, **given)

    def made(self, array: np.ndarray, suffix: str, parents: Sequence[str] = ()) -> Known:
        """Constants that a rule computes."""
        name = self.tracer.new_name(f"{self.node.outputs[0]}.{suffix}")
        self.tracer._names.discard(name)
        return Known(name, (array,) * len(self.tracer.images), tuple(parents))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Computed):
            return Ref(value.name)
        if isinstance(value, Known):
            reference: Ref = self.tracer.reference(value, self.module)
            return reference
        if isinstance(value, list):
            return [self._argument(part) for part in value]
        return value

    # ----------------------------------------------------------------------------------------------------------- errors

    def refusal(self, why: str) -> ConversionError:
        """The error for a node that cannot be built."""
        return ConversionError(f"{self._where()} {why}. Received: {self._received()}"[:700])

    def mismatch(self, why: str) -> OtherSize:
        """The error for a node that does not take the traced sizes."""
        return OtherSize(f"{self._where()} does not fit its inputs: {why}. Received: {self._received()}"[:700])

    def literal(self, why: str) -> None:
        """Notes that a node was exported for one size of the image.

        Raises:
            OtherSize: in a trace at other sizes.
        """
        if self.tracer.literals is not None:
            raise OtherSize(f"{self._where()} {why}: the file was exported for one size of the image")

    def _where(self) -> str:
        node = self.node
        domain = f"{node.domain}." if node.domain else ""
        module = f" of the module {self.module}" if self.module else ""
        return f"the node {node.name or (node.outputs or [''])[0]!r}, {domain}{node.type}{module},"

    def _received(self) -> str:
        parts = [
            "nothing" if value is None else "x".join(map(str, value.shapes[0])) or "a number" for value in self.inputs
        ]
        return ", ".join(parts) or "no inputs"
