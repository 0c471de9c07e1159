"""Headers of safetensors files are checked in full."""

import json

import pytest

from converters.errors import ConversionError
from converters.reading import read


def header(text, data=b""):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header({"a": entry()}, b"\0" * 7), "truncated: its tensors end"),
        (header({"a": entry()}, b"\0" * 8)[:30], "truncated: its header ends"),
        ((10**8 + 1).to_bytes(8, "little") + b"{}", "header of at most 100000000 bytes"),
        (header(b"{nonsense}"), "not valid JSON"),
        (header(b'{"a": \xff}'), "not valid JSON"),
        (header(b'{"a": ' * 100_000), "nested too deeply"),
        (header(b'{"a": {}, "a": {}}'), "a key twice"),
        (header({"a": entry()}, b"\0" * 12), "4 bytes that belong to no tensor"),
        (header({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12), "'b' overlaps"),
        (header({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20), "'b' leaves a hole"),
        (header({"a": entry(shape=(3,))}, b"\0" * 8), "'a': expected as many bytes as shape"),
        (header({"a": entry(dtype="F4")}, b"\0" * 8), "'a': has the element type 'F4'. Expected one of BOOL"),
        (header({"a": entry(shape=(-2,))}, b"\0" * 8), "'a': expected dtype, shape and data_offsets"),
        (header({"a": entry(shape=(True, 2))}, b"\0" * 8), "'a': expected dtype, shape and data_offsets"),
        (header({"a": entry(offsets=(8, 0))}, b"\0" * 8), "'a': expected dtype, shape and data_offsets"),
        (header({"a": entry(shape=(2**62,) * 60)}, b"\0" * 8), "'a': expected as many bytes"),
        (header({"a": 1}), "'a': expected dtype, shape and data_offsets"),
        (header({"__metadata__": {"a": "b"}}), "holds no named tensors"),
    ],
)
def test_invalid_header_is_refused(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConversionError, match=f"x: .*{message}"):
        read(tmp_path / "x")
