"""A network of Caffe as a program in the builder's vocabulary, traced at several sizes of the image.

Each layer becomes one or more steps by its rule. A rule computes the shape of its result at each traced size, as
Caffe's layers do it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.caffe.parameters import PARAMETERS, parameter_message, read_parameters
from converters.building.caffe.weights import Weights
from converters.building.caffe.wiring import Node, Wiring
from converters.building.graph import GraphStep, ProgramGraph, Ref
from converters.building.onnx.values import PLACES, Computed, OtherSize
from converters.errors import ConversionError
from converters.reading.caffe.message_fields import messages, pixel_pair, single
from converters.reading.protobuf.text_format import Message
from converters.types import Shape

Rule = Callable[["Call"], Any]
"""Takes a layer and gives its result, or a list of its results."""


class Tracer:
    """One trace of a network.

    Attributes:
        wiring: network.
        weights: weights of its layers.
        values: name -> value.
        steps: steps so far.
        shapes: name of a result -> its shape at each traced size.
    """

    def __init__(
        self,
        wiring: Wiring,
        weights: Weights,
        rules: Mapping[str, Rule],
        images: Mapping[str, Sequence[Shape]],
        stated_batch: int | None,
    ) -> None:
        self.wiring, self.weights, self.rules = wiring, weights, rules
        self.images = {name: tuple(shapes) for name, shapes in images.items()}
        self.stated_batch = stated_batch
        self.values: dict[str, Computed] = {}
        self.steps: list[GraphStep] = []
        self.shapes: dict[str, tuple[Shape, ...]] = {}
        self.keys: set[str] = set()
        self._names: set[str] = set()

    def run(self) -> None:
        """Traces all layers."""
        for name, shapes in self.images.items():
            self.values[name] = Computed(name, shapes)
            self.shapes[name] = shapes
            self._names.add(name)
        for node in self.wiring.nodes:
            call = Call(self, node)
            for name, value in zip(node.outputs, self._results(call), strict=False):
                self.values[name] = value

    def _results(self, call: "Call") -> list[Computed]:
        rule = self.rules.get(call.layer.type)
        if rule is None or call.layer.type not in PARAMETERS:
            raise call.refusal(f"is of a type that has no counterpart in Keras that is exact{_code(call.layer.fields)}")
        try:
            call.parameters = read_parameters(call.layer.fields, call.layer.type)
        except ConversionError as error:
            raise call.refusal(str(error).rstrip(".")) from error
        if call.layer.type != "Upsample" and any(value.kind == PLACES for value in call.inputs):
            raise call.refusal("computes with the places of maxima")
        try:
            result = rule(call)
        except ConversionError:
            raise
        # The prototxt is anybody's: what is not as its layer wants it is refused by the layer.
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise call.mismatch(str(error)) from error
        return result if isinstance(result, list) else [result]

    def results(self) -> list[Computed]:
        """The results of the network, without places of maxima that nothing reads.

        Raises:
            ConversionError: there is no other result.
        """
        values = [self.values[output] for output in self.wiring.outputs]
        results = [value for value in values if value.kind != PLACES]
        if not results:
            raise ConversionError("has the places of maxima as its only result.")
        return results

    def program(self, name: str) -> ProgramGraph:
        """The program of what was traced.

        Args:
            name: name of the network.
        """
        outputs = [Ref(value.name) for value in self.results()]
        steps = _live(self.steps, [ref.name for ref in outputs])
        used = {ref.name for step in steps for ref in _refs(list(step.arguments.values()))}
        keys = sorted(key for key in self.keys if key in used)
        return ProgramGraph(
            name,
            list(self.images),
            steps,
            outputs[0] if len(outputs) == 1 else outputs,
            {key: self.weights.read(key) for key in keys},
            {key: key for key in keys},
            self.shapes,
            frozenset(key for key in keys if not key.endswith((".mean", ".variance"))),
        )

    def new_name(self, base: str) -> str:
        """A name that no step and no tensor has.

        Args:
            base: name that it begins with.
        """
        name, number = base, 0
        while name in self._names or name in self.weights.tensors:
            number += 1
            name = f"{base}~{number}"
        self._names.add(name)
        return name


class Call:
    """A layer with its inputs, while its rule runs.

    Attributes:
        tracer: the trace.
        node: layer with its wires.
        layer: layer of the prototxt.
        inputs: values that it reads.
        parameters: its parameters, with Caffe's defaults.
    """

    def __init__(self, tracer: Tracer, node: Node) -> None:
        self.tracer, self.node, self.layer = tracer, node, node.layer
        self.inputs = [tracer.values[name] for name in node.inputs]
        self.parameters: dict[str, Any] = {}

    # ---------------------------------------------------------------------------------------------------- what it has

    def input(self, index: int = 0, *, count: int | None = 1, rank: int | None = None) -> Computed:
        """A value that the layer reads.

        Args:
            index: its place.
            count: number of values that such a layer reads; None: any.
            rank: number of its axes; None: any.
        Raises:
            ConversionError: another number of values, or axes.
        """
        if count is not None and len(self.inputs) != count:
            raise self.refusal(f"reads {len(self.inputs)} blobs, and {count} are expected")
        if index >= len(self.inputs):
            raise self.refusal(f"reads {len(self.inputs)} blobs, and more are expected")
        value = self.inputs[index]
        if rank is not None and value.rank != rank:
            raise self.refusal(f"reads a blob of {value.rank} axes, and {rank} are expected")
        return value

    def axis(self, x: Computed, number: int) -> int:
        """An axis that may count from the end.

        Args:
            x: value that has it.
            number: number of the axis.
        Raises:
            ConversionError: there is no such axis.
        """
        if not -x.rank <= number < x.rank:
            raise self.refusal(f"has the axis {number} of a blob with {x.rank} axes")
        return number % x.rank

    def states(self, name: str) -> bool:
        """Whether the file states a parameter.

        Args:
            name: name of the parameter.
        """
        return name in parameter_message(self.layer.fields, self.layer.type)

    def pixels(self, both: str, each: str, default: int) -> tuple[int, int]:
        """Rows and columns of a window, its stride, its padding or its dilation.

        Args:
            both: name of the parameter for both.
            each: how the names of those for each begin.
            default: where none is given.
        Raises:
            ConversionError: numbers for other axes than two, or for one of them.
        """
        message = parameter_message(self.layer.fields, self.layer.type)
        stated = [name for name in (f"{each}_h", f"{each}_w") if name in message]
        if stated and both in message:
            raise self.refusal(f"states both {both} and {stated[0]}")
        if len(stated) == 1 and (both != "pad" or self.layer.type == "Pooling"):
            raise self.refusal(f"states {stated[0]} alone, and Caffe wants {each}_h and {each}_w together")
        sizes = pixel_pair(message, both, (f"{each}_h", f"{each}_w"), default)
        if len(sizes) != 2:
            raise self.refusal(f"has {both} for {len(sizes)} axes, and two are expected")
        return sizes[0], sizes[1]

    def integer(self, name: str) -> int:
        """A parameter that the file states.

        Args:
            name: name of the parameter.
        Raises:
            ConversionError: no whole number.
        """
        return single(parameter_message(self.layer.fields, self.layer.type), name, 0)

    def weights(self, **shapes: Shape | None) -> dict[str, Any]:
        """The layer's weights, by their parts, checked against the shapes that they must have.

        Args:
            shapes: part -> shape; None for a part that the layer does not have.
        Raises:
            ConversionError: weights of other shapes, or others than the layer has.
        """
        parts = self.tracer.weights.parts(self.layer)
        wanted = {part: shape for part, shape in shapes.items() if shape is not None}
        if set(parts) != set(wanted):
            raise self.refusal(
                f"needs the weights {', '.join(wanted)}, and the file has {', '.join(parts) or 'none'} for it"
            )
        for part, shape in wanted.items():
            if tuple(parts[part].shape) != tuple(shape):
                raise self.refusal(
                    f"needs a {part} of the shape {list(shape)} by the prototxt, and the file has "
                    f"{list(parts[part].shape)}"
                )
        self.tracer.keys.update(parts[part].key for part in wanted)
        return {part: Ref(parts[part].key) if part in wanted else None for part in shapes}

    def shape_of(self, part: str) -> Shape | None:
        """The shape that a weight has in the file; None where the file lacks it.

        Args:
            part: part of the layer.
        """
        weight = self.tracer.weights.parts(self.layer).get(part)
        return None if weight is None else weight.shape

    def number(self, part: str) -> np.ndarray:
        """The numbers of a weight.

        Args:
            part: part of the layer.
        """
        return self.tracer.weights.read(self.tracer.weights.parts(self.layer)[part].key)

    # ----------------------------------------------------------------------------------------------------------- steps

    def emit(
        self, op: str, shapes: Sequence[Shape], kind: str = "f", base: Computed | None = None, **given: Any
    ) -> Computed:
        """A step of the program.

        Args:
            op: name of the operation, as ATen has it.
            shapes: shape of its result at each traced size.
            kind: kind of its numbers.
            base: for places, the map that was pooled.
            given: arguments of the step: values, numbers, or lists of those.
        Raises:
            OtherSize: a result without pixels.
        """
        if any(size < 1 for shape in shapes for size in shape):
            raise self.mismatch("it has no pixels left")
        name = self.tracer.new_name(self.node.outputs[0] if self.node.outputs else self.layer.name)
        arguments = {key: _argument(value) for key, value in given.items()}
        self.tracer.steps.append(GraphStep(name, op, arguments, clean(self.layer.name), self._where()))
        self.tracer.shapes[name] = tuple(map(tuple, shapes))
        return Computed(name, tuple(map(tuple, shapes)), kind, base)

    def step(self, op: str, x: Computed, **given: Any) -> Computed:
        """A step of one tensor that keeps its shape.

        Args:
            op: name of the operation.
            x: the tensor.
            given: further arguments.
        """
        return self.emit(op, x.shapes, input=x, **given)

    # ---------------------------------------------------------------------------------------------------------- errors

    def refusal(self, why: str) -> ConversionError:
        """The error for a layer that cannot be built.

        Args:
            why: what is wrong, as the rest of a sentence.
        """
        return ConversionError(f"the {self._where()}, {why}. Received: {self._received()}"[:700])

    def mismatch(self, why: str) -> OtherSize:
        """The error for a layer that does not take the traced sizes.

        Args:
            why: what is wrong.
        """
        return OtherSize(f"the {self._where()}, does not fit its inputs: {why}. Received: {self._received()}"[:700])

    def _where(self) -> str:
        line = f", line {self.layer.fields.line}" if self.layer.fields.line > 1 else ""
        return f"layer {self.layer.name!r} ({self.layer.type or 'of no type'}{line})"

    def _received(self) -> str:
        return ", ".join("x".join(map(str, value.shapes[0])) or "a number" for value in self.inputs) or "no blobs"


def _code(fields: Message) -> str:
    """What a layer of Python code names, and the way out, as the rest of a sentence; "" for another layer."""
    for message in messages(fields, "python_param"):
        module, kind = single(message, "module", ""), single(message, "layer", "")
        return (
            f": its function is code, the class {kind} of the module {module}. If it drops numbers in training alone, "
            'give it the type "Dropout" in the prototxt'
        )
    return ""


def clean(name: str) -> str:
    """A layer's name as a module: letters, digits, underscores and dots.

    Args:
        name: name in the prototxt.
    """
    return re.sub(r"[^0-9A-Za-z_./]", "_", name).strip("_./") or "layer"


def _argument(value: Any) -> Any:
    if isinstance(value, Computed):
        return Ref(value.name)
    return [_argument(part) for part in value] if isinstance(value, list) else value


def _refs(value: Any) -> list[Ref]:
    if isinstance(value, Ref):
        return [value]
    return [ref for part in value for ref in _refs(part)] if isinstance(value, list) else []


def _live(steps: Sequence[GraphStep], outputs: Sequence[str]) -> list[GraphStep]:
    """The steps that an output needs."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if step.name in needed:
            kept.append(step)
            needed |= {ref.name for ref in _refs(list(step.arguments.values()))}
    return kept[::-1]
