"""The steps of an ONNX graph.

A graph has channels before rows and columns; a step has rows and columns. What the graph computes with sizes is
computed here, at one size of the image. An operation without a rule is a step of its own, which equals no other.
"""

from collections.abc import Callable, Sequence

import numpy as np

from converters.errors import ConversionError
from converters.identification.onnx_names import NamedGraph
from converters.programs.onnx.constants import NoConstant, fold, small
from converters.programs.onnx.graph_context import GraphContext
from converters.programs.onnx.maps import Map, Value, Weights, check_size, image_axes
from converters.programs.onnx.rules import RULES
from converters.programs.onnx.words import OTHERS
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading.onnx.model_file import OnnxNode
from converters.reading.tensors import Tensor


def describe(
    named: NamedGraph, layer_of: Callable[[str], str | None], factory: StepFactory, *, batch: int = 1
) -> list[ProgramStep]:
    """The steps of the graph's outputs, in their order.

    Args:
        named: graph, whose layers have the keys of a network's tensors.
        layer_of: function that returns the Keras layer of a tensor's key, or None.
        factory: factory for the size of image at which programs are compared.
        batch: images in a batch.
    Raises:
        ConversionError: a value that no node makes.
        ImpossibleSize: the graph takes no image of this size.
    """
    return _GraphReader(named, GraphContext(named, layer_of, factory, batch)).read()


class _GraphReader:
    def __init__(self, named: NamedGraph, context: GraphContext) -> None:
        self.graph, self.context, self.factory = named.graph, context, context.factory
        self.values: dict[str, Value] = {}

    def read(self) -> list[ProgramStep]:
        """The steps of the outputs."""
        for index, (name, shape) in enumerate(self.graph.inputs.items()):
            self.values[name] = self.input(name, shape, image=index == 0)
        for node in self.graph.nodes:
            self.values.update(zip(node.outputs, self.run(node), strict=False))
        results = [self.values.get(name) for name in self.graph.outputs]
        return [result.step for result in results if isinstance(result, Map)]

    def input(self, name: str, shape: tuple[int | None, ...] | None, *, image: bool) -> Map:
        """The map for what the caller gives: the image first."""
        if not image:
            return Map(self.factory.step(f"the input {name}", (), name), None, "")
        rows, columns = self.factory.image_size
        axes = image_axes(shape)
        stated = shape[axes.index("c")] if shape and axes else None
        step = self.factory.image(name, stated)
        sizes = {"n": self.context.batch, "c": stated or self.factory.channels, "h": rows, "w": columns}
        return Map(step, tuple(sizes[axis] for axis in axes) if axes else None, axes)

    def value(self, name: str) -> Value | None:
        """What a name stands for; None for an input that is left out."""
        if not name:
            return None
        if name not in self.values:
            tensor = self.graph.tensors.get(name)
            if tensor is None:
                raise ConversionError(f"the graph reads {name!r}, which none of its nodes makes; the file is damaged.")
            array = small(tensor)
            self.values[name] = Weights(name, tensor if isinstance(tensor, Tensor) else None)
            if array is not None:
                self.values[name] = array
        return self.values[name]

    def run(self, node: OnnxNode) -> list[Value]:
        """The results of a node."""
        inputs = [self.value(name) for name in node.inputs]
        maps = [value for value in inputs if isinstance(value, Map)]
        if not maps:
            return self.constant(node, inputs)
        if node.type == "Shape":
            return self.shape(node, inputs)
        rule = RULES.get(node.type) if node.domain in ("", "ai.onnx") else None
        if rule is not None:
            try:
                result = rule(self.context, node, inputs)
            # The graph is anybody's: what is not as its operator wants it equals no step of a network.
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                result = None
            if result is not None:
                check_size(result.step.size)
                return [result, *(self.other(node, maps, index) for index in range(1, len(node.outputs)))]
        return [self.other(node, maps, index) for index in range(len(node.outputs))]

    def constant(self, node: OnnxNode, inputs: Sequence[Value | None]) -> list[Value]:
        """The results of a node that reads no map."""
        arrays = [value for value in inputs if value is None or isinstance(value, np.ndarray)]
        if len(arrays) == len(inputs):
            try:
                return [fold(node, arrays, self.graph.opset)]
            except NoConstant:
                pass
        tensor = node.attributes.get("value")
        return [Weights(name, tensor if isinstance(tensor, Tensor) else None) for name in node.outputs]

    def shape(self, node: OnnxNode, inputs: Sequence[Value | None]) -> list[Value]:
        """The sizes of a map."""
        x = inputs[0]
        if not isinstance(x, Map) or x.shape is None:
            maps = [value for value in inputs if isinstance(value, Map)]
            return [self.other(node, maps, 0)]
        first, last = node.attributes.get("start", 0), node.attributes.get("end")
        if not isinstance(first, int) or not isinstance(last, int | None):
            return [self.other(node, [x], 0)]
        return [np.array(x.shape[first:last], "i8")]

    def other(self, node: OnnxNode, maps: Sequence[Map], index: int) -> Map:
        """A step that equals no other: an operation that no network here has."""
        step = self.factory.step(
            OTHERS.get(node.type, node.type),
            [value.step for value in maps],
            self.context.name(node),
            nonnegative=False,
            number=next(self.context.counter),
        )
        return Map(step, None, "")
