"""The programs that a network of Caffe may be: of any size of image, of multiples, or of the size that it states."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.building.caffe.fusions import fuse_norms
from converters.building.caffe.rules import RULES
from converters.building.caffe.tracing import Tracer
from converters.building.caffe.weights import Weights
from converters.building.caffe.wiring import Wiring
from converters.building.from_torch import GRIDS
from converters.building.graph import ProgramGraph
from converters.building.onnx.values import OtherSize
from converters.errors import ConversionError
from converters.reading.caffe.prototxt import Sizes
from converters.types import Shape

_BATCHES = (2, 3, 5)
# Sizes at which Caffe's networks were trained, for prototxts that state none: squares, and SegNet's.
_SIDES = (224, 227, 299, 231, 256, 320, 300, 321, 512, 513, 473, 713, 128, 112, 96, 64, 32, 28)
_SIZES = (*((side, side) for side in _SIDES), (360, 480))
# Layers that keep the number of channels: what follows them tells it.
_KEEPING = frozenset(
    "BatchNorm Scale Bias Power Split Dropout ReLU AbsVal Exp Log Pooling Interp Crop LRN MVN Tile".split()
)


class TracedNet(NamedTuple):
    """A program, and the images that it takes.

    Attributes:
        graph: the program.
        checks: sizes at which the model is to be compared.
        fixed: the one size that it takes; None: any.
        multiple: sides are multiples of it.
        why: what the one size is needed for; "".
        results: shapes of the results for one image of each of those sizes.
    """

    graph: ProgramGraph
    checks: tuple[tuple[int, int], ...]
    results: tuple[tuple[Shape, ...], ...]
    fixed: tuple[int, int] | None = None
    multiple: int = 1
    why: str = ""


def programs(wiring: Wiring, weights: Weights, name: str) -> Iterator[TracedNet]:
    """The programs that a network may be, the most general one first; the caller takes the first that can be built.

    Args:
        wiring: network at test time.
        weights: weights of its layers.
        name: name of the network.
    Raises:
        ConversionError: a layer that Keras cannot compute exactly; no size fits.
    """
    tracing = _Tracing(wiring, weights, name)
    stated = tracing.stated
    error: ConversionError | None = None
    for grid in GRIDS if tracing.one_size else ():
        try:
            graph = tracing.trace(grid.traces)
        except OtherSize as refusal:
            error = error or refusal
            continue
        results = {size: shapes for size in grid.checks if (shapes := tracing.results(size))}
        if results:
            yield TracedNet(graph, tuple(results), tuple(results.values()), multiple=grid.multiple)
            error = ConversionError("at other sizes it could not be built")
            break
    if not tracing.one_size:
        error = ConversionError("its images have different sizes")
    assert error is not None
    sizes = [stated] if stated else list(_SIZES)
    refusals = []
    for size in sizes:
        try:
            graph = tracing.trace([(batch, *size) for batch in _BATCHES])
        except OtherSize as refusal:
            refusals.append(refusal)
            continue
        yield TracedNet(graph, (size,), (tracing.results(size),), size, why=str(error))
        return
    raise ConversionError(
        f"{refusals[0] if stated else error}. "
        + (
            f"It states images of {stated[0]} x {stated[1]} pixels."
            if stated
            else "No size of the image that was tried fits. State the size in the prototxt: input_dim."
        )
    )


class _Tracing:
    """A network, to be traced at this size and that."""

    def __init__(self, wiring: Wiring, weights: Weights, name: str) -> None:
        self.wiring, self.weights, self.name = wiring, weights, name
        if not wiring.inputs:
            raise ConversionError("describes a network that reads no image.")
        self.channels = {blob: _channels(wiring, weights, blob, sizes) for blob, sizes in wiring.inputs.items()}
        sides = {blob: _sides(sizes) for blob, sizes in wiring.inputs.items()}
        known = [side for side in sides.values() if side]
        self.one_size = len(set(known)) <= 1
        self.stated = known[0] if known else None
        self.scales = {blob: (1, 1) if not side or not self.stated else side for blob, side in sides.items()}
        batches = {sizes[0] for sizes in wiring.inputs.values() if sizes and len(sizes) == 4}
        self.batch = batches.pop() if len(batches) == 1 else None

    def trace(self, sizes: Sequence[tuple[int, int, int]]) -> ProgramGraph:
        """The program at several sizes `(batch, height, width)`."""
        tracer = self._run(sizes)
        return fuse_norms(tracer.program(self.name))

    def results(self, size: tuple[int, int]) -> tuple[Shape, ...]:
        """The shapes of the results for an image of a size; none where the network does not take it."""
        try:
            tracer = self._run([(1, *size)])
        except OtherSize:
            return ()
        return tuple(value.shapes[0] for value in tracer.results())

    def _run(self, sizes: Sequence[tuple[int, int, int]]) -> Tracer:
        images: dict[str, list[Shape]] = {}
        for blob, channels in self.channels.items():
            stated = self.scales[blob] if not self.one_size else None
            images[blob] = [(batch, channels, *(stated or side)) for batch, *side in sizes]
        tracer = Tracer(self.wiring, self.weights, RULES, images, self.batch)
        tracer.run()
        return tracer


def _sides(sizes: Sizes) -> tuple[int, int] | None:
    """The rows and columns that a prototxt states for an image."""
    match sizes:
        case (_, _, int(rows), int(columns)) if rows > 0 and columns > 0:
            return rows, columns
    return None


def _channels(wiring: Wiring, weights: Weights, blob: str, sizes: Sizes) -> int:
    """The channels of an image: as they are stated, or as the first convolution wants them.

    Raises:
        ConversionError: an image of other axes, or one whose channels nothing tells.
    """
    if sizes is not None and len(sizes) != 4:
        raise ConversionError(
            f"reads the blob {blob!r} of {len(sizes)} axes; an image (batch, channels, height, width) is expected. "
            f"Received: {'x'.join(map(str, sizes))}"
        )
    if sizes is not None and sizes[1] is not None and sizes[1] > 0:
        return sizes[1]
    names = {blob}
    for node in wiring.nodes:
        if not names.intersection(node.inputs):
            continue
        if node.layer.type.endswith("Convolution") or node.layer.type == "Convolution":
            kernel = weights.parts(node.layer).get("weight")
            if kernel is not None and len(kernel.shape) == 4:
                return kernel.shape[1] * int(node.layer.parameters.get("group", 1))
        if node.layer.type in _KEEPING:
            names.update(node.outputs)
    raise ConversionError(
        f"does not state the channels of the image {blob!r}. State its size in the prototxt: input_dim, or an Input "
        "layer with a shape."
    )
