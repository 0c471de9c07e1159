"""The programs that a TensorFlow graph may be: of any size of image, of multiples, or of the one that it states."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.from_torch import GRIDS
from converters.building.graph import ProgramGraph, Ref
from converters.building.onnx.values import OtherSize
from converters.building.tensorflow.call import GraphCall
from converters.building.tensorflow.check_nodes import check_nodes
from converters.building.tensorflow.graph_nodes import flat_nodes
from converters.building.tensorflow.inputs import Image, graph_inputs, graph_tensors
from converters.building.tensorflow.program import GraphProgram
from converters.building.tensorflow.rules import RULES
from converters.building.tensorflow.tracing import GraphTracer
from converters.building.tensorflow.values import Meaning, Ordered
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode

_BATCHES = (2, 3, 5)
_SQUARES = (224, 256, 384, 512, 513, 240, 288, 299, 320, 640)
_LEAST_SIDE, _LARGEST_SIDE, _MOST_PAIRS = 32, 4096, 6  # of images that a constant may state
_LEAST_LITERAL = 5  # sides of maps below it are too common as numbers


@dataclasses.dataclass(frozen=True)
class TracedProgram:
    """A program, and the images that it takes.

    Attributes:
        graph: the program.
        image: the graph's own input.
        feeds: further inputs, with what inference gives them.
        checks: sizes at which the model is to be compared.
        fixed: the one size that it takes; None: any.
        batch: the one number of images that it takes; None: any.
        multiple: sides are multiples of it.
        freed: whether the graph states one size and the program takes any.
        why: what the graph's own size is needed for; "".
        arguments: constants that became numbers of steps.
        tensors: constants and variables that the results need.
        kinds: key of each output -> kind of its numbers.
    """

    graph: ProgramGraph
    image: Image
    feeds: Mapping[str, np.ndarray]
    checks: tuple[tuple[int, int], ...] = ()
    fixed: tuple[int, int] | None = None
    batch: int | None = None
    multiple: int = 1
    freed: bool = False
    why: str = ""
    arguments: frozenset[str] = frozenset()
    tensors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def programs(program: GraphProgram, name: str) -> Iterator[TracedProgram]:
    """The programs that a graph may be, the most general one first; the caller takes the first that can be built.

    Args:
        program: opened graph.
        name: name of the network.
    Raises:
        ConversionError: a graph that is no program of an image, by the first node that says so.
    """
    nodes, outputs = flat_nodes(program.definition, program.outputs.values())
    check_nodes(nodes)
    tracing = _Tracing(program, nodes, outputs, name)
    height, width = tracing.image.size
    if height is None or width is None:
        yield from _free(tracing)
        return
    size = (height, width)
    exported = tracing.fixed(size)
    why = "the steps of the graph depend on the size"
    try:
        yield from _grids(tracing, _literals(exported.graph, size), stated=size)
    except ConversionError as error:
        why = str(error)
    yield dataclasses.replace(exported, why=why)


def _free(tracing: "_Tracing") -> Iterator[TracedProgram]:
    """Programs of a graph that states no size."""
    first: OtherSize | None = None
    for batch in dict.fromkeys((None, tracing.image.batch)):  # any number of images, or the one that is stated
        try:
            yield from _grids(tracing, None, stated=None, batch=batch)
            return
        except OtherSize as error:
            first = first or error
    squares = [(side, side) for side in _SQUARES]
    for size in dict.fromkeys([*_resized_to(tracing.tensors), *squares]):
        try:
            traced = tracing.fixed(size)
        except OtherSize:
            continue
        yield dataclasses.replace(traced, why=str(first))
        return
    raise ConversionError(f"{first}. No size of the image that was tried fits the graph.") from first


def _grids(
    tracing: "_Tracing",
    literals: frozenset[int] | None,
    *,
    stated: tuple[int, int] | None,
    batch: int | None = None,
) -> Iterator[TracedProgram]:
    """Programs of any size, or of multiples of 8 to 64.

    Raises:
        OtherSize: no size fits; the reason at any size.
    """
    error: OtherSize | None = None
    for grid in GRIDS:
        try:
            traced = tracing.trace(
                [(batch or images, rows, columns) for images, rows, columns in grid.traces], literals
            )
        except OtherSize as failure:
            error = error or failure
            continue
        checks = tuple(size for size in grid.checks if tracing.takes(size))
        if stated:
            checks = (*checks, stated)
        if not checks:
            continue
        freed = stated is not None
        yield dataclasses.replace(traced, checks=checks, multiple=grid.multiple, freed=freed, batch=batch)
        return
    assert error is not None
    raise error


class _Tracing:
    """A graph, to be traced at this size and that."""

    def __init__(self, program: GraphProgram, nodes: Sequence[OnnxNode], outputs: list[str], name: str) -> None:
        self.program, self.name = program, name
        self.image, self.feeds = graph_inputs(program, nodes)
        self.tensors = graph_tensors(program, nodes) | dict(self.feeds)
        self.nodes = [node for node in nodes if node.name not in self.tensors and node.name != self.image.name]
        self.outputs = outputs
        tensors: Any = dict(self.tensors)
        self.graph = OnnxGraph(list(self.nodes), tensors, list(outputs), (), {self.image.name: None}, 0)
        self.parameters = frozenset(
            key for key, array in self.tensors.items() if array.dtype.kind not in "iubSOU" and array.ndim
        )

    def fixed(self, size: tuple[int, int]) -> TracedProgram:
        """The program at one size of the image; of one batch, where the graph takes only that."""
        try:
            traced = self.trace([(batch, *size) for batch in _BATCHES], None)
        except OtherSize:
            batch = self.image.batch
            if batch is None:
                raise
            traced = dataclasses.replace(self.trace([(batch, *size)] * 3, None), batch=batch)
        return dataclasses.replace(traced, checks=(size,), fixed=size)

    def trace(self, sizes: Sequence[tuple[int, int, int]], literals: frozenset[int] | None) -> TracedProgram:
        """The program at several sizes `(batch, height, width)`."""
        tracer, results = self._run(sizes, literals)
        refs = [self._output(tracer, value) for value in results]
        keyed = self._keyed(refs)
        graph = tracer.program(self.name, refs[0] if len(refs) == 1 else refs, self.parameters)
        graph = dataclasses.replace(graph, outputs=keyed)
        arguments = frozenset(tracer.arguments)
        return TracedProgram(graph, self.image, self.feeds, arguments=arguments, tensors=self.tensors)

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether the graph takes images of a size."""
        try:
            self._run([(self.image.batch or 1, *size)], None)
        except OtherSize:
            return False
        return True

    def _keyed(self, refs: list[Ref]) -> Any:
        """The results: one alone, or a dictionary with the keys of the signature."""
        if len(refs) == 1:
            return refs[0]
        if self.program.inputs:
            return dict(zip(self.program.outputs, refs, strict=True))
        return refs

    def _run(
        self, sizes: Sequence[tuple[int, int, int]], literals: frozenset[int] | None
    ) -> tuple[GraphTracer, list[Meaning]]:
        shapes = [self.image.shape(*size) for size in sizes]
        rules: Mapping[str, Any] = RULES
        tracer = GraphTracer(self.graph, rules, self.image.name, shapes, batch=self.image.batch, literals=literals)
        tracer.is_channels_last, tracer.is_of_bytes = self.image.channels_last, self.image.dtype == "uint8"
        return tracer, tracer.run(self.nodes)

    def _output(self, tracer: GraphTracer, value: Meaning) -> Ref:
        """A result: a map with its channels first, as programs have it, or a tensor in TensorFlow's order."""
        if not isinstance(value, Ordered):
            raise ConversionError("has a result that does not depend on the image, or that is not there in inference.")
        wanted: Sequence[int] = range(value.rank)
        if self.image.channels_last and value.rank == 4:
            wanted = (0, 2, 3, 1)
        if value.axes == tuple(wanted):
            return Ref(value.name)
        call = GraphCall(tracer, OnnxNode("Transpose", f"{value.name}#output", [], [f"{value.name}#output"], {}), [])
        return Ref(call.ordered(value, wanted).name)


def _resized_to(tensors: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """Sides among the constants, the largest first: a graph of one size states that of its image, or resizes to it."""
    integers = [array for array in tensors.values() if array.dtype.kind == "i" and array.shape in ((2,), (4,))]
    pairs = {
        (int(array[-3]), int(array[-2])) if array.size == 4 else (int(array[0]), int(array[1])) for array in integers
    }
    sides = {pair for pair in pairs if _LEAST_SIDE <= min(pair) <= max(pair) <= _LARGEST_SIDE}
    return sorted(sides, reverse=True)[:_MOST_PAIRS]


def _literals(graph: ProgramGraph, size: tuple[int, int]) -> frozenset[int]:
    """Numbers that a graph of one size may have because of it: sides of its maps, and their pixels."""
    numbers = {size[0] * size[1]}
    for shapes in graph.shapes.values():
        if len(shapes[0]) == 4:
            for rows, columns in (shapes[0][2:], shapes[0][1:3]):
                numbers |= {rows, columns, rows * columns, rows * columns - 1}
    return frozenset(number for number in numbers if number >= _LEAST_LITERAL)
