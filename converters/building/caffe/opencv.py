"""What OpenCV's own importer computes for a network of Caffe.

Reference: https://docs.opencv.org/4.x/d6/d0f/group__dnn.html, readNetFromCaffe
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.caffe import opencv_worker
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


def _window(node: Node) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, stride and padding of a layer."""
    message = parameter_message(node.layer.fields, node.layer.type)
    kernel, stride, pad = (
        pixel_pair(message, both, (f"{each}_h", f"{each}_w"), default)
        for both, each, default in (("kernel_size", "kernel", 0), ("stride", "stride", 1), ("pad", "pad", 0))
    )
    return kernel, stride, pad


def _after_the_map(node: Node, p: Mapping[str, Any]) -> bool:
    """Whether a pooling has windows that begin after the map, which only Caffe has."""
    kernel, stride, pad = _window(node)
    return not (p["global_pooling"] or any(pad)) and any(k < s for k, s in zip(kernel, stride, strict=False))


def _cuts_windows(node: Node, _: Mapping[str, Any]) -> bool:
    """Whether a transposed convolution cuts off more than its window, for which OpenCV reads what is not there."""
    kernel, _stride, pad = _window(node)
    return any(p >= k for p, k in zip(pad, kernel, strict=False))


# Type of a layer -> whether OpenCV computes it otherwise than Caffe. It is no witness of a network with such a layer.
_UNLIKE: dict[str, Callable[[Node, Mapping[str, Any]], bool]] = {
    "Deconvolution": _cuts_windows,
    "Interp": lambda node, p: bool(p["shrink_factor"] or p["pad_beg"] or p["pad_end"]),
    "Log": lambda node, p: (p["base"], p["scale"], p["shift"]) != (-1, 1, 0),
    "LRN": lambda node, p: p["k"] != 1,
    "MVN": lambda node, p: p["across_channels"] or p["eps"] != 1e-9,
    "Pooling": _after_the_map,
    "Swish": lambda node, p: p["beta"] != 1,
}


class NoWitness(ConversionError):
    """OpenCV does not run a network."""


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


@contextlib.contextmanager
def running(wiring: Wiring, channels: Mapping[str, int], weights: Path) -> Iterator[Callable[[Any], Any]]:
    """A function that computes the network's results on images `(batch, channels, height, width)`, or a list of them.

    Args:
        wiring: network at test time.
        channels: name of an image -> its channels.
        weights: path of the `.caffemodel`.
    Raises:
        NoWitness: OpenCV does not read the network; the function raises it where OpenCV does not run it.
    """
    makers = {name: node.layer.name for node in wiring.nodes for name in node.outputs}
    facts = {
        "text": network_text(wiring, channels),
        "weights": os.path.abspath(weights),
        "inputs": list(channels),
        "outputs": [makers[name] for name in wiring.outputs],
    }
    script = [sys.executable, opencv_worker.__file__]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(script, stdin=pipe, stdout=pipe, stderr=nowhere) as process:
        try:
            _ask(process, facts=json.dumps(facts))
            yield lambda images: _results(process, images)
        finally:
            process.kill()


def _results(process: subprocess.Popen[bytes], images: Any) -> Any:
    parts = images if isinstance(images, list) else [images]
    answer = _ask(process, **{f"image{index}": part.astype("float32") for index, part in enumerate(parts)})
    results = [answer[f"result{index}"] for index in range(len(answer) - 1)]
    return results[0] if len(results) == 1 else results


def _ask(process: subprocess.Popen[bytes], **message: Any) -> Mapping[str, np.ndarray]:
    """Sends a message to OpenCV's process, and returns the answer.

    Raises:
        NoWitness: OpenCV says no, or its process has ended.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        opencv_worker.send(process.stdin, **message)
        answer = opencv_worker.receive(process.stdout)
    except OSError:  # the pipe is closed
        answer = {}
    if not answer:
        raise NoWitness("OpenCV does not run it: its process ended")
    if error := str(answer["error"]):
        raise NoWitness(f"OpenCV does not run it: {' '.join(error.split())[:200]}")
    return answer


def network_text(wiring: Wiring, channels: Mapping[str, int]) -> str:
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
