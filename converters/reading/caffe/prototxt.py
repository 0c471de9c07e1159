"""Caffe's description of a network, a prototxt: its layers in the phase TEST, with Caffe's defaults filled in.

Reference: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto; the layers Interp and BN are of forks,
https://github.com/hszhao/PSPNet.
"""

import pathlib
from typing import NamedTuple

from converters.errors import ConversionError
from converters.reading.caffe import caffemodel
from converters.reading.files import is_web_page, naming
from converters.reading.protobuf.text_format import Message, Word, parse

_LARGEST = 2**24  # bytes; those of the largest networks are a tenth of it

# Names of V1's constants that are not the V2 name in capitals, its words parted by _.
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

# type: (message, field -> default). A tuple is a repeated field. Pixels stand in WINDOWS.
_CONVOLUTION = ("convolution_param", {"num_output": 0, "bias_term": True, "group": 1})
DEFAULTS = {
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
# type: (rows and columns -> the field for both, the field of each begins; the default).
_WINDOW = {"kernel": ("kernel_size", "kernel", 0), "stride": ("stride", "stride", 1), "pad": ("pad", "pad", 0)}
_DILATED = _WINDOW | {"dilation": ("dilation", "dilation", 1)}
WINDOWS = {"Convolution": _DILATED, "Deconvolution": _DILATED, "Pooling": _WINDOW}

# Constants that may be written as their number.
_CONSTANTS = {
    "pool": ("MAX", "AVE", "STOCHASTIC"),
    "operation": ("PROD", "SUM", "MAX"),
    "round_mode": ("CEIL", "FLOOR"),
    "norm_region": ("ACROSS_CHANNELS", "WITHIN_CHANNEL"),
    "phase": ("TRAIN", "TEST"),
}
_TRUTHS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}


class Layer(NamedTuple):
    """One layer.

    Attributes:
        name, type: the type as of today, "InnerProduct" also where the file has INNER_PRODUCT.
        bottoms, tops: names of what it reads and makes.
        parameters: of the types in `DEFAULTS`, by the field's name, and by "kernel", "stride", "pad", "dilation" as
            (rows, columns); filled in where the file leaves them out.
        shared: the names that its weights bear, which they share with other layers' of those names.
        fields: everything, as it stands in the file.
    """

    name: str
    type: str
    bottoms: tuple
    tops: tuple
    parameters: dict
    shared: tuple
    fields: Message


class Net(NamedTuple):
    """A network: its name, the sizes of its inputs (blob -> sizes, or None where unknown), and its layers in order."""

    name: str
    inputs: dict
    layers: tuple


def read_prototxt(path):
    """The layers of a prototxt in the phase TEST, as a `Net`. Unknown layers and fields are kept as data.

    Raises: ConversionError naming the file, with line and column for what is no text format; for a network of the days
        before 2014 (V0); for a .caffemodel or another file that describes no network.
    """
    path = pathlib.Path(path)
    with naming(path):
        return _net(parse(_text(path)))


def _text(path):
    if not path.exists():
        raise ConversionError("there is no such file. Expected a Caffe prototxt.")
    if not path.is_file():
        raise ConversionError("is no file. Expected a Caffe prototxt.")
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
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


def _net(fields):
    layers = []
    for one in [*fields.get("layers", []), *fields.get("layer", [])]:
        if not isinstance(one, Message):
            raise ConversionError(f"a layer is a message in braces. Received: {one!r}.")
        if "layer" in one:
            raise ConversionError(
                f"line {one.line}: holds a layer inside its layers, as Caffe wrote them until 2013 (V0). Bring it to "
                "today's form with Caffe's own tool, upgrade_net_proto_text."
            )
        if _in_test(one):
            layers.append(_layer(one))
    if not layers:
        raise ConversionError(
            "describes no layers. Expected the prototxt of a network, as deploy.prototxt; that of a solver names it "
            f"under net. Received: {'fields ' + ', '.join(list(fields)[:6]) if fields else 'nothing'}."
        )
    inputs = dict(zip(_all(fields, "input", str), _input_sizes(fields), strict=False))
    for layer in layers:
        if not layer.bottoms:
            inputs |= dict(zip(layer.tops, _layer_sizes(layer), strict=False))
    return Net(_one(fields, "name", ""), inputs, tuple(layers))


