"""The programs that an ONNX file may be: of any size of image, of multiples, or of the one size that it states."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from converters.building.computed_numbers import further_shapes
from converters.building.from_torch import GRIDS, Grid
from converters.building.graph import GraphStep, ProgramGraph, Ref
from converters.building.onnx.file_images import Image, image_of
from converters.building.onnx.inlined import inlined
from converters.building.onnx.liveness import live_nodes
from converters.building.onnx.rules import RULES
from converters.building.onnx.tracing import IMAGE, Tracer
from converters.building.onnx.values import PLACES, Computed, OtherSize, Value
from converters.errors import ConversionError
from converters.reading.onnx.fused_nodes import split_fused
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode
from converters.reading.tensors import Tensor

_BATCHES = (2, 3, 5)
_SQUARES = (224, 256, 384, 512, 240, 288, 299, 320, 518, 640)
_CHANNELS_LAST = (0, 3, 1, 2)
_OLDEST = 7  # since then, operators broadcast as they do now
_LEAST_LITERAL = 5  # sides of maps below it are too common as numbers


class TracedGraph(NamedTuple):
    """A program, and the images that it takes.

    Attributes:
        graph: the program.
        image: the file's own input.
        checks: sizes at which the model is to be compared.
        fixed: the one size that it takes; None: any.
        multiple: sides are multiples of it.
        freed: whether the file states one size and the program takes any.
        why: what the file's own size is needed for; "".
        arguments: initializers that became numbers of steps.
    """

    graph: ProgramGraph
    image: Image
    checks: tuple[tuple[int, int], ...]
    fixed: tuple[int, int] | None
    multiple: int
    freed: bool = False
    why: str = ""
    arguments: frozenset[str] = frozenset()


def programs(graph: OnnxGraph, name: str) -> Iterator[TracedGraph]:
    """The programs that a graph may be, the most general one first; the caller takes the first that can be built.

    Args:
        graph: graph of a file.
        name: name of the network.
    Raises:
        ConversionError: a graph that is no program of an image, by the first node that says so.
    """
    if graph.opset < _OLDEST:
        raise ConversionError(
            f"states version {graph.opset} of ONNX's operators; 7 to 21 are known here. Export the network again, with "
            "opset_version=17."
        )
    graph = split_fused(inlined(graph))
    nodes = live_nodes(graph)
    image = image_of(graph, nodes)
    tracing = _Tracing(graph, nodes, image, name)
    height, width = image.size
    if height is None or width is None:
        yield from _free(tracing)
        return
    size = (height, width)
    exported = tracing.fixed(size)
    why = "the steps of the graph depend on the size"
    try:
        literals = _literals(exported.graph, size)
        yield from _grids(tracing, literals, freed=True, stated=size)
    except ConversionError as error:
        why = str(error)
    yield exported._replace(why=why)


def _free(tracing: "_Tracing") -> Iterator[TracedGraph]:
    """Programs of a file that states no size."""
    try:
        yield from _grids(tracing, None, freed=False, stated=None)
        return
    except OtherSize as error:
        first = error
    for side in _SQUARES:
        try:
            traced = tracing.fixed((side, side))
        except OtherSize:
            continue
        yield traced._replace(why=str(first))
        return
    raise ConversionError(f"{first}. No size of the image that was tried fits the graph.") from first


def _grids(
    tracing: "_Tracing", literals: frozenset[int] | None, *, freed: bool, stated: tuple[int, int] | None
) -> Iterator[TracedGraph]:
    """Programs of any size, or of multiples of 8 to 64.

    Raises:
        OtherSize: no size fits; the reason at any size.
    """
    error: OtherSize | None = None
    for grid in GRIDS:
        try:
            traced = _at_more_sizes(tracing, grid, literals)
        except OtherSize as failure:
            error = error or failure
            continue
        checks = tuple(size for size in grid.checks if tracing.takes(size))
        if stated:
            checks = (*checks, stated)
        if not checks:
            continue
        yield traced._replace(checks=checks, multiple=grid.multiple, freed=freed)
        return
    assert error is not None
    raise error


def _at_more_sizes(tracing: "_Tracing", grid: Grid, literals: frozenset[int] | None) -> TracedGraph:
    """The program at the sizes of a grid, and at more that tell the laws of its numbers, where the graph takes them.

    Raises:
        OtherSize: the graph takes a size, and has another program there.
    """
    traced = tracing.trace(grid.traces, literals)
    shapes = further_shapes(grid.multiple)
    try:
        return tracing.trace((*grid.traces, *shapes), literals)
    except ConversionError:  # too small for its windows, or another program
        fitting = [shape for shape in shapes if tracing.takes(shape[1:])]
    return tracing.trace((*grid.traces, *fitting), literals) if fitting else traced


class _Tracing:
    """A graph, to be traced at this size and that."""

    def __init__(self, graph: OnnxGraph, nodes: Sequence[OnnxNode], image: Image, name: str) -> None:
        self.graph, self.nodes, self.image, self.name = graph, nodes, image, name
        self.parameters = frozenset(
            key
            for key, tensor in graph.tensors.items()
            if isinstance(tensor, Tensor) and tensor.dtype.kind not in "iub" and tensor.shape
        )

    def fixed(self, size: tuple[int, int]) -> TracedGraph:
        """The program at one size of the image."""
        traced = self.trace([(batch, *size) for batch in _BATCHES], None)
        return traced._replace(checks=(size,), fixed=size)

    def trace(self, sizes: Sequence[tuple[int, int, int]], literals: frozenset[int] | None) -> TracedGraph:
        """The program at several sizes `(batch, height, width)`."""
        tracer, results = self._run(sizes, literals)
        steps = _Ends(tracer, self.image.channels_last)
        outputs = [steps.output(value) for value in results]
        graph = tracer.program(self.name, outputs[0] if len(outputs) == 1 else outputs, self.parameters)
        if self.image.channels_last:
            graph = _with_channels_first(graph)
        return TracedGraph(graph, self.image, (), None, 1, arguments=frozenset(tracer.arguments))

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether the graph takes images of a size."""
        try:
            self._run([(1, *size)], None)
        except ConversionError:
            return False
        return True

    def _run(
        self, sizes: Sequence[tuple[int, int, int]], literals: frozenset[int] | None
    ) -> tuple[Tracer, list[Value]]:
        shapes = [self.image.shape(*size) for size in sizes]
        others = {other.name: [other.shape(*size) for size in sizes] for other in self.image.others}
        options: dict[str, Any] = {"batch": self.image.batch, "literals": literals, "others": others}
        tracer = Tracer(self.graph, RULES, self.image.name, shapes, **options)
        return tracer, tracer.run(self.nodes)


