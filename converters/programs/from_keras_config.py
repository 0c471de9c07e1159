"""The steps of a network that the configuration in a Keras file describes. No layer of it is built."""

from collections.abc import Callable
from typing import Any, NamedTuple

from converters.identification.keras_kernels import channels_before_dense
from converters.programs.keras_layers import AUGMENTATIONS, other_layer, read_layer
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading.keras.configuration import LayerCall, LayerGraph, Result

_FIRST, _LAST = "channels_first", "channels_last"
_TENSORFLOW_PADDING = {None, "tensorflow", "jax", "torch", "numpy", "openvino"}  # how they place "same" under a stride
_NAMES_AXIS = {"BatchNormalization", "Concatenate", "Softmax"}
_VECTOR = {"Dense", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}  # layers that leave one vector of each image
_KEEPS_ORDER = {"Dropout", "Activation", "ReLU", "LeakyReLU", "Identity"}


class _Map(NamedTuple):
    """A step, and what is known of its array: whether it is a vector, and in which order that was flattened."""

    step: ProgramStep
    is_vector: bool = False
    order: str = ""


def describe(
    graph: LayerGraph, key: Callable[[LayerCall], str], factory: StepFactory, *, backend: str | None = None
) -> list[ProgramStep]:
    """The steps of a model's results.

    Args:
        graph: calls of the model's layers.
        key: function that gives the Keras layer that has a call's weights; "" for none.
        factory: factory for the size of image at which programs are compared.
        backend: backend that the file states.
    """
    return [value.step for value in _ConfigReader(graph, key, factory, backend).read()]


class _ConfigReader:
    def __init__(
        self, graph: LayerGraph, key: Callable[[LayerCall], str], factory: StepFactory, backend: str | None
    ) -> None:
        self.graph, self.key, self.factory, self.backend = graph, key, factory, backend
        self.channels_first = graph.data_format == _FIRST
        self.reordered = channels_before_dense(graph)
        self.maps: list[_Map] = []

    def read(self) -> list[_Map]:
        """The model's results."""
        for number, (name, shape) in enumerate(zip(self.graph.names, self.graph.shapes, strict=True)):
            if number:
                self.maps.append(_Map(self.factory.step(f"the input {name}", (), name)))
                continue
            channels = shape[1 if self.channels_first else 3] if shape is not None and len(shape) == 4 else None
            self.maps.append(_Map(self.factory.image(name, channels)))
        for call in self.graph.calls:
            inputs = [self.result(source) for source in call.inputs]
            self.maps.append(self.layer(call, inputs))
        return [self.result(output) for output in self.graph.outputs]

    def result(self, source: Result) -> _Map:
        """What a call made."""
        made = self.maps[source.number]
        if not source.which:
            return made
        return _Map(self.factory.step(f"result {source.which}", [made.step], made.step.name))

    def layer(self, call: LayerCall, inputs: list[_Map]) -> _Map:
        """The step of one call."""
        steps, kind = [value.step for value in inputs], call.kind
        vectors = bool(inputs) and all(value.is_vector for value in inputs)
        order = next((value.order for value in inputs if value.order), "")
        key = self.key(call)
        if kind == "Flatten" and len(inputs) == 1 and not call.arguments:
            return self.flatten(call, inputs[0])
        options, strange = self.in_order(call, vectors), dict(call.arguments)
        if kind in AUGMENTATIONS:  # a recorded training=True gives way to what the model is called with
            strange.pop("training", None)
        if kind == "Dense":
            if not vectors and steps and steps[0].size != (1, 1):
                strange["reads"] = "every pixel"
            if order and call.name not in self.reordered:
                strange["rows"] = order
            order = ""
        elif order and kind not in _KEEPS_ORDER:
            strange["order of the rows"] = order
        if options.get("padding") == "same" and self.backend not in _TENSORFLOW_PADDING:
            strides = options.get("strides") or options.get("pool_size") or 1
            if strides not in (1, [1, 1]):
                strange["padding"] = f"same, of {self.backend}"
        if strange:
            step = other_layer(self.factory, f"{kind} of the file", {**options, **strange}, steps, call.name, key)
        else:
            step = read_layer(self.factory, kind, options, steps, call.name, key)
        whole = kind in _VECTOR and not options.get("keepdims") and (vectors or kind != "Dense")
        return _Map(step, whole or (vectors and kind != "Reshape"), order)

    def flatten(self, call: LayerCall, value: _Map) -> _Map:
        """A vector of the map; in which order its numbers stand counts if there are several pixels."""
        if value.is_vector or value.step.size == (1, 1):
            return _Map(value.step, True, value.order)
        stated_first = call.options.get("data_format") == _FIRST
        if self.channels_first == stated_first:  # Keras puts the channels last, or they are there
            return _Map(value.step, True)
        return _Map(value.step, True, "channels, rows, columns" if self.channels_first else "columns, channels, rows")

    def in_order(self, call: LayerCall, vectors: bool) -> dict[str, Any]:
        """The options of a layer as they would be in a channels-last network."""
        options = dict(call.options)
        stated = options.pop("data_format", None)
        if stated not in (None, self.graph.data_format) and not (vectors or call.kind == "Flatten"):
            options["data_format of the file"] = stated
        if call.kind in _NAMES_AXIS:
            axis = options.pop("axis", -1)
            axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
            channels = {1, -1} if vectors else ({1, -3} if self.channels_first else {3, -1})
            if axis not in channels:
                options["axis"] = axis if axis not in (-1, 3) else f"{axis} of channels-first maps"
        if call.kind == "Merge":
            options["kind"] = "Merge"
        return options
