"""TF Serving's REST API: JSON to arrays and back.

It runs in a process of its own, see `tfseg.serving.json_process`, and needs neither Keras nor TensorFlow.

Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from tfseg.serving.errors import Refused

_MOST_VALUES = 8_000_000  # values of an answer: about 150 MB of JSON
_DEFAULT = "serving_default"
_DEFAULT_OF_FILES = "classes_from_bytes"
_DATA_ADDRESS = re.compile(r"data:[^,]{0,200};base64,")

Inputs = Mapping[str, str]
"""Input name -> dtype of numpy, or "string" for files."""


class Request(NamedTuple):
    """What a request asks for.

    Attributes:
        signature: name of the signature.
        inputs: input name -> array; files are an array of bytes objects.
        by_rows: whether the answer is wanted by rows.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    by_rows: bool


def read_request(body: bytes, signatures: Mapping[str, Inputs], most_elements: int) -> Request:
    """The request in a JSON body of `:predict`.

    Args:
        body: JSON of the request.
        signatures: the inputs of each signature.
        most_elements: numbers, lists and objects that the JSON may have.
    Raises:
        Refused: the body is no such request, or does not fit the signature.
    """
    request = _parse(body, most_elements)
    signature = request.get("signature_name", _DEFAULT_OF_FILES if _has_files(request) else _DEFAULT)
    if not isinstance(signature, str) or signature not in signatures:
        raise Refused(
            400, f"The signatures are {', '.join(sorted(signatures))}. Received: signature_name {repr(signature)[:99]}"
        )
    if len(request.keys() & {"instances", "inputs"}) != 1:
        raise Refused(400, f"A request has either instances or inputs. Received: {_names(request) or 'neither'}")
    types, by_rows = signatures[signature], "instances" in request
    columns = _columns_of_rows(request["instances"], types) if by_rows else _columns(request["inputs"], types)
    if columns.keys() != types.keys():
        raise Refused(400, f"The inputs of {signature} are {', '.join(types)}. Received: {_names(columns) or 'none'}")
    return Request(signature, {name: _array(name, value, types[name]) for name, value in columns.items()}, by_rows)


def read_file(body: bytes, most_elements: int) -> bytes:
    """The image file in a JSON body of `/segment`: `{"b64": "..."}`, alone or as the only value of an object.

    Args:
        body: JSON of the request.
        most_elements: numbers, lists and objects that the JSON may have.
    Raises:
        Refused: the body is no such JSON.
    """
    value: Any = _parse(body, most_elements)
    if value.keys() != {"b64"} and len(value) == 1:
        (value,) = value.values()
    return _to_bytes(value)


def write_answer(parts: Sequence[Mapping[str, np.ndarray]], by_rows: bool) -> bytes:
    """JSON with `predictions` by rows, or with `outputs`. A single output has no name.

    Args:
        parts: output name -> array, for each part of the rows; several parts if rows differ in size.
        by_rows: whether the answer is by rows.
    Raises:
        Refused: the answer cannot be JSON.
    """
    columns = {name: _written([part[name] for part in parts], name) for name in parts[0]}
    answer: Any = columns
    if len(columns) == 1:
        (answer,) = columns.values()
    elif by_rows:
        answer = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return orjson.dumps({"predictions" if by_rows else "outputs": answer}, option=orjson.OPT_SERIALIZE_NUMPY)


