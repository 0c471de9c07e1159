"""TF Serving's REST form: JSON to arrays and back.

Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import json

import numpy as np

from tfseg.serving.errors import Refused
from tfseg.serving.images import count_pixels

_MOST_VALUES = 8_000_000  # of an answer: about 150 MB of JSON


def read_request(body, exported, max_pixels):
    """(signature name, input name -> array, whether the answer is by rows) of a request's bytes.

    Raises:
        Refused: what is no such request, does not fit the signature, or has more pixels, all its images together.
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


def write_answer(outputs, by_rows):
    """The JSON of output name -> array: `predictions` by rows, or `outputs`; without a name where there is but one.

    Raises:
        Refused: more values than JSON is good for.
    """
    values = sum(value.size for value in outputs.values())
    if values > _MOST_VALUES:
        raise Refused(413, f"An answer has at most {_MOST_VALUES} values: ask for classes. Received: {values}")
    plain = {name: value.tolist() for name, value in outputs.items()}
    if len(plain) == 1:
        (plain,) = plain.values()
    elif by_rows:
        plain = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    return json.dumps({"predictions" if by_rows else "outputs": plain}).encode()


def _parse(body):
    try:
        request = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise Refused(400, f"The request is not JSON: {reason}") from error
    if not isinstance(request, dict):
        raise Refused(400, f"A request is a JSON object. Received: {type(request).__name__}")
    return request


def _refuse_constant(text):
    raise ValueError(f"{text} is no number of JSON")


def _columns(value, specs):
    """Input name -> value, where a single input may go without its name."""
    return value if _is_named(value) else dict.fromkeys(list(specs)[:1], value)


def _columns_of_rows(rows, specs):
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f"Instances are a list of at least one. Received: {_short(rows)}")
    if not all(map(_is_named, rows)):
        return _columns(rows, specs)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise Refused(400, "Instances all have the same inputs. Received: rows of different names")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_named(value):
    return isinstance(value, dict) and value.keys() != {"b64"}


def _array(name, value, spec):
    if spec.dtype.name == "string":
        files = [_to_bytes(one) for one in value] if isinstance(value, list) else _to_bytes(value)
        array = np.array(files, dtype=object)
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:  # rows of different lengths
            raise Refused(400, f"{name} is a regular array: {error}") from error
        dtype = np.dtype(spec.dtype.as_numpy_dtype)
        if array.dtype.kind not in ("iu" if dtype.kind in "iu" else "iuf"):
            raise Refused(400, f"{name} has numbers of {dtype}. Received: {_short(value)}")
        if dtype.kind in "iu" and not (np.iinfo(dtype).min <= array.min() <= array.max() <= np.iinfo(dtype).max):
            raise Refused(400, f"{name} has numbers of {dtype}. Received: {array.min()} to {array.max()}")
        array = array.astype(dtype)
    return array


def _to_bytes(value):
    if not isinstance(value, dict) or value.keys() != {"b64"} or not isinstance(value["b64"], str):
        raise Refused(400, f'A picture file comes as {{"b64": "..."}}. Received: {_short(value)}')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise Refused(400, f"What b64 holds is not base64: {error}") from error


def _check_pixels(array, most):
    """Files are looked into before TensorFlow decodes them."""
    pixels = (
        sum(count_pixels(data, most) for data in array.ravel())
        if array.dtype == object
        else int(np.prod(array.shape[:-1]))
    )
    if pixels > most:
        raise Refused(413, f"The images of a request have at most {most} pixels together. Received: {pixels}")


def _short(value):
    return f"a list of {len(value)}" if isinstance(value, list) else repr(value)[:60]
