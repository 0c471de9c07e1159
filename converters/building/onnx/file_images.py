"""What an ONNX file takes: its image, and the inputs beside it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from converters.building.module_inputs import HEIGHT, WIDTH
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode
from converters.reading.tensors import Tensor
from converters.types import Shape

_FLOATS = (0, 1, 10, 11, 16)  # element types of an image: not stated, or floating point
_LARGEST = 16384  # a side of the image beyond it is no image's
_ANY = (None,) * 4


class OtherInput(NamedTuple):
    """A tensor that a graph takes beside its image.

    Attributes:
        name: name of the input.
        sides: its axes after the batch: numbers, or `HEIGHT` and `WIDTH` where the image says them.
    """

    name: str
    sides: tuple[int | str, ...]

    def shape(self, batch: int, height: int, width: int) -> Shape:
        """A shape that this input may have."""
        known = {HEIGHT: height, WIDTH: width}
        return (batch, *(known[side] if isinstance(side, str) else side for side in self.sides))


class Image(NamedTuple):
    """The image that a graph takes.

    Attributes:
        name: name of the input.
        channels: its channels.
        batch: images in a batch; None: any number.
        size: height and width, each None where it is any.
        channels_last: whether the graph wants the channels after rows and columns.
        others: further inputs.
        order: names of all inputs, in the order of the file; () for the image alone.
    """

    name: str
    channels: int
    batch: int | None
    size: tuple[int | None, int | None]
    channels_last: bool
    others: tuple[OtherInput, ...] = ()
    order: tuple[str, ...] = ()

    def named(self, arrays: Any) -> dict[str, Any]:
        """Arrays, one for each input in the order of the file, by name."""
        return dict(zip(self.order, arrays, strict=True)) if self.order else {self.name: arrays}

    def shape(self, batch: int, height: int, width: int) -> Shape:
        """A shape that the graph's input may have."""
        rows = (height, width)
        return (batch, *rows, self.channels) if self.channels_last else (batch, self.channels, *rows)


def image_of(graph: OnnxGraph, nodes: Sequence[OnnxNode]) -> Image:
    """The image that the nodes read, and the inputs beside it.

    Args:
        graph: graph of a file.
        nodes: its nodes that the results need.
    Raises:
        ConversionError: no image, or an input of whole numbers or of an unknown shape.
    """
    read = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    names = [name for name in graph.inputs if name in read]
    images = [name for name in names if len(graph.inputs[name] or _ANY) == len(_ANY)]
    if not images:
        listed = ", ".join(f"{name} {_words(graph.inputs[name])}" for name in names) or "no input"
        raise ConversionError(
            f"takes no image: an input (batch, channels, height, width) of four axes is expected. Received: {listed}"
        )
    for name in names:
        if graph.types.get(name, 0) not in _FLOATS:
            raise ConversionError(
                f"takes images of whole numbers: its input {name!r} has ONNX's element type {graph.types[name]}, and a "
                "Keras model takes floats. Export a module whose forward takes an image of floats."
            )
    # A side that is free is the image's; else the largest map is the image.
    name = max(images, key=lambda name: [side or _LARGEST for side in (graph.inputs[name] or _ANY)[2:]])
    shape = graph.inputs[name]
    batch, *rest = shape or (None,) * 4
    last = shape is not None and _is_channels_last(shape, name, nodes)
    channels, size = (rest[2], rest[:2]) if last else (rest[0], rest[1:])
    if any(side is not None and side > _LARGEST for side in size):
        raise ConversionError(f"takes images of {_words(shape)}, which are none.")
    image = Image(name, channels or _first_kernel(graph, name, nodes), batch, (size[0], size[1]), last)
    if len(names) == 1:
        return image
    if last:
        raise ConversionError(
            f"takes {len(names)} inputs with the channels of images after rows and columns. Export it with channels "
            f"first (tf2onnx: --inputs-as-nchw {','.join(images)})."
        )
    others = tuple(_other(graph, name, nodes, image) for name in names if name != image.name)
    batches = [shape[0] for name in names if (shape := graph.inputs[name])]
    batch = next((size for size in batches if size is not None), None)
    return image._replace(batch=batch, others=others, order=tuple(names))


def _other(graph: OnnxGraph, name: str, nodes: Sequence[OnnxNode], image: Image) -> OtherInput:
    """An input beside the image; its last two axes are the image's where they are free or as long.

    Raises:
        ConversionError: an axis of unknown length.
    """
    batch, *sides = graph.inputs[name] or _ANY
    known: list[int | str | None] = list(sides)
    if len(sides) > 1 and all(side in (None, length) for side, length in zip(sides[-2:], image.size, strict=True)):
        known[-2:] = HEIGHT, WIDTH
    if len(sides) == len(_ANY) - 1 and known[0] is None:
        known[0] = _first_kernel(graph, name, nodes)
    if None in known or (batch and image.batch and batch != image.batch):
        raise ConversionError(
            f"takes the input {name!r} of {_words(graph.inputs[name])}: an axis has an unknown length, or the first "
            f"one is not the batch of the image {image.name!r}. Export the network with these lengths stated."
        )
    return OtherInput(name, tuple(side for side in known if side is not None))


def _is_channels_last(shape: tuple[int | None, ...], name: str, nodes: Sequence[OnnxNode]) -> bool:
    if any(node.type == "Conv" and name in node.inputs[:1] for node in nodes):
        return False
    return shape[3] is not None and shape[3] <= 4 and (shape[1] is None or shape[1] > 4)


def _first_kernel(graph: OnnxGraph, name: str, nodes: Sequence[OnnxNode]) -> int:
    """The channels that the first convolution wants."""
    for node in nodes:
        tensor = graph.tensors.get(node.inputs[1]) if node.type == "Conv" and len(node.inputs) > 1 else None
        if isinstance(tensor, Tensor) and len(tensor.shape) == 4:
            groups = node.attributes.get("group") or 1
            return int(tensor.shape[1]) * (groups if isinstance(groups, int) else 1)
    return 3


def _words(shape: Sequence[int | None] | None) -> str:
    return "of unknown shape" if shape is None else "x".join("?" if size is None else str(size) for size in shape)