def check_size(parts: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Refuses an answer that would be too long as JSON. It is asked before arrays go to the process for JSON.

    Args:
        parts: see `write_answer`.
    Raises:
        Refused: it has too many values.
    """
    values = sum(value.size for part in parts for value in part.values())
    if values > _MOST_VALUES:
        raise Refused(413, f"An answer has at most {_MOST_VALUES} values: ask for classes. Received: {values}")


def _written(values: Sequence[np.ndarray], name: str) -> Any:
    """An output as orjson takes it: an array, or a list of rows of different sizes."""
    for value in values:
        if value.dtype.kind not in "biuf":
            raise Refused(400, f"The output {name} has no numbers but {value.dtype}: it cannot be answered as JSON")
        if not np.isfinite(value).all():
            raise Refused(422, f"The output {name} has numbers that JSON does not: NaN or infinity. Look at the input.")
    whole = [np.ascontiguousarray(value) if value.ndim else value.item() for value in values]
    return whole[0] if len(whole) == 1 else [row for value in whole for row in value]


def _parse(body: bytes, most_elements: int) -> dict[str, Any]:
    # Counted before any object is made: a list of empty lists takes 30 times its text.
    elements = body.count(b",") + body.count(b"[") + body.count(b"{")
    if elements > most_elements:
        raise Refused(
            413, f"JSON has at most {most_elements} elements here: send images as files. Received: {elements}"
        )
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "memory" in str(error):
            raise MemoryError from error
        raise Refused(400, f"The request is not JSON, or nested too deeply: {error}") from error
    if not isinstance(request, dict):
        raise Refused(400, f"A request is a JSON object. Received: {type(request).__name__}")
    return request


def _has_files(request: Mapping[str, Any]) -> bool:
    """Whether the first value of a request is an image file; such a request needs no name of a signature."""
    value = request.get("instances", request.get("inputs"))
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and value.keys() != {"b64"} and len(value) == 1:
        (value,) = value.values()
        value = value[0] if isinstance(value, list) and value else value
    return isinstance(value, dict) and value.keys() == {"b64"}


def _columns(value: Any, types: Inputs) -> dict[str, Any]:
    """Input name -> value; a single input may come without its name."""
    return value if _is_named(value) else dict.fromkeys(list(types)[:1], value)


def _columns_of_rows(rows: Any, types: Inputs) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f"Instances are a list of at least one. Received: {_short(rows)}")
    if not all(map(_is_named, rows)):
        return _columns(rows, types)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise Refused(400, "All instances have the same inputs. Received: rows of different names")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _array(name: str, value: Any, dtype_name: str) -> np.ndarray:
    """The array of an input; for files, an array of bytes."""
    if dtype_name == "string":
        files = [_to_bytes(item) for item in value] if isinstance(value, list) else _to_bytes(value)
        return np.array(files, dtype=object)
    # With one text among numbers, NumPy would make all elements as long as that text.
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise Refused(400, f"{name} has numbers of {dtype_name}, nested less deeply. Received: {error}") from error
    if b'"' in text:
        raise Refused(400, f"{name} has numbers of {dtype_name}. Received: {_short(value)}, with text in it")
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise Refused(400, f"{name} is a regular array: {error}") from error
    dtype = np.dtype(dtype_name)
    if array.dtype.kind not in ("iu" if dtype.kind in "iu" else "iuf") or not array.size:
        raise Refused(400, f"{name} has numbers of {dtype}. Received: {_short(value)}")
    if dtype.kind in "iu" and not (np.iinfo(dtype).min <= array.min() <= array.max() <= np.iinfo(dtype).max):
        raise Refused(400, f"{name} has numbers of {dtype}. Received: {array.min()} to {array.max()}")
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if dtype.kind == "f" and not np.isfinite(converted).all():
        largest = max(float(array.max()), -float(array.min()))
        raise Refused(400, f"{name} has numbers of {dtype}, up to {np.finfo(dtype).max:g}. Received: {largest:g}")
    return converted


def _to_bytes(value: Any) -> bytes:
    """The bytes of base64, which may have line breaks and be the address of data."""
    if not isinstance(value, dict) or value.keys() != {"b64"} or not isinstance(value["b64"], str):
        raise Refused(400, f'An image file comes as {{"b64": "..."}}. Received: {_short(value)}')
    text = value["b64"]
    start = _DATA_ADDRESS.match(text)
    try:
        return base64.b64decode("".join(text[start.end() if start else 0 :].split()), validate=True)
    except ValueError as error:
        raise Refused(400, f"The text of b64 is not base64: {error}") from error


def _names(values: Mapping[str, Any]) -> str:
    text = ", ".join(values)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _short(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else repr(value)[:60]
