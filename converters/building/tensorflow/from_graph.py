"""The programs that a TensorFlow graph may be: of any size of image, of multiples, or of the one that it states."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.building.from_torch import GRIDS
from converters.building.graph import ProgramGraph, Ref
from converters.building.onnx.values import OtherSize
from converters.building.tensorflow.check_nodes import check_nodes
from converters.building.tensorflow.graph_nodes import flat_nodes, plain, plain_name, shape_of, tensor_of
from converters.building.tensorflow.program import GraphProgram
from converters.building.tensorflow.rules import RULES
from converters.building.tensorflow.tracing import GraphCall, GraphTracer
from converters.building.tensorflow.values import Meaning, Ordered
from converters.building.tensorflow.variables import KINDS
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode
from converters.types import Shape

_BATCHES = (2, 3, 5)
_SQUARES = (224, 256, 384, 512, 513, 240, 288, 299, 320, 640)
_IMAGES = {1: "float32", 2: "float64", 4: "uint8", 19: "float16", 14: "bfloat16"}  # types of images
_LARGEST = 16384  # a side of the image beyond it is no image's
_LEAST_LITERAL = 5  # sides of maps below it are too common as numbers
_PLACEHOLDERS = frozenset(("Placeholder", "PlaceholderV2"))
_FEEDS_OF_TRAINING = {
    # Words in the names of inputs that say how training differs -> what inference gives.
    "keep": 1.0,
    "drop": 0.0,
}


class Image(NamedTuple):
    """The image that a graph takes.

    Attributes:
        name: name of the placeholder.
        channels: its channels.
        batch: images in a batch; None: any number.
        size: height and width, each None where it is any.
        channels_last: whether the graph wants the channels after rows and columns.
        dtype: its type.
    """

    name: str
    channels: int
    batch: int | None
    size: tuple[int | None, int | None]
    channels_last: bool
    dtype: str

    def shape(self, batch: int, height: int, width: int) -> Shape:
        """A shape that the graph's input may have."""
        rows = (height, width)
        return (batch, *rows, self.channels) if self.channels_last else (batch, self.channels, *rows)


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
    try:
        yield from _grids(tracing, None, stated=None)
        return
    except OtherSize as error:
        first = error
    for side in _SQUARES:
        try:
            traced = tracing.fixed((side, side))
        except OtherSize:
            continue
        yield dataclasses.replace(traced, why=str(first))
        return
    raise ConversionError(f"{first}. No size of the image that was tried fits the graph.") from first


def _grids(
    tracing: "_Tracing", literals: frozenset[int] | None, *, stated: tuple[int, int] | None
) -> Iterator[TracedProgram]:
    """Programs of any size, or of multiples of 8 to 64.

    Raises:
        OtherSize: no size fits; the reason at any size.
    """
    error: OtherSize | None = None
    for grid in GRIDS:
        try:
            traced = tracing.trace(grid.traces, literals)
        except OtherSize as failure:
            error = error or failure
            continue
        checks = tuple(size for size in grid.checks if tracing.takes(size))
        if stated:
            checks = (*checks, stated)
        if not checks:
            continue
        yield dataclasses.replace(traced, checks=checks, multiple=grid.multiple, freed=stated is not None)
        return
    assert error is not None
    raise error


class _Tracing:
    """A graph, to be traced at this size and that."""

    def __init__(self, program: GraphProgram, nodes: Sequence[OnnxNode], outputs: list[str], name: str) -> None:
        self.program, self.name = program, name
        self.image, self.feeds = _inputs(program, nodes)
        self.tensors = _tensors(program, nodes) | dict(self.feeds)
        self.nodes = [node for node in nodes if node.name not in self.tensors and node.name != self.image.name]
        self.outputs = outputs
        self.graph = OnnxGraph(list(self.nodes), dict(self.tensors), list(outputs), (), {}, 0)  # type: ignore[arg-type]
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
        tracer = GraphTracer(self.graph, RULES, self.image.name, shapes, batch=self.image.batch, literals=literals)
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


def _tensors(program: GraphProgram, nodes: Sequence[OnnxNode]) -> dict[str, np.ndarray]:
    """The constants and the variables that the nodes read."""
    tensors: dict[str, np.ndarray] = {}
    for node in nodes:
        if node.type == "Const":
            attributes: Any = node.attributes
            tensors[node.name] = tensor_of(attributes["value"].tensor)
        elif node.type in KINDS:
            if node.name not in program.variables:
                raise ConversionError(f"lacks the variable {node.name!r}, which its checkpoint should hold.")
            tensors[node.name] = program.variables[node.name]
    return tensors