def _input_sizes(fields):
    """The sizes of the inputs, one after the other; None without end behind the last that are told."""
    flat = _all(fields, "input_dim", int)
    yield from ([tuple(flat[start : start + 4]) for start in range(0, len(flat) - 3, 4)])
    yield from _shapes(fields, "input_shape")
    yield from [None] * len(fields.get("input", ()))


def _layer_sizes(layer):
    """Of the blobs of a layer that reads none: as it tells them, or as a data layer crops its images."""
    for message in ("input_param", "dummy_data_param"):
        for one in _messages(layer.fields, message):
            yield from _shapes(one, "shape")
    for one in _messages(layer.fields, "transform_param"):
        if side := _one(one, "crop_size", 0):
            yield (None, None, side, side)
    yield from [None] * len(layer.tops)


def _shapes(fields, name):
    return [tuple(_all(one, "dim", int)) for one in _messages(fields, name)]


def _layer(fields):
    name = _one(fields, "name", "")
    with naming(f"the layer {name!r}, line {fields.line}"):
        kind = _one(fields, "type", "")
        kind = _modern(kind) if isinstance(kind, Word) else kind
        named = [_one(one, "name", "") for one in _messages(fields, "param")]
        shared = named or [one for one in fields.get("param", ()) if isinstance(one, str)]  # in V1, bare
        bottoms, tops = (tuple(_all(fields, field, str)) for field in ("bottom", "top"))
        return Layer(name, kind, bottoms, tops, _parameters(fields, kind), tuple(shared), fields)


def _modern(constant):
    return _V1_TYPES.get(constant) or "".join(word.capitalize() for word in constant.split("_"))


def _parameters(fields, kind):
    if kind not in DEFAULTS:
        return {}
    message, defaults = DEFAULTS[kind]
    own = _one(fields, message, Message())
    found = {
        field: tuple(_all(own, field, float)) if isinstance(default, tuple) else _one(own, field, default)
        for field, default in defaults.items()
    }
    for name, (both, each, default) in WINDOWS.get(kind, {}).items():
        found[name] = _pair(own, both, (f"{each}_h", f"{each}_w"), default)
    if "concat_dim" in own:
        found["axis"] = found["concat_dim"]
    return found


def _pair(fields, both, each, default):
    """Pixels along rows and columns: one number for both, one for each, or a field for each."""
    if any(name in fields for name in each):
        return tuple(_one(fields, name, default) for name in each)
    numbers = _all(fields, both, int) or [default]
    return (numbers[0], numbers[0]) if len(numbers) == 1 else tuple(numbers)


def _in_test(fields):
    """Whether a layer is there in the phase TEST, without stages and at level 0."""
    include, exclude = ([_meets(rule) for rule in _messages(fields, field)] for field in ("include", "exclude"))
    return (not include or any(include)) and not any(exclude)


def _meets(rule):
    levels = _one(rule, "min_level", 0) <= 0 <= _one(rule, "max_level", 0)
    return levels and "stage" not in rule and _one(rule, "phase", "TEST") == "TEST"


def _one(fields, name, default):
    """The one value of a field, of the default's type.

    Raises: ConversionError for a value of another type, and for several.
    """
    values = fields.get(name, [])
    if len(values) > 1:
        raise ConversionError(f"{name} stands there {len(values)} times where one value is expected.")
    return _typed(values[0], type(default), name) if values else default


def _all(fields, name, kind):
    return [_typed(value, kind, name) for value in fields.get(name, ())]


def _messages(fields, name):
    return [one for one in fields.get(name, ()) if isinstance(one, Message)]


def _typed(value, kind, name):
    if kind is str and isinstance(value, int) and 0 <= value < len(_CONSTANTS.get(name, ())):
        return _CONSTANTS[name][value]
    if kind is bool and str(value) in _TRUTHS:
        return _TRUTHS[str(value)]
    if kind is float and isinstance(value, int | float):
        return float(value)
    if isinstance(value, kind) and kind is not bool:
        return value
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number", Message: "a message"}
    raise ConversionError(f"{name} is {words[kind]}. Received: {'a message' if isinstance(value, dict) else value!r}.")
