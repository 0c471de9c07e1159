"""What an ONNX file computes, by onnxruntime: the witness that a built model is compared with.

A file of one size is also run at others: its bytes are copied without the sizes that it states.

Reference: https://onnxruntime.ai/docs/api/python
"""

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from converters.building.onnx.file_images import Image
from converters.errors import ConversionError
from converters.reading.onnx.fields import GraphField, ModelField, TypeField, ValueInfoField
from converters.reading.protobuf.wire import fields, text
from converters.types import Path

_VALUE_INFO = 13  # field of GraphProto: shapes of values that tools noted
_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
}
_LARGEST = 2**31 - 1  # bytes of a message of protocol buffers


def is_available() -> bool:
    """Whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def runner(path: Path, image: Image, *, freed: bool) -> Callable[[np.ndarray], Any]:
    """A function that runs the file on images `(batch, channels, height, width)`.

    Args:
        path: path of the file.
        image: input of the file.
        freed: whether it is run at other sizes than the one that it states.
    Returns: function that gives the results as arrays: maps with their channels before rows and columns.
    Raises:
        ConversionError: a file that onnxruntime does not open.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # The nodes as they stand in the file: its optimizer loses digits of weights that the graph standardizes.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        source: Any = str(path)
        if freed:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", _folder(path))
            source = without_sizes(path, image.order or (image.name,))
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes
        raise ConversionError(
            f"onnxruntime does not open it, so that the model cannot be compared: {_first_line(error)}"
        ) from error
    dtypes = {part.name: _TYPES.get(part.type, "float32") for part in session.get_inputs()}

    def run(images: Any) -> Any:
        named = image.named(images)
        number = len(named[image.name])
        step = image.batch or number
        results = []
        for start in range(0, number, step):
            missing = max(start + step - number, 0)
            given = {}
            for name, array in named.items():
                part = array[start : start + step]
                batch = np.concatenate([part, part[:1].repeat(missing, 0)]) if missing else part
                batch = batch.transpose(0, 2, 3, 1) if image.channels_last else batch
                given[name] = np.ascontiguousarray(batch.astype(dtypes[name]))
            results.append([value[: step - missing] for value in session.run(None, given)])
        outputs = [np.concatenate(parts) for parts in zip(*results, strict=True)]
        if image.channels_last:
            outputs = [value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for value in outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    return run


def _folder(path: Path) -> str:
    import os

    return os.path.dirname(os.path.abspath(path))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def without_sizes(path: Path, names: Sequence[str]) -> bytes:
    """The bytes of a model whose images, results and noted values have no stated shapes.

    Args:
        path: path of the file.
        names: names of its images.
    Raises:
        ConversionError: a model that is too large to be copied.
    """
    with open(path, "rb") as file:
        data = memoryview(file.read())
    if len(data) > _LARGEST:
        raise ConversionError("is larger than 2 GiB, and can be compared at its own size only")
    parts = []
    for number, value in fields(data):
        if number == ModelField.GRAPH and isinstance(value, memoryview):
            parts.append(_field(number, b"".join(_graph(value, names))))
        else:
            parts.append(_encoded(number, value))
    return b"".join(parts)


def _graph(graph: memoryview, names: Sequence[str]) -> Iterable[bytes]:
    for number, value in fields(graph):
        if number == _VALUE_INFO:
            continue
        if (number == GraphField.OUTPUT and isinstance(value, memoryview)) or (
            number == GraphField.INPUT and isinstance(value, memoryview) and _name(value) in names
        ):
            yield _field(number, b"".join(_without_shape(value)))
        else:
            yield _encoded(number, value)


def _name(value: memoryview) -> str:
    return next((text(part) for number, part in fields(value) if number == ValueInfoField.NAME), "")


def _without_shape(info: memoryview) -> Iterable[bytes]:
    """A ValueInfoProto whose tensor has an element type and no shape."""
    for number, value in fields(info):
        if number == ValueInfoField.TYPE and isinstance(value, memoryview):
            yield _field(number, b"".join(_type(value)))
        else:
            yield _encoded(number, value)


def _type(value: memoryview) -> Iterable[bytes]:
    for number, part in fields(value):
        if number == TypeField.TENSOR_TYPE and isinstance(part, memoryview):
            kept = [_encoded(field, inner) for field, inner in fields(part) if field != TypeField.SHAPE]
            yield _field(number, b"".join(kept))
        else:
            yield _encoded(number, part)


def _encoded(number: int, value: Any) -> bytes:
    """A field as it stood: a varint, bytes, or fixed-width numbers."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, memoryview):
        return _field(number, value)
    wire = {4: 5, 8: 1}[value.shape[-1]]
    return b"".join(_varint(number << 3 | wire) + bytes(entry) for entry in value)


def _field(number: int, content: bytes | memoryview) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + bytes(content)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
