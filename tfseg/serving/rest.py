"""TF Serving's REST API: JSON to arrays and back.

Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfseg.serving.errors import Refused
from tfseg.serving.exported import ExportedModel
from tfseg.serving.uploads import count_pixels

_MOST_VALUES = 8_000_000  # values of an answer: about 150 MB of JSON

Specs = Mapping[str, Any]
"""Input name -> `tf.TensorSpec`."""


def read_request(body: bytes, exported: ExportedModel, max_pixels: int) -> tuple[str, dict[str, np.ndarray], bool]:
    """The signature name, the arrays by input name, and whether the answer is wanted by rows.

    Args:
        body: JSON of the request.
        exported: model that the request is for.
        max_pixels: largest number of pixels of all images together.
    Raises:
        Refused: the body is no such request, does not fit the signature, or has too many pixels.
    """
    request = _parse(body)
    signature = request.get("signature_name", "serving_default")
    if not isinstance(signature, str) or signature not in exported.signatures:
        raise Refused(
            400, f"The signatures are {', '.join(sorted(exported.signatures))}. Received: signature_name {signature!r}"
        )
    if len(request.keys() & {"instances", "inputs"}) != 1:
        raise Refused(400, f"A request has either instances or inputs. Received: {', '.join(request) or 'neither'}")
    specs, by_rows = exported.signatures[signature], "instances" in request
    columns = _columns_of_rows(request["instances"], specs) if by_rows else _columns(request["inputs"], specs)
    if columns.keys() != specs.keys():
        raise Refused(
            400, f"The inputs of {signature} are {', '.join(specs)}. Received: {', '.join(columns) or 'none'}"
        )
    inputs = {name: _array(name, value, specs[name]) for name, value in columns.items()}
    for value in inputs.values():
        _check_pixels(value, max_pixels)
    return signature, inputs, by_rows


def write_answer(outputs: Mapping[str, np.ndarray], by_rows: bool) -> bytes:
    """JSON with `predictions` by rows, or with `outputs`. A single output has no name.

    Args:
        outputs: output name -> array.
        by_rows: whether the answer is by rows.
    Raises:
        Refused: there are too many values for JSON.
    """
    values = sum(value.size for value in outputs.values())
    if values > _MOST_VALUES:
        raise Refused(413, f"An answer has at most {_MOST_VALUES} values: ask for classes. Received: {values}")
    columns = {name: value.tolist() for name, value in outputs.items()}
    answer: Any = columns
    if len(columns) == 1:
        (answer,) = columns.values()
    elif by_rows:
        answer = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions" if by_rows else "outputs": answer}).encode()


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise Refused(400, f"The request is not JSON: {reason}") from error
    if not isinstance(request, dict):
        raise Refused(400, f"A request is a JSON object. Received: {type(request).__name__}")
    return request


def _refuse_constant(text: str) -> None:
    raise ValueError(f"JSON has no number {text}")


def _columns(value: Any, specs: Specs) -> dict[str, Any]:
    """Input name -> value; a single input may come without its name."""
    return value if _is_named(value) else dict.fromkeys(list(specs)[:1], value)


def _columns_of_rows(rows: Any, specs: Specs) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f"Instances are a list of at least one. Received: {_short(rows)}")
    if not all(map(_is_named, rows)):
        return _columns(rows, specs)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise Refused(400, "All instances have the same inputs. Received: rows of different names")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _array(name: str, value: Any, spec: Any) -> np.ndarray:
    """The array of a `tf.TensorSpec`; for strings, an array of bytes."""
    if spec.dtype.name == "string":
        files = [_to_bytes(item) for item in value] if isinstance(value, list) else _to_bytes(value)
        return np.array(files, dtype=object)
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise Refused(400, f"{name} is a regular array: {error}") from error
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    if array.dtype.kind not in ("iu" if dtype.kind in "iu" else "iuf"):
        raise Refused(400, f"{name} has numbers of {dtype}. Received: {_short(value)}")
    if dtype.kind in "iu" and not (np.iinfo(dtype).min <= array.min() <= array.max() <= np.iinfo(dtype).max):
        raise Refused(400, f"{name} has numbers of {dtype}. Received: {array.min()} to {array.max()}")
    return array.astype(dtype)


def _to_bytes(value: Any) -> bytes:
    if not isinstance(value, dict) or value.keys() != {"b64"} or not isinstance(value["b64"], str):
        raise Refused(400, f'An image file comes as {{"b64": "..."}}. Received: {_short(value)}')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise Refused(400, f"The text of b64 is not base64: {error}") from error


def _check_pixels(array: np.ndarray, max_pixels: int) -> None:
    """Counts the pixels of image files before TensorFlow decodes them."""
    pixels = (
        sum(count_pixels(content, max_pixels) for content in array.ravel())
        if array.dtype == object
        else int(np.prod(array.shape[:-1]))
    )
    if pixels > max_pixels:
        raise Refused(413, f"The images of a request have at most {max_pixels} pixels together. Received: {pixels}")


def _short(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else repr(value)[:60]