def _inputs(program: GraphProgram, nodes: Sequence[OnnxNode]) -> tuple[Image, dict[str, np.ndarray]]:
    """The one image that the nodes read, and what inference gives the other placeholders.

    Raises:
        ConversionError: no image, several, or one that is none.
    """
    placeholders = [node for node in nodes if node.type in _PLACEHOLDERS]
    feeds: dict[str, np.ndarray] = {}
    images = []
    for node in placeholders:
        feed = _feed(node)
        if feed is None:
            images.append(node)
        else:
            feeds[node.name] = feed
    defaults = [node for node in nodes if node.type == "PlaceholderWithDefault"]
    for node in defaults:
        if _says_training(node):
            feeds[node.name] = np.array(False)
    if not images:
        images = [node for node in defaults if len(_shape(node) or ()) == 4]
    if len(images) != 1:
        listed = ", ".join(f"{node.name} {_words(_shape(node))}" for node in images) or "none"
        raise ConversionError(
            f"takes {len(images)} inputs; a network of one image is expected. Received: {listed}. Freeze the part of "
            "the graph that takes the image alone."
        )
    return _image(images[0], nodes, program), feeds


def _feed(node: OnnxNode) -> np.ndarray | None:
    """What inference gives a placeholder that says whether the network trains; None for every other one."""
    attributes: Any = node.attributes
    kind, shape = plain(attributes["dtype"]), _shape(node)
    word = node.name.rpartition("/")[2].lower()
    if kind == 10 and (shape is None or shape == ()):
        return np.array("test" in word or "infer" in word)
    if kind in (1, 2) and (shape is None or shape == ()):
        for part, number in _FEEDS_OF_TRAINING.items():
            if part in word:
                return np.array(number, "float32")
    return None


def _says_training(node: OnnxNode) -> bool:
    """Whether a truth value with a default says that the network trains."""
    attributes: Any = node.attributes
    word = node.name.rpartition("/")[2].lower()
    return plain(attributes["dtype"]) == 10 and ("train" in word or "phase" in word)


def _shape(node: OnnxNode) -> tuple[int | None, ...] | None:
    attributes: Any = node.attributes
    proto = attributes["shape"].shape if "shape" in attributes else None
    shape = None if proto is None else shape_of(proto)
    if not shape and "_output_shapes" in attributes and attributes["_output_shapes"].list.shape:
        shape = shape_of(attributes["_output_shapes"].list.shape[0])  # graphs of before TensorFlow 1.0
    return shape


def _image(node: OnnxNode, nodes: Sequence[OnnxNode], program: GraphProgram) -> Image:
    attributes: Any = node.attributes
    kind = int(plain(attributes["dtype"]))
    shape = _shape(node)
    if kind not in _IMAGES:
        import tensorflow as tf

        raise ConversionError(
            f"takes {tf.dtypes.as_dtype(kind).name} as its input {node.name!r}, and an image of floats or of uint8 is "
            "expected. A graph that decodes files has its network after that: freeze the part after the decoded image."
        )
    if shape and len(shape) != 4:
        raise ConversionError(
            f"takes the input {node.name!r} of {len(shape)} axes; an image (batch, height, width, channels) is "
            f"expected. Received: {_words(shape)}"
        )
    batch, *rest = shape or (None,) * 4
    last = not _reads_channels_first(node.name, nodes, rest)
    channels, size = (rest[2], rest[:2]) if last else (rest[0], rest[1:])
    if any(side is not None and side > _LARGEST for side in size):
        raise ConversionError(f"takes images of {_words(shape)}, which are none.")
    number = channels or _first_kernel(nodes, program) or 3
    return Image(node.name, number, batch, (size[0], size[1]), last, _IMAGES[kind])


def _reads_channels_first(name: str, nodes: Sequence[OnnxNode], rest: Sequence[int | None]) -> bool:
    """Whether the image has its channels before rows and columns: what reads it says so, or its shape."""
    reading = {name}
    for node in nodes:
        if not reading.intersection(node.inputs):
            continue
        attributes: Any = node.attributes
        if "data_format" in attributes:
            return str(plain(attributes["data_format"])) == "NCHW"
        if node.type == "Transpose":
            break
        reading.add(node.name)
    return rest[0] is not None and rest[0] <= 4 and (rest[2] is None or rest[2] > 4)


def _first_kernel(nodes: Sequence[OnnxNode], program: GraphProgram) -> int | None:
    """The channels that the first convolution wants."""
    arrays = _tensors(program, nodes)
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if node.type == "Conv2D":
            name = node.inputs[1]
            while name not in arrays and name in by_name and by_name[name].inputs:
                name = by_name[name].inputs[0]
            if name in arrays and arrays[name].ndim == 4:
                return int(arrays[name].shape[2])
    return None


def _literals(graph: ProgramGraph, size: tuple[int, int]) -> frozenset[int]:
    """Numbers that a graph of one size may have because of it: sides of its maps, and their pixels."""
    numbers = {size[0] * size[1]}
    for shapes in graph.shapes.values():
        if len(shapes[0]) == 4:
            for rows, columns in (shapes[0][2:], shapes[0][1:3]):
                numbers |= {rows, columns, rows * columns, rows * columns - 1}
    return frozenset(number for number in numbers if number >= _LEAST_LITERAL)


def _words(shape: Sequence[int | None] | None) -> str:
    return "of unknown shape" if shape is None else "x".join("?" if size is None else str(size) for size in shape)


__all__ = ["Image", "TracedProgram", "plain_name", "programs"]
