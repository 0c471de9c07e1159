"""Caffe's description of a network, a prototxt: its layers in the phase TEST, with Caffe's defaults filled in.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto; the layers Interp and BN come from a
fork, https://github.com/hszhao/PSPNet.
"""

import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.caffe import caffemodel
from converters.reading.caffe.message_fields import messages, pixel_pair, single, values
from converters.reading.files import naming
from converters.reading.protobuf.text_format import Message, Word, parse
from converters.reading.strangers import is_web_page
from converters.types import Path

_LARGEST = 2**24  # bytes, ten times the largest networks' prototxt

# V1 names a type in capitals, its words separated by _. These types are not found by that rule.
_V1_TYPES = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}

# type: (message, field -> default). A tuple is a repeated field. For sizes in pixels see WINDOWS.
_CONVOLUTION = ("convolution_param", {"num_output": 0, "bias_term": True, "group": 1})
DEFAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Convolution": _CONVOLUTION,
    "Deconvolution": _CONVOLUTION,
    "InnerProduct": ("inner_product_param", {"num_output": 0, "bias_term": True, "axis": 1, "transpose": False}),
    "Pooling": ("pooling_param", {"pool": "MAX", "global_pooling": False, "round_mode": "CEIL"}),
    "BatchNorm": ("batch_norm_param", {"eps": 1e-5, "use_global_stats": True}),  # in the phase TEST
    "BN": ("bn_param", {"eps": 1e-5}),
    "Scale": ("scale_param", {"axis": 1, "num_axes": 1, "bias_term": False}),
    "Bias": ("bias_param", {"axis": 1, "num_axes": 1}),
    "Crop": ("crop_param", {"axis": 2, "offset": ()}),
    "Interp": (
        "interp_param",
        {"height": 0, "width": 0, "zoom_factor": 1, "shrink_factor": 1, "pad_beg": 0, "pad_end": 0},
    ),
    "Eltwise": ("eltwise_param", {"operation": "SUM", "coeff": ()}),
    "Concat": ("concat_param", {"axis": 1, "concat_dim": 1}),
    "LRN": ("lrn_param", {"local_size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0, "norm_region": "ACROSS_CHANNELS"}),
    "Dropout": ("dropout_param", {"dropout_ratio": 0.5}),
    "Power": ("power_param", {"power": 1.0, "scale": 1.0, "shift": 0.0}),
    "ReLU": ("relu_param", {"negative_slope": 0.0}),
}
# type: name of the pair -> (the field for both, how the field of each begins, the default).
_WINDOW = {"kernel": ("kernel_size", "kernel", 0), "stride": ("stride", "stride", 1), "pad": ("pad", "pad", 0)}
_DILATED = _WINDOW | {"dilation": ("dilation", "dilation", 1)}
WINDOWS: dict[str, dict[str, tuple[str, str, int]]] = {
    "Convolution": _DILATED,
    "Deconvolution": _DILATED,
    "Pooling": _WINDOW,
}


Sizes = tuple[int | None, ...] | None
"""Sizes of a blob, as far as the file states them."""


@dataclass(frozen=True)
class PrototxtLayer:
    """One layer.

    Attributes:
        name: name of the layer.
        type: type by its name of today: "InnerProduct", also where the file has INNER_PRODUCT.
        bottoms, tops: names of the blobs that it reads and makes.
        parameters: parameters of a type in `DEFAULTS`, by the field's name, filled in where the file leaves them out.
            Sizes in pixels are pairs (rows, columns) under "kernel", "stride", "pad" and "dilation".
        shared: names of its weights; layers with the same names share them.
        fields: everything, as it stands in the file.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    parameters: dict[str, Any]
    shared: tuple[str, ...]
    fields: Message


class PrototxtNet(NamedTuple):
    """A network: its name, the sizes of its inputs (blob -> sizes, or None where unknown), and its layers in order."""

    name: str
    inputs: dict[str, Sizes]
    layers: tuple[PrototxtLayer, ...]


def read_prototxt(path: Path) -> PrototxtNet:
    """The layers of a prototxt in the phase TEST. Unknown layers and fields are kept as data.

    Args:
        path: where the prototxt lies.
    Raises: ConversionError naming the file, with line and column where it is not in text format. Also for a network
        from before 2014 (V0), and for a .caffemodel or another file that describes no network.
    """
    path = pathlib.Path(path)
    with naming(path):
        text = _text(path)
        with limits.budget(len(text)):
            return make_net(parse(text))


def _text(path: pathlib.Path) -> str:
    if not path.exists():
        raise ConversionError("there is no such file. Expected a Caffe prototxt.")
    if not path.is_file():
        raise ConversionError("is not a file. Expected a Caffe prototxt.")
    with open(path, "rb") as file:
        data = file.read(min(os.path.getsize(path), _LARGEST) + 1)
    if b"\0" in data[:4096] and caffemodel.recognizes(data[:512]):
        raise ConversionError(
            "is a .caffemodel, which holds weights. Expected the prototxt that describes the network, a text."
        )
    if len(data) > _LARGEST:
        raise ConversionError(f"is larger than {_LARGEST >> 20} MiB. Expected a Caffe prototxt, a text of some pages.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ConversionError("is a binary file. Expected a Caffe prototxt, which is text.")
    if is_web_page(data[:512]):
        raise ConversionError("is a web page: open the link in a browser, and download the prototxt itself.")
    return text


def make_net(fields: Message) -> PrototxtNet:
    """The network of a message's fields.

    Args:
        fields: message of a whole network.
    Raises: ConversionError as `read_prototxt`.
    """
    layers = []
    for message in [*fields.get("layers", []), *fields.get("layer", [])]:
        if not isinstance(message, Message):
            raise ConversionError(f"a layer is a message in braces. Received: {message!r}.")
        if "layer" in message:
            raise ConversionError(
                f"line {message.line}: holds a layer inside its layers, as Caffe wrote them until 2013 (V0). Bring it "
                "to today's form with Caffe's own tool, upgrade_net_proto_text."
            )
        if _in_test(message):
            layers.append(_layer(message))
    if not layers:
        raise ConversionError(
            "describes no layers. Expected the prototxt of a network, as deploy.prototxt; that of a solver names it "
            f"under net. Received: {'fields ' + ', '.join(list(fields)[:6]) if fields else 'nothing'}."
        )
    inputs: dict[str, Sizes] = dict(zip(values(fields, "input", str), _input_sizes(fields), strict=False))
    for layer in layers:
        if not layer.bottoms:
            inputs |= dict(zip(layer.tops, _layer_sizes(layer), strict=False))
    return PrototxtNet(single(fields, "name", ""), inputs, tuple(layers))


def _input_sizes(fields: Message) -> Iterator[Sizes]:
    """The sizes of the inputs in order, then None for each input without stated sizes."""
    flat = values(fields, "input_dim", int)
    yield from (tuple(flat[start : start + 4]) for start in range(0, len(flat) - 3, 4))
    yield from _shapes(fields, "input_shape")
    yield from [None] * len(fields.get("input", ()))


def _layer_sizes(layer: PrototxtLayer) -> Iterator[Sizes]:
    """The sizes of the blobs of a layer that reads none: as it states them, or as a data layer crops its images."""
    for message_name in ("input_param", "dummy_data_param"):
        for message in messages(layer.fields, message_name):
            yield from _shapes(message, "shape")
    for message in messages(layer.fields, "transform_param"):
        if side := single(message, "crop_size", 0):
            yield (None, None, side, side)
    yield from [None] * len(layer.tops)


def _shapes(fields: Message, name: str) -> list[Sizes]:
    return [tuple(values(shape, "dim", int)) for shape in messages(fields, name)]


def _layer(fields: Message) -> PrototxtLayer:
    name = single(fields, "name", "")
    with naming(f"the layer {name!r}, line {fields.line}"):
        kind = single(fields, "type", "")
        kind = _modern(kind) if isinstance(kind, Word) else kind
        names = [single(param, "name", "") for param in messages(fields, "param")]
        shared = names or [param for param in fields.get("param", ()) if isinstance(param, str)]  # in V1, without name:
        return PrototxtLayer(
            name,
            kind,
            tuple(values(fields, "bottom", str)),
            tuple(values(fields, "top", str)),
            _parameters(fields, kind),
            tuple(shared),
            fields,
        )


def _modern(constant: str) -> str:
    """A type by its name of today."""
    return _V1_TYPES.get(constant) or "".join(word.capitalize() for word in constant.split("_"))


def _parameters(fields: Message, kind: str) -> dict[str, Any]:
    if kind not in DEFAULTS:
        return {}
    message_name, defaults = DEFAULTS[kind]
    message = single(fields, message_name, Message())
    parameters = {
        field: tuple(values(message, field, float)) if isinstance(default, tuple) else single(message, field, default)
        for field, default in defaults.items()
    }
    for name, (both, each, pixels) in WINDOWS.get(kind, {}).items():
        parameters[name] = pixel_pair(message, both, (f"{each}_h", f"{each}_w"), pixels)
    if kind == "Concat" and "concat_dim" in message:
        parameters["axis"] = parameters["concat_dim"]
    return parameters


def _in_test(fields: Message) -> bool:
    """Whether a layer is there in the phase TEST, without stages and at level 0."""
    include, exclude = ([_meets(rule) for rule in messages(fields, field)] for field in ("include", "exclude"))
    return (not include or any(include)) and not any(exclude)


def _meets(rule: Message) -> bool:
    levels = single(rule, "min_level", 0) <= 0 <= single(rule, "max_level", 0)
    return levels and "stage" not in rule and single(rule, "phase", "TEST") == "TEST"
