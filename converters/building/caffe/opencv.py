"""What OpenCV's own importer computes for a network of Caffe.

Reference: https://docs.opencv.org/4.x/d6/d0f/group__dnn.html, readNetFromCaffe
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.caffe.parameters import PARAMETERS, parameter_message, read_parameters
from converters.building.caffe.wiring import Node, Wiring
from converters.errors import ConversionError
from converters.reading.caffe.message_fields import pixel_pair
from converters.reading.protobuf.text_format import FieldValue, Message, Word
from converters.types import Path

_RULES = frozenset("include exclude phase loss_weight propagate_down blobs_lr weight_decay param type name".split())
# Parameters whose defaults are others in OpenCV: they are always stated.
_STATED = {
    "LRN": ("local_size", "alpha", "beta"),
    "ELU": ("alpha",),
    "Pooling": ("pool",),
    **dict.fromkeys(("Exp", "Log"), ("base", "scale", "shift")),
}


def _after_the_map(node: Node, _: Mapping[str, Any]) -> bool:
    """Whether a pooling has windows that begin after the map, which only Caffe has."""
    message = parameter_message(node.layer.fields, "Pooling")
    kernel, stride, pad = (
        pixel_pair(message, both, (f"{each}_h", f"{each}_w"), default)
        for both, each, default in (("kernel_size", "kernel", 0), ("stride", "stride", 1), ("pad", "pad", 0))
    )
    windows = "global_pooling" not in message
    return windows and not any(pad) and any(size < step for size, step in zip(kernel, stride, strict=False))


# Type of a layer -> whether OpenCV computes it otherwise than Caffe. It is no witness of a network with such a layer.
_UNLIKE: dict[str, Callable[[Node, Mapping[str, Any]], bool]] = {
    "Interp": lambda node, p: bool(p["shrink_factor"] or p["pad_beg"] or p["pad_end"]),
    "Log": lambda node, p: (p["base"], p["scale"], p["shift"]) != (-1, 1, 0),
    "LRN": lambda node, p: p["k"] != 1,
    "MVN": lambda node, p: p["across_channels"] or p["eps"] != 1e-9,
    "Pooling": _after_the_map,
    "Swish": lambda node, p: p["beta"] != 1,
}


def is_available() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def why_not(wiring: Wiring) -> str:
    """Why OpenCV is no witness of a network; "" where it may be.

    Args:
        wiring: network at test time.
    """
    for node in wiring.nodes:
        unlike = _UNLIKE.get(node.layer.type)
        if unlike is not None and unlike(node, read_parameters(node.layer.fields, node.layer.type)):
            return f"OpenCV computes the layer {node.layer.name!r} ({node.layer.type}) otherwise than Caffe"
    makers = {name: node for node in wiring.nodes for name in node.outputs}
    if any(len(makers[name].outputs) > 1 for name in wiring.outputs):
        return "OpenCV has no name for one of several results of a layer"
    return ""


def runner(wiring: Wiring, channels: dict[str, int], weights: Path) -> Callable[[Any], Any]:
    """A function that computes the network's results on images `(batch, channels, height, width)`, or a list of them.

    Args:
        wiring: network at test time.
        channels: name of an image -> its channels.
        weights: path of the `.caffemodel`.
    Raises:
        ConversionError: OpenCV does not read the network.
    """
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it cannot run is said in the receipt
    text = network_text(wiring, channels)
    try:
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8), _read(weights))
        net.enableWinograd(False)
    except cv2.error as error:
        raise ConversionError(f"OpenCV does not read it: {_first_line(error)}") from error
    makers = {name: node.layer.name for node in wiring.nodes for name in node.outputs}
    names = [makers[name] for name in wiring.outputs]

    def run(images: Any) -> Any:
        for name, image in zip(channels, images if isinstance(images, list) else [images], strict=True):
            net.setInput(np.ascontiguousarray(image, "float32"), name)
        results = [np.array(result) for result in net.forward(names)]
        return results[0] if len(results) == 1 else results

    return run


def _read(path: Path) -> np.ndarray:
    return np.fromfile(path, np.uint8)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def network_text(wiring: Wiring, channels: dict[str, int]) -> str:
    """A network as a prototxt of today's form: the layers that its results need, and nothing that only trains.

    Args:
        wiring: network at test time.
        channels: name of an image -> its channels.
    """
    lines = []
    for name, count in channels.items():
        lines.append(f"input: {_quoted(name)} input_shape {{ dim: 1 dim: {count} dim: 64 dim: 64 }}")
    lines += [_layer_text(node) for node in wiring.nodes]
    return "\n".join(lines)


def _layer_text(node: Node) -> str:
    """A layer as OpenCV knows it: layers of forks become those of Caffe that compute the same."""
    layer = node.layer
    if layer.type == "Axpy":
        return _axpy_text(node)
    rest = Message({name: values for name, values in layer.fields.items() if name not in (*_RULES, "bottom", "top")})
    kind = "Convolution" if layer.type in ("ConvolutionDepthwise", "DepthwiseConvolution") else layer.type
    if layer.type not in PARAMETERS:
        return _text(layer.name, kind, node.inputs, node.outputs, rest)
    parameters = read_parameters(layer.fields, layer.type)
    message = Message(parameter_message(layer.fields, layer.type))
    message.update({name: [parameters[name]] for name in _STATED.get(layer.type, ())})
    for old, new in (("hole", "dilation"), ("hole_h", "dilation_h"), ("hole_w", "dilation_w")):
        if old in message:
            message[new] = message.pop(old)
    if message.pop("round_mode", ["CEIL"]) == ["FLOOR"]:
        message["ceil_mode"] = [Word("false")]
    if kind != layer.type and "group" not in message:
        message["group"] = message["num_output"]
    if message:
        rest[PARAMETERS[layer.type].message] = [message]
    return _text(layer.name, kind, node.inputs, node.outputs, rest)


def _axpy_text(node: Node) -> str:
    """A factor for each channel, and a sum."""
    name, (factor, x, y), (top,) = node.layer.name, node.inputs, node.outputs
    scale = Message(scale_param=[Message(axis=[0])])
    return "\n".join(
        (
            _text(f"{name}~flat", "Flatten", (factor,), (f"{top}~flat",), Message()),
            _text(f"{name}~product", "Scale", (x, f"{top}~flat"), (f"{top}~product",), scale),
            _text(name, "Eltwise", (f"{top}~product", y), (top,), Message()),
        )
    )


def _text(name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str], rest: Message) -> str:
    wires = [f"bottom: {_quoted(blob)}" for blob in bottoms] + [f"top: {_quoted(blob)}" for blob in tops]
    return f"layer {{ name: {_quoted(name)} type: {_quoted(kind)} {' '.join(wires)} {_fields_text(rest)} }}"


def _fields_text(message: Message) -> str:
    return " ".join(_field_text(name, value) for name, values in message.items() for value in values)


def _field_text(name: str, value: FieldValue) -> str:
    if isinstance(value, Message):
        return f"{name} {{ {_fields_text(value)} }}"
    if isinstance(value, Word) or not isinstance(value, str):
        return f"{name}: {value}"
    return f"{name}: {_quoted(value)}"


def _quoted(text: str) -> str:
    escaped: Sequence[str] = [f"\\{letter}" if letter in '"\\' else letter for letter in text]
    return f'"{"".join(escaped)}"'
