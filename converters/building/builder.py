"""Builds a Keras model from a program, step by step."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.graph import GraphStep, ProgramGraph, Ref, SizedFloat, Sizes
from converters.building.laid import Laid, usual_axes
from converters.building.step_layers import StepLayers
from converters.errors import ConversionError
from converters.names.layouts import Layout, parse
from converters.types import Shape
from tfseg.layers import Metadata
from tfseg.layers.weight_tensor import WeightTensor

Handler = Callable[..., Any]


_RANDOM = frozenset("rand randn randint randperm rand_like randn_like randint_like normal bernoulli dropout".split())
_IMAGE_RANK = 4
# These make a tensor of none, in a size that the image may say.
_MAKERS = frozenset(("zeros", "ones", "full", "arange", "linspace", "numbers", "scalar_tensor"))
_MERGING = frozenset(("reshape", "view", "flatten", "_unsafe_view"))


class Weight(NamedTuple):
    """Where a variable of a layer comes from.

    Attributes:
        argument: argument of the step that is the tensor; or the name of the tensor.
        layout: how its axes become those of the variable, as `converters.names.layouts` writes it.
    """

    argument: str
    layout: str


class Origin(NamedTuple):
    """A variable of the model that a tensor of the program fills."""

    layer: keras.Layer
    variable: str
    tensor: str
    layout: Layout


class RefusedStep(ConversionError):
    """A step that has no exact counterpart."""


class UnknownStep(RefusedStep):
    """A step that has none at any size of the image."""


class Builder:
    """The model under construction.

    Attributes:
        graph: program to build.
        step: the step at hand.
        layers: name of a layer -> the steps that it computes.
        folded: names of the steps that were computed beforehand, from parameters alone.
        parents: name of such a step -> the tensors of the file that it depends on.
        tensors: name -> tensor of the file, or result of such a step.
        origins: variables of the model, and the tensors that fill them.
        users: name of a result -> the steps that read it.
        calls: which layers and operations compute each step.
    """

    def __init__(self, graph: ProgramGraph, handlers: Mapping[str, Handler]) -> None:
        self.graph = graph
        self.handlers = handlers
        self.values: dict[str, Any] = {}
        self.step: GraphStep = GraphStep("", "", {}, "")
        self.folded: list[str] = []
        self.layers: dict[str, list[GraphStep]] = {}
        self._names = {"metadata"}
        self._shared: dict[tuple[Any, ...], keras.Layer] = {}
        self.origins: list[Origin] = []
        self.tensors: dict[str, np.ndarray] = dict(graph.tensors)
        self.parents: dict[str, list[str]] = {}
        self.users: dict[str, list[GraphStep]] = {}
        self.calls = StepLayers()
        for step in graph.steps:
            for leaf in _leaves(list(step.arguments.values())):
                if isinstance(leaf, Ref):
                    self.users.setdefault(leaf.name, []).append(step)
        for leaf in _leaves(graph.outputs):
            if isinstance(leaf, Ref):
                self.users.setdefault(leaf.name, []).append(GraphStep("output", "output", {}, ""))

    # ------------------------------------------------------------------------------------------------------- results

    def build(
        self, size: tuple[int, int] | None, batch: int | None = None, names: Sequence[str] | None = None
    ) -> keras.Model:
        """The model.

        Args:
            size: height and width of the image; None: any.
            batch: number of images; None: any.
            names: names of the model's inputs; by default those of the program.
        """
        inputs = self._inputs(size, batch, names)
        for step in self.graph.steps:
            self.step = step
            value = self._run(step)
            self.values[step.name] = value
            self.calls.claim(step.name, [leaf.tensor for leaf in _leaves(value) if isinstance(leaf, Laid)])
            if isinstance(value, np.ndarray):
                self.tensors[step.name] = value
                self.parents.setdefault(step.name, [])  # made of sizes alone
        outputs, name = self._outputs(self.graph.outputs), _name(self.graph.name) or "network"
        try:
            model = keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=name)
        except RecursionError as error:
            raise ConversionError(
                f"{len(self.graph.steps)} operations: Keras follows those in a row recursively, at most "
                f"{sys.getrecursionlimit()} of them. Call sys.setrecursionlimit(...) with a higher number first."
            ) from error
        used = {operation.name for operation in model.operations}  # no one reads the results of some steps
        self.layers = {name: steps for name, steps in self.layers.items() if name in used}
        self.origins = [origin for origin in self.origins if origin.layer.name in used]
        for layer, variable, tensor, layout in self.origins:
            _variable(layer, variable).assign(layout.apply(self.tensors[tensor]))
        return model

    def _inputs(self, size: tuple[int, int] | None, batch: int | None, names: Sequence[str] | None) -> list[Any]:
        """The inputs of the model. The image comes first among the values, and carries the metadata."""
        given = dict(zip(self.graph.inputs, names or ["image", *self.graph.inputs[1:]], strict=True))
        inputs, laid = {}, {}
        for name, label in given.items():
            shapes = self.graph.shapes[name]
            axes = usual_axes(len(shapes[0]))
            sides = [shapes[0][axis] if len({shape[axis] for shape in shapes}) == 1 else None for axis in axes[1:]]
            if len(given) == 1:
                sides[:2] = size or (None, None)
            inputs[name] = keras.Input(sides, batch_size=batch, name=self._new_name(_name(label)))
            laid[name] = Laid(inputs[name], axes, shapes)

        def order(name: str) -> tuple[bool, bool, bool]:
            value = laid[name]
            return name not in self.users, value.rank != _IMAGE_RANK, len(set(value.sizes(-1))) == 1

        for name in sorted(laid, key=order):
            value = laid[name]
            tensor = value.tensor if self.values else Metadata(name="metadata", batch=batch)(value.tensor)
            self.values[name] = dataclasses.replace(value, tensor=tensor)
            self.calls.claim(name, [tensor])
        return list(inputs.values())

    def _run(self, step: GraphStep) -> Any:
        arguments = {name: self.value(argument) for name, argument in step.arguments.items()}
        if "self" in arguments:  # in ATen's words, the first argument is called either
            arguments["input"] = arguments.pop("self")
        if not any(isinstance(leaf, Laid) for leaf in _leaves(arguments)):
            return self._fold(step, arguments)
        handler = self.handlers.get(step.op)
        if handler is None:
            raise UnknownStep(str(self.refusal("has no counterpart in Keras that is exact")))
        if isinstance(arguments.get("dim"), Sizes):
            raise self.refusal("works along another axis at other sizes of the image")
        try:
            return handler(self, **arguments)
        except ConversionError:
            raise
        except Exception as error:  # Keras's, on what a rule did not foresee
            raise self.refusal(f"is not understood: {str(error).strip()[:200]}") from error

    def _fold(self, step: GraphStep, arguments: Mapping[str, Any]) -> Any:
        """A step on parameters alone: it is computed beforehand."""
        shapes = self.graph.shapes.get(step.name)
        refs = [leaf.name for leaf in _leaves(list(step.arguments.values())) if isinstance(leaf, Ref)]
        parents = [parent for name in refs for parent in self.parents.get(name, [name])]
        self.parents[step.name] = list(dict.fromkeys(parents))
        if step.op == "getitem":
            return arguments["input"][arguments["index"]]
        if step.op in ("expand", "expand_as") and shapes and isinstance(arguments["input"], np.ndarray):
            value = arguments["input"]
            alike = len({shape[1:] for shape in shapes}) == 1
            if value.ndim == len(shapes[0]) and value.shape[0] == 1 and alike and not self._merges_batch(step):
                if value.shape[1:] == shapes[0][1:]:
                    return value  # one for the whole batch: it broadcasts
                return np.broadcast_to(value, (1, *shapes[0][1:]))
        if shapes and all(0 in shape for shape in shapes):
            return np.zeros(shapes[0], "float32")  # nothing: a concatenation leaves it out
        if step.op.endswith("dropout") and arguments.get("train") is False:
            return arguments["input"]
        if step.op in _RANDOM:
            raise self.refusal("draws random numbers")
        sized = any(isinstance(leaf, Sizes | SizedFloat) for leaf in _leaves(arguments))
        fixed = (shapes is None or len(set(shapes)) == 1) and not sized
        if not fixed and step.op in _MAKERS:
            return self.handlers[step.op](self, **arguments)
        if step.compute is None or not fixed:
            return self._fold_at_run_time(step, arguments)
        if "input" in arguments and "self" in step.arguments:
            arguments = {"self" if key == "input" else key: value for key, value in arguments.items()}
        self.folded.append(step.name)
        return step.compute(arguments)

    def _merges_batch(self, step: GraphStep) -> bool:
        """Whether a step that reads the result merges its first axis with others: then each image needs its own."""
        first = [shape[:1] for shape in self.graph.shapes[step.name]]
        readers = (
            self.graph.shapes.get(user.name, ()) for user in self.users.get(step.name, ()) if user.op in _MERGING
        )
        return any(shapes and [shape[:1] for shape in shapes] != first for shapes in readers)

    def _fold_at_run_time(self, step: GraphStep, arguments: Mapping[str, Any]) -> Any:
        """A step on parameters whose result depends on the image's size: they become tensors of the model."""
        handler = self.handlers.get(step.op)
        lifted = {
            name: self.lifted(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
            for name, value in arguments.items()
        }
        if handler is None or not any(isinstance(value, Laid | Sizes | SizedFloat) for value in lifted.values()):
            raise self.refusal("makes a tensor that depends on the size of the image or of the batch")
        self.parents.pop(step.name)
        return handler(self, **lifted)

    def lifted(self, value: np.ndarray) -> Laid:
        """A tensor of the file, which is an argument of the step, as a tensor of the model."""
        references = [leaf for leaf in _leaves(list(self.step.arguments.values())) if isinstance(leaf, Ref)]
        name = next(reference.name for reference in references if self.value(reference) is value)
        letters = " ".join(f"a{axis}" if size > 1 else "1" for axis, size in enumerate(value.shape))
        image = next(value for value in self.values.values() if isinstance(value, Laid))
        weights = {"weight": Weight(name, f"{letters} -> {letters}")}
        tensor = self.layer(WeightTensor, image.tensor, weights, suffix="tensor", shape=value.shape)
        return Laid(tensor, tuple(range(value.ndim)), (value.shape,) * len(image.shapes))

    def refusal(self, why: str) -> RefusedStep:
        """The error for a step that cannot be built."""
        step = self.step
        where = f" of the module {step.module}" if step.module else ""
        line = f" ({step.line})" if step.line else ""
        return RefusedStep(
            f"{self.graph.name} cannot be built: the step {step.op}{where} {why}{line}. Received: "
            f"{', '.join(f'{name}={_words(value)}' for name, value in step.arguments.items())}"[:600]
        )

    def _outputs(self, structure: Any) -> Any:
        if isinstance(structure, Ref):
            value = self.values.get(structure.name)
            if not isinstance(value, Laid):
                name = self.graph.keys.get(structure.name, structure.name)
                raise ConversionError(
                    f"{self.graph.name} returns a constant, {name}: it does not depend on the image. Put a module "
                    "around it that returns the other results."
                )
            return value.arranged(usual_axes(value.rank)).tensor
        if isinstance(structure, Mapping):
            return {key: self._outputs(value) for key, value in structure.items()}
        if isinstance(structure, list):
            outputs = [self._outputs(value) for value in structure]
            return outputs[0] if len(outputs) == 1 else outputs
        raise ConversionError(f"{self.graph.name} returns {type(structure).__name__} instead of tensors.")

    # ------------------------------------------------------------------------------------------------------ arguments

    def value(self, argument: Any) -> Any:
        """What a step gets for an argument: `Laid`, an array, a number, or a list of those."""
        if isinstance(argument, Ref):
            return self.values[argument.name] if argument.name in self.values else self.graph.tensors[argument.name]
        if isinstance(argument, list):
            return [self.value(part) for part in argument]
        return argument

    def shapes(self) -> tuple[Shape, ...]:
        """The shape of the step's result at each traced size."""
        return self.graph.shapes[self.step.name]

    def laid(self, tensor: keras.KerasTensor, axes: Sequence[int] | None = None, mixed: Shape = ()) -> Laid:
        """The step's result."""
        shapes = self.shapes()
        return Laid(tensor, tuple(axes) if axes is not None else usual_axes(len(shapes[0])), shapes, mixed)

    # --------------------------------------------------------------------------------------------------------- layers

    def name(self, suffix: str = "") -> str:
        """A new name for a layer: that of the step's module."""
        base = _name(self.step.module) or f"step_{_name(self.step.op)}"
        return self._new_name(f"{base}_{suffix}" if suffix else base)

    def _new_name(self, base: str) -> str:
        name, number = base, 0
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name

    def layer(
        self,
        make: Callable[..., keras.Layer],
        inputs: Any,
        weights: Mapping[str, Weight] | None = None,
        *,
        suffix: str = "",
        **config: Any,
    ) -> Any:
        """Calls a layer on tensors; its variables get the weights, by name.

        A module with weights that runs twice is one layer that is called twice.
        """
        tensors = {variable: self._tensor(weight.argument) for variable, weight in (weights or {}).items()}
        identity = (
            make,
            *(weights or {}).items(),
            *tensors.items(),
            tuple(sorted((key, str(value)) for key, value in config.items())),
        )
        if tensors and identity in self._shared:
            return self._shared[identity](inputs)
        layer = make(name=self.name(suffix), **config)
        if tensors and make is not keras.layers.BatchNormalization and not any(map(self.is_trained, tensors.values())):
            layer.trainable = False
        result = layer(inputs)
        for variable, tensor in tensors.items():
            self.origins.append(Origin(layer, variable, tensor, parse((weights or {})[variable].layout)))
        self._shared[identity] = layer
        self.layers.setdefault(layer.name, []).append(self.step)
        return result

    def is_trained(self, tensor: str) -> bool:
        """Whether a tensor is a parameter of the source or computed from one, and no buffer."""
        return any(parent in self.graph.parameters for parent in self.parents.get(tensor, [tensor]))

    def _tensor(self, argument: str) -> str:
        """The name of the tensor that an argument of the step is."""
        if argument in self.tensors:
            return argument
        reference = self.step.arguments[argument]
        if not isinstance(reference, Ref) or reference.name not in self.tensors:
            raise self.refusal(f"has a {argument} that the network computes")
        return reference.name


def _name(text: str) -> str:
    return text.replace(".", "_").replace("/", "_")


def _variable(layer: keras.Layer, name: str) -> keras.Variable:
    return next(variable for variable in layer.weights if variable.name == name)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple) and not isinstance(value, Sizes | SizedFloat):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def _words(value: Any) -> str:
    if isinstance(value, Ref):
        return value.name
    if isinstance(value, Sizes | SizedFloat):
        return "/".join(f"{number:.9g}" for number in value.values)
    return str(value)[:60]