class _Ends:
    """The outputs of a trace: maps with their channels before rows and columns, as programs have them."""

    def __init__(self, tracer: Tracer, channels_last: bool) -> None:
        self.tracer, self.channels_last = tracer, channels_last

    def output(self, value: Value) -> Ref:
        if not isinstance(value, Computed):
            raise ConversionError(f"has a constant as its result: {value.name!r} does not depend on the image.")
        if value.kind == PLACES:
            raise ConversionError(f"has the places of maxima as its result: {value.name!r}.")
        if not self.channels_last or value.rank != 4:
            return Ref(value.name)
        name = self.tracer.new_name(f"{value.name}#first")
        arguments = {"input": Ref(value.name), "dims": list(_CHANNELS_LAST)}
        self.tracer.steps.append(GraphStep(name, "permute", arguments, ""))
        self.tracer.shapes[name] = tuple(tuple(shape[axis] for axis in _CHANNELS_LAST) for shape in value.shapes)
        return Ref(name)


def _with_channels_first(graph: ProgramGraph) -> ProgramGraph:
    """The program of a graph that takes the channels last, with an image that has them first."""
    shapes = dict(graph.shapes)
    shapes[f"{IMAGE}#last"] = shapes[IMAGE]
    shapes[IMAGE] = tuple(tuple(shape[axis] for axis in _CHANNELS_LAST) for shape in shapes[IMAGE])
    turn = GraphStep(f"{IMAGE}#last", "permute", {"input": Ref(IMAGE), "dims": [0, 2, 3, 1]}, "")
    renamed = {IMAGE: f"{IMAGE}#last"}
    steps = [
        GraphStep(step.name, step.op, _renamed(step.arguments, renamed), step.module, step.line, step.compute)
        for step in graph.steps
    ]
    outputs = _renamed(graph.outputs, renamed)
    return ProgramGraph(
        graph.name, [IMAGE], [turn, *steps], outputs, graph.tensors, graph.keys, shapes, graph.parameters
    )


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, Ref):
        return Ref(names.get(value.name, value.name))
    if isinstance(value, list):
        return [_renamed(part, names) for part in value]
    if isinstance(value, dict):
        return {key: _renamed(part, names) for key, part in value.items()}
    return value


def _literals(graph: ProgramGraph, size: tuple[int, int]) -> frozenset[int]:
    """Numbers that a graph of one size may have because of it: sides of its maps, and their pixels."""
    numbers = {size[0] * size[1]}
    for shapes in graph.shapes.values():
        if len(shapes[0]) == 4:
            for rows, columns in (shapes[0][2:], shapes[0][1:3]):
                numbers |= {rows, columns, rows * columns, rows * columns - 1}
    return frozenset(number for number in numbers if number >= _LEAST_LITERAL)


def network_name(stem: str) -> str:
    """A name for the model, of the file's: letters, digits and underscores.

    Args:
        stem: name of the file without its suffix.
    """
    return re.sub(r"\W+", "_", stem).strip("_") or "network"


def layer_name(name: str) -> str:
    """A name for an input of the model, of the file's.

    Args:
        name: name of the value.
    """
    return re.sub(r"\W+", "_", name).strip("_") or "input"
