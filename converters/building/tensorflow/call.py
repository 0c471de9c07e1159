"""A node of a TensorFlow graph with its inputs, while its rule runs."""

from collections.abc import Callable, Sequence
from typing import Any

from converters.building.onnx.call import Call
from converters.building.onnx.tracing import Tracer
from converters.building.onnx.values import Computed
from converters.building.tensorflow.graph_nodes import plain
from converters.building.tensorflow.names import module_of
from converters.building.tensorflow.values import CHANNELS_LAST, Ordered, inverse
from converters.reading.onnx.model_file import OnnxNode
from converters.types import Shape

Rule = Callable[["GraphCall"], Any]
"""Takes a node and gives its result, or a list of its results."""


class GraphCall(Call):
    """A node with its inputs, while its rule runs.

    Attributes:
        dilated: the block and the padding of a convolution whose map SpaceToBatchND cut.
    """

    inputs: list[Any]

    def __init__(self, tracer: Tracer, node: OnnxNode, inputs: list[Any]) -> None:
        super().__init__(tracer, node, inputs)
        self.module = module_of(node)
        self.dilated: Any = None

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute in plain words, or the default where it is not given."""
        value: Any = self.node.attributes.get(name)
        return default if value is None else plain(value)

    def computed(self, index: int = 0) -> Ordered:
        """An input that depends on the image.

        Raises:
            ConversionError: a constant, or no such input.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, Ordered):
            raise self.refusal(f"has a constant as input {index}")
        return value

    def map(self, index: int = 0) -> Ordered:
        """A map of four axes, for a step that has the channels first.

        Raises:
            ConversionError: no map.
        """
        x = self.computed(index)
        if x.rank != 4:
            raise self.refusal(f"reads a tensor of {x.rank} axes, where a map of four is expected")
        return self.ordered(x, CHANNELS_LAST if self.is_channels_last else (0, 1, 2, 3))

    @property
    def is_channels_last(self) -> bool:
        """Whether the node's maps have their channels last."""
        return str(self.attribute("data_format", "NHWC")) == "NHWC"

    @property
    def map_order(self) -> tuple[int, ...]:
        """The order of axes of the node's maps."""
        return CHANNELS_LAST if self.is_channels_last else ()

    def ordered(self, x: Ordered, order: Sequence[int]) -> Ordered:
        """The tensor with its step's axes such that `order` holds for it.

        Args:
            x: tensor.
            order: the axis of the step that each of TensorFlow's axes is to be.
        """
        if x.axes == tuple(order):
            return x
        dims = [x.axes[place] for place in inverse(order)]
        shapes = [tuple(shape[axis] for axis in dims) for shape in x.shapes]
        return self.make("permute", shapes, x.kind, order=tuple(order), input=x, dims=dims)

    def plain(self, x: Ordered) -> Ordered:
        """The tensor with its step's axes in TensorFlow's order."""
        return self.ordered(x, range(x.rank))

    def numbers(self, index: int, what: str) -> list[list[int]]:
        """An input that is a list of integers, at each traced size.

        Raises:
            ConversionError: one that the network computes.
        """
        value = self.known(index, what)
        self.tracer.arguments.update(value.parents)
        return [[int(number) for number in array.reshape(-1)] for array in value.arrays]

    def fixed_numbers(self, index: int, what: str) -> list[int]:
        """An input that is a list of integers, the same at all sizes.

        Raises:
            ConversionError: one that the network computes, or that depends on the size of the image.
        """
        self.weight(index, what)
        return self.numbers(index, what)[0]

    def make(
        self,
        op: str,
        shapes: Sequence[Shape],
        kind: str = "f",
        *,
        order: Sequence[int] = (),
        base: Computed | None = None,
        **given: Any,
    ) -> Ordered:
        """A step of the program.

        Args:
            op: name of the operation, as ATen has it.
            shapes: shape of the step's result at each traced size.
            kind: kind of its numbers.
            order: the axis of the step's result that each of TensorFlow's axes is.
            base: what the result is another shape of.
            given: arguments of the step: values, numbers, or lists of those.
        """
        result = self.emit(op, shapes, kind, base, **given)
        order = tuple(order)
        return Ordered(result.name, result.shapes, kind, base, () if order == tuple(range(len(order))) else order)

    def alike(self, op: str, x: Ordered, **given: Any) -> Ordered:
        """A step of one tensor that keeps its shape and its order."""
        return self.make(op, x.shapes, x.kind, order=x.order, input=x, **given)

    def where(self) -> str:
        """Words for the node, in messages."""
        return self._where()

    def _received(self) -> str:
        parts = []
        for value in self.inputs:
            shapes = value.seen if isinstance(value, Ordered) else getattr(value, "shapes", ())
            parts.append(("x".join(map(str, shapes[0])) or "a number") if shapes else type(value).__name__.lower())
        return ", ".join(parts) or "no inputs"

    def _where(self) -> str:
        return f"the node {self.node.name!r}, {self.node.type},"
