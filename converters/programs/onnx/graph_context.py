"""What the rules know of the graph around a node."""

import itertools
from collections.abc import Callable

from converters.identification.onnx_names import NamedGraph, NamedLayer
from converters.programs.onnx.maps import IMAGE_AXES, Map
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading.onnx.model_file import OnnxNode


class GraphContext:
    """The graph, its layers, and how its steps are made.

    Args:
        named: graph, whose layers have the keys of a network's tensors.
        layer_of: function that returns the Keras layer of a tensor's key, or None.
        factory: factory for the size of image at which programs are compared.
        batch: images in a batch.
    Attributes:
        opset: version of ONNX's operators.
        layers: output -> layer with weights.
        counter: numbers for steps that equal no other.
        training: whether the network was exported for training: it normalizes with the statistics of the batch,
            everywhere.
    """

    def __init__(
        self, named: NamedGraph, layer_of: Callable[[str], str | None], factory: StepFactory, batch: int
    ) -> None:
        self.opset, self.layers, self._prefix = named.graph.opset, named.layers, named.prefix
        self._layer_of, self.factory, self.batch = layer_of, factory, batch
        self.counter = itertools.count()
        norms = [node for node in named.graph.nodes if node.type == "BatchNormalization"]
        self.training = bool(norms) and all(node.attributes.get("training_mode", 0) for node in norms)

    def name(self, node: OnnxNode) -> str:
        """What messages call a node."""
        layer = self.layers.get(node.outputs[0]) if node.outputs else None
        return layer.key.rpartition(".")[0] if layer else node.name or (node.outputs[0] if node.outputs else node.type)

    def layer(self, node: OnnxNode, weight: str) -> tuple[NamedLayer, str]:
        """The layer that a node with weights is, and the name of the Keras layer."""
        layer = self.layers.get(node.outputs[0])
        if layer is None:
            layer = NamedLayer(weight.removeprefix(self._prefix), (), len(node.inputs) > 2, node.outputs[0])
        return layer, self._layer_of(layer.key) or f"?{layer.key}"

    def map(self, step: ProgramStep, channels: int) -> Map:
        """The map of a step that made an image's map."""
        return Map(step, (self.batch, channels, *step.size), IMAGE_AXES)
