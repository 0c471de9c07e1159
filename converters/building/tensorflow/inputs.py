"""What a TensorFlow graph is given: its image, its weights, and what says whether it trains."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.building.tensorflow.graph_nodes import plain, shape_of, tensor_of
from converters.building.tensorflow.program import GraphProgram
from converters.building.tensorflow.variables import KINDS
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxNode
from converters.types import Shape

_IMAGES = {1: "float32", 2: "float64", 4: "uint8", 19: "float16", 14: "bfloat16"}  # types of images
_LARGEST = 16384  # a side of the image beyond it is no image's
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


def graph_tensors(program: GraphProgram, nodes: Sequence[OnnxNode]) -> dict[str, np.ndarray]:
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


def graph_inputs(program: GraphProgram, nodes: Sequence[OnnxNode]) -> tuple[Image, dict[str, np.ndarray]]:
    """The one image that the nodes read, and what inference gives the other placeholders.

    Raises:
        ConversionError: no image, several, or an input that is no image.
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
            "expected. If the graph decodes files, name the node after that as the image: inputs=['node'] "
            "(--inputs=node)."
        )
    if shape and len(shape) != 4:
        raise ConversionError(
            f"takes the input {node.name!r} of {len(shape)} axes; an image (batch, height, width, channels) is "
            "expected. If the graph prepares it, name the node after that as the image: inputs=['node'] "
            f"(--inputs=node). Received: {_words(shape)}"
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
    arrays = graph_tensors(program, nodes)
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if node.type == "Conv2D":
            name = node.inputs[1]
            while name not in arrays and name in by_name and by_name[name].inputs:
                name = by_name[name].inputs[0]
            if name in arrays and arrays[name].ndim == 4:
                return int(arrays[name].shape[2])
    return None


def _words(shape: Sequence[int | None] | None) -> str:
    return "of unknown shape" if shape is None else "x".join("?" if size is None else str(size) for size in shape)
