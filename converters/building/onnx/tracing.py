"""An ONNX graph as a program in the builder's vocabulary, traced at several sizes of the image.

What the graph computes with sizes is computed here, at each of them: integers that differ depend on the image. Every
other node becomes one or more steps by its rule.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.graph import GraphStep, ProgramGraph, Ref
from converters.building.onnx.call import Call
from converters.building.onnx.constants import collapsed, shared, weights_of
from converters.building.onnx.fusions import Fuser
from converters.building.onnx.liveness import check_node
from converters.building.onnx.sized_constants import may_be_computed, with_computed
from converters.building.onnx.values import PLACES, Computed, Known, OtherSize, Value
from converters.errors import ConversionError
from converters.programs.onnx.arguments import Unfoldable, read_tensor
from converters.programs.onnx.folding import fold
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode, OnnxSubgraph
from converters.types import Shape

Rule = Callable[[Call], Any]
"""Takes a node and gives its result, or a list of its results."""

IMAGE = "image"


class Tracer:
    """One trace of a graph.

    Attributes:
        graph: graph of the file.
        images: shape of the image at each traced size, in the order of axes that the graph states.
        batch: images in a batch that the file states; None where it takes any number.
        literals: map sides of a file of one size, which free traces must not depend on; None where they may.
        others: names of further inputs -> their shapes at each traced size.
        double: whether constants are computed in double precision.
        steps: steps so far.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        rules: Mapping[str, Rule],
        image: str,
        images: Sequence[Shape],
        *,
        batch: int | None,
        literals: frozenset[int] | None = None,
        others: Mapping[str, Sequence[Shape]] | None = None,
        double: bool = False,
    ) -> None:
        self.others = {name: tuple(shapes) for name, shapes in (others or {}).items()}
        self.graph, self.rules, self.image, self.images, self.double = graph, rules, image, tuple(images), double
        self.nodes: Sequence[OnnxNode] = ()
        self.batch, self.literals = batch, literals
        self.batches = tuple(shape[0] for shape in images)
        self.values: dict[str, Value] = {}
        self.makers: dict[str, Call] = {}  # constants that the size of the image decides -> what makes them
        self.computed: dict[str, Computed] = {}  # the same, as results of steps
        self.steps: list[GraphStep] = []
        self.shapes: dict[str, tuple[Shape, ...]] = {}
        self.tensors: dict[str, np.ndarray] = {}
        self.constants: dict[str, np.ndarray] = {}  # tensors, and what is computed from them beforehand
        self.arguments: set[str] = set()  # initializers that became numbers of steps
        self._names: set[str] = set()

    # ------------------------------------------------------------------------------------------------------------- runs

    def run(self, nodes: Sequence[OnnxNode]) -> list[Value]:
        """Traces the nodes; returns the values of the graph's outputs."""
        self.nodes = nodes
        self.values[self.image] = Computed(IMAGE, self.images)
        self.shapes[IMAGE] = self.images
        self._names.add(IMAGE)
        for name, shapes in self.others.items():
            self.values[name] = Computed(self.new_name(name), shapes)
            self.shapes[self.values[name].name] = shapes
        for node in nodes:
            self._node(node)
        return [self._output(name) for name in self.graph.outputs]

    def _output(self, name: str) -> Value:
        value = self.value(name)
        if value is None:
            raise ConversionError("has an output without a name; the file is damaged.")
        return value

    def value(self, name: str) -> Value | None:
        """What a name stands for; None for an input that is left out."""
        if not name:
            return None
        if name not in self.values:
            tensor = self.graph.tensors.get(name)
            if tensor is None:
                raise ConversionError(
                    f"the graph reads {name!r}, which none of its nodes makes and no image is; the file is damaged, or "
                    "the network takes several inputs."
                )
            self.values[name] = Known(name, (self._read(tensor),) * len(self.images), (name,))
        return self.values[name]

    def _read(self, tensor: Any) -> np.ndarray:
        array = read_tensor(tensor)
        return array.astype("float64") if self.double and array.dtype.kind == "f" else array

    @functools.cached_property
    def in_double(self) -> Mapping[str, np.ndarray]:
        """The constants of the program, computed in double precision from the file's."""
        literals, batch = self.literals, self.batch
        options: dict[str, Any] = {"batch": batch, "literals": literals, "others": self.others}
        again = Tracer(self.graph, self.rules, self.image, self.images, **options, double=True)
        again.run(self.nodes)
        return again.constants

    def _node(self, node: OnnxNode) -> None:
        call = Call(self, node, [self.value(name) for name in node.inputs])
        for name, value in zip(node.outputs, self._results(call), strict=False):
            if name:
                self.values[name] = value

    def _results(self, call: Call) -> list[Value]:
        node = call.node
        if node.outputs and node.outputs[0] in self.graph.tensors:  # a large constant
            value = self.value(node.outputs[0])
            return [value] if value else []
        if node.type == "If" and not node.domain:
            return self._branch(call)
        if not any(isinstance(value, Computed) for value in call.inputs):
            return self._folded(call)
        if node.type in ("Shape", "Size") and isinstance(call.inputs[0], Computed):
            self.makers.update(dict.fromkeys(node.outputs, call))
            return [self._shape(node, call.inputs[0])]
        if node.type != "MaxUnpool" and any(isinstance(v, Computed) and v.kind == PLACES for v in call.inputs):
            raise call.refusal("computes with the places of maxima")
        rule = self.rules.get(node.type)
        if rule is None or node.domain not in ("", "ai.onnx", "com.microsoft"):
            raise call.refusal("has no counterpart in Keras that is exact")
        try:
            result = self._ruled(rule, call)
        except (ConversionError, OtherSize):
            raise
        # The graph is anybody's: what is not as its operator wants it is refused by its node.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, Unfoldable) as error:
            raise call.mismatch(str(error)) from error
        return result if isinstance(result, list) else [result]

    def _ruled(self, rule: Rule, call: Call) -> Any:
        """The result of a rule; where it does not take constants that the size decides, it gets steps for them."""
        try:
            return rule(call)
        except OtherSize:
            raise
        except ConversionError:
            if not may_be_computed(call):
                raise
            return rule(with_computed(call, self.rules))

    def _shape(self, node: OnnxNode, x: Computed) -> Known:
        if node.type == "Size":
            return Known(node.outputs[0], tuple(np.array(np.prod(shape), "i8") for shape in x.shapes))
        first, last = node.attributes.get("start") or 0, node.attributes.get("end")
        if not isinstance(first, int) or not isinstance(last, int | None):
            raise ConversionError(f"the node {node.name!r}, Shape, has a start or an end that is no number.")
        parts = [shape[first:last] for shape in x.shapes]
        return Known(node.outputs[0], shared([np.array(part, "i8") for part in parts]))

    def _branch(self, call: Call) -> list[Value]:
        """The results of an `If` whose condition is known."""
        condition = call.inputs[0]
        if not isinstance(condition, Known):
            raise call.refusal("branches on values of the data, so that the network has no fixed program")
        chosen = {bool(np.all(array)) for array in condition.arrays}
        if len(chosen) != 1:
            raise OtherSize("computes other steps at other sizes of the image, and a Keras model has the same at all")
        body = call.node.attributes.get("then_branch" if chosen.pop() else "else_branch")
        if not isinstance(body, OnnxSubgraph):
            raise call.refusal("has no branch")
        for name, tensor in body.tensors.items():
            self.values[name] = Known(name, (self._read(tensor),) * len(self.images))
        for node in body.nodes:
            check_node(node)
            self._node(node)
        return [value for name in body.outputs if (value := self.value(name)) is not None]

    def _folded(self, call: Call) -> list[Value]:
        """The results of a node that reads no image."""
        inputs: list[Known | None] = [value if isinstance(value, Known) else None for value in call.inputs]
        parents = tuple(dict.fromkeys(name for value in inputs if value for name in value.parents))
        indices: Iterable[int] = range(len(self.images))
        same = all(array is value.arrays[0] for value in inputs if value for array in value.arrays)
        results = []
        try:
            for index in itertools.islice(indices, 1 if same else None):
                arrays = [None if value is None else value.arrays[index] for value in inputs]
                results.append(fold(call.node, arrays, self.graph.opset))
        except Unfoldable as error:
            raise call.refusal("computes with constants, and it is not known how") from error
        results = results * len(self.images) if same else results
        names = call.node.outputs
        if not same:
            self.makers.update(dict.fromkeys(names, call))
        return [Known(name, shared(parts), parents) for name, *parts in zip(names, *results, strict=False)]

    # --------------------------------------------------------------------------------------------------------- emission

    def new_name(self, base: str) -> str:
        """A name that no step has."""
        name, number = base, 0
        while name in self._names or name in self.graph.tensors:
            number += 1
            name = f"{base}#{number}"
        self._names.add(name)
        return name

    def reference(self, known: Known, module: str) -> Ref:
        """A tensor of the program for constants; a step computes those that come of the file's tensors."""
        if known.name in self.tensors or known.name in self._names:
            return Ref(known.name)
        array = self.constants[known.name] = collapsed(known, "float64" if self.double else "float32")
        if known.parents in ((), (known.name,)):
            self.tensors[known.name] = array
            return Ref(known.name)
        for parent in known.parents:
            value = self.value(parent)
            assert isinstance(value, Known)
            self.tensors.setdefault(parent, weights_of(value.arrays[0]))
        self._names.add(known.name)
        references = [Ref(parent) for parent in known.parents]

        def compute(arguments: Mapping[str, Any]) -> np.ndarray:
            wants_double = any(part.dtype == "float64" for part in arguments["tensors"])
            return self.in_double[known.name] if wants_double else array

        self.steps.append(GraphStep(known.name, "constant", {"tensors": references}, module, compute=compute))
        return Ref(known.name)

    def program(self, name: str, outputs: Any, parameters: frozenset[str]) -> ProgramGraph:
        """The program of what was traced, without the steps that no output needs."""
        results = [ref.name for ref in _refs(outputs)]
        steps = Fuser(self._live(self.steps, results), self.shapes, self.constants, results).run()
        kept = self._live(steps, results)
        needed = {*results, *(ref.name for step in kept for ref in _refs(list(step.arguments.values())))}
        tensors = {key: value for key, value in self.tensors.items() if key in needed}
        keys = {key: key for key in tensors}
        trained = frozenset(key for key in tensors if key in parameters)
        inputs = [self.values[key].name for key in self.graph.inputs if key == self.image or key in self.others]
        return ProgramGraph(name, inputs, kept, outputs, tensors, keys, self.shapes, trained)

    @staticmethod
    def _live(steps: Sequence[GraphStep], outputs: Sequence[str]) -> list[GraphStep]:
        """The steps that an output needs."""
        needed, kept = set(outputs), []
        for step in reversed(steps):
            if step.name in needed:
                kept.append(step)
                needed |= {ref.name for ref in _refs(list(step.arguments.values()))}
        return kept[::-1]


def _refs(value: Any) -> list[Ref]:
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [ref for part in value for ref in _refs(part)]
    return []
