"""The layers that a `.caffemodel` defines beside its weights: the network that was saved, without its prototxt.

They are read as the messages that a prototxt would have. A file of a fork, whose parameters have other numbers, says so
by a number that Caffe's own description lacks: it needs its prototxt.
"""

import struct
from collections.abc import Iterator, Mapping

from converters.errors import ConversionError
from converters.reading import hdf5, limits
from converters.reading.caffe.fields import LayerField, NetField, V1LayerField
from converters.reading.caffe.prototxt import PrototxtNet, make_net
from converters.reading.caffe.schema import ENUMERATIONS, MESSAGES, PARAMETERS, PLAIN, V1_TYPES
from converters.reading.files import map_file, naming
from converters.reading.protobuf.text_format import FieldValue, Message, Word
from converters.reading.protobuf.wire import Value, fields, integers, is_fixed, text
from converters.types import Path

# Fields that every layer may have: number -> name and kind. `None` is left out.
_COMMON: Mapping[int, tuple[str, str] | None] = {
    LayerField.NAME: ("name", "text"),
    LayerField.TYPE: ("type", "text"),
    3: ("bottom", "text"),
    4: ("top", "text"),
    6: ("param", "ParamSpec"),
    LayerField.INCLUDE: ("include", "Rule"),
    9: ("exclude", "Rule"),
    # How a layer is trained, and how images are read.
    **dict.fromkeys((5, LayerField.BLOBS, LayerField.PHASE, 11, 100, 101)),
}
_V1_COMMON: Mapping[int, tuple[str, str] | None] = {
    V1LayerField.NAME: ("name", "text"),
    2: ("bottom", "text"),
    3: ("top", "text"),
    1001: ("param", "text"),
    V1LayerField.INCLUDE: ("include", "Rule"),
    33: ("exclude", "Rule"),
    **dict.fromkeys((V1LayerField.TYPE, V1LayerField.BLOBS, 7, 8, 35, 36, 42, 1002)),
}
_FORK = "The file was written by a fork of Caffe. Give its prototxt: prototxt='deploy.prototxt' (--prototxt)."


def defined_net(path: Path) -> PrototxtNet | None:
    """The network that a file defines, in the phase TEST; None where it holds weights alone.

    Args:
        path: where the file lies.
    Raises: ConversionError naming the file: a layer of a fork of Caffe, or a damaged message.
    """
    with naming(path):
        data = map_file(path)
        if bytes(data[:8]).startswith(hdf5.MAGIC):
            return None
        with limits.budget(len(data)):
            return _net(data)


def _net(data: memoryview) -> PrototxtNet | None:
    net = Message()
    for number, value in fields(data):
        if number == NetField.LAYERS and isinstance(value, memoryview):
            net.setdefault("layer", []).append(_layer(value))
        elif number == NetField.V1_LAYERS and isinstance(value, memoryview):
            net.setdefault("layers", []).append(_v1_layer(value))
        elif number in MESSAGES["Net"]:
            name, kind = MESSAGES["Net"][number]
            net.setdefault(name, []).extend(_values(value, kind))
    layers = [layer for layer in [*net.get("layer", []), *net.get("layers", [])] if isinstance(layer, Message)]
    if not any("bottom" in layer and "top" in layer for layer in layers):
        return None
    return make_net(net)


def _layer(message: memoryview) -> Message:
    kind = next((text(value) for number, value in fields(message) if number == LayerField.TYPE), "")
    return _read_layer(message, kind, _COMMON, version=0)


def _v1_layer(message: memoryview) -> Message:
    code = next((value for number, value in fields(message) if number == V1LayerField.TYPE), 0)
    name = V1_TYPES.get(code if isinstance(code, int) else 0, f"TYPE_{code}")
    layer = _read_layer(message, _MODERN.get(name, name), _V1_COMMON, version=1)
    layer["type"] = [Word(name)]
    return layer


# Types by their names of today, where they have parameters.
_MODERN = {kind.upper(): kind for kind in (*PARAMETERS, *PLAIN)} | {"INNER_PRODUCT": "InnerProduct"}


def _read_layer(message: memoryview, kind: str, common: Mapping[int, tuple[str, str] | None], version: int) -> Message:
    """A layer's fields; those of layers that are left out, such as losses, without their parameters."""
    layer = Message()
    number_of_own = PARAMETERS[kind][version] if kind in PARAMETERS else 0
    name = next((text(value) for number, value in fields(message) if common.get(number) == ("name", "text")), "")
    for number, value in fields(message):
        if number in common:
            entry = common[number]
            if entry is not None:
                layer.setdefault(entry[0], []).extend(_values(value, entry[1]))
        elif number_of_own and number == number_of_own and isinstance(value, memoryview):
            with naming(f"the layer {name!r} ({kind})"):
                layer.setdefault(PARAMETERS[kind][2], []).append(_message(value, PARAMETERS[kind][3]))
        elif kind in PARAMETERS or kind in PLAIN:
            raise ConversionError(f"the layer {name!r} ({kind}) has the field {number}, which Caffe's lacks. {_FORK}")
    return layer


def _message(message: memoryview, kind: str) -> Message:
    read = Message()
    for number, value in fields(message):
        if number not in MESSAGES[kind]:
            raise ConversionError(f"its parameters have the field {number}, which Caffe's lack. {_FORK}")
        name, inner = MESSAGES[kind][number]
        read.setdefault(name, []).extend(_values(value, inner))
    return read


def _values(value: Value, kind: str) -> Iterator[FieldValue]:
    """The values of a field, as a prototxt has them."""
    match kind:
        case "text":
            yield text(value)
        case "int":
            yield from integers(value)
        case "bool":
            for number in integers(value):
                if number not in (0, 1):
                    raise ConversionError(f"a field that is true or false has the number {number}. {_FORK}")
                yield Word("true" if number else "false")
        case "float":
            yield from _floats(value)
        case _ if kind in ENUMERATIONS:
            for number in integers(value):
                if number not in ENUMERATIONS[kind]:
                    raise ConversionError(f"a constant has the number {number}, which Caffe's lacks. {_FORK}")
                yield Word(ENUMERATIONS[kind][number])
        case _:
            if isinstance(value, memoryview):
                yield _message(value, kind)


def _floats(value: Value) -> Iterator[float]:
    """Numbers in single precision, as their shortest decimals: 1e-5 is written as 9.99999975e-06."""
    if isinstance(value, memoryview) and len(value) % 4 == 0:
        raw = bytes(value)
    elif isinstance(value, int | memoryview) or not is_fixed(value, 4):
        raise ConversionError(f"a number is no number of 32 bits. {_FORK}")
    else:
        raw = value.tobytes()
    for (number,) in struct.iter_unpack("<f", raw):
        yield float(f"{number:.7g}")
