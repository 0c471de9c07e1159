"""The constants of frozen graphs: which of them are weights, in which forms their numbers lie, and damaged files."""

import numpy as np
import pytest

import converters
from converters import ConversionError


def varint(number):
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def number(place, value):
    return varint(place << 3) + varint(value)


def tensor(code, shape, content):
    sizes = b"".join(field(2, number(1, size)) for size in shape)
    return number(1, code) + field(2, sizes) + content


def node(name, op, inputs=(), **attributes):
    entries = b"".join(field(5, field(1, key.encode()) + field(2, value)) for key, value in attributes.items())
    read = b"".join(field(3, value.encode()) for value in inputs)
    return field(1, field(1, name.encode()) + field(2, op.encode()) + read + entries)


def constant(name, code, shape, content):
    return node(name, "Const", value=field(8, tensor(code, shape, content)))


ONES = np.ones((1, 1, 3, 2), "<f4")
GRAPH = b"".join(
    [
        constant("conv/weights", 1, (1, 1, 3, 2), field(4, ONES.tobytes())),
        node("conv/weights/read", "Identity", ["conv/weights"]),
        node("conv/Conv2D", "Conv2D", ["image", "conv/weights/read"]),
        # One number stands for all, in a field of its own.
        constant("conv/biases", 1, (2,), varint(5 << 3 | 5) + np.float32(0.5).tobytes()),
        node("conv/BiasAdd", "BiasAdd", ["conv/Conv2D", "conv/biases:0", "^conv/weights"]),
        constant("mean", 1, (3,), field(4, np.zeros(3, "<f4").tobytes())),
        node("sub", "Sub", ["image", "mean"]),
        constant("shape", 3, (2,), field(4, np.array([5, 5], "<i4").tobytes())),
        node("shape/read", "Identity", ["shape"]),
    ]
)


def test_weights_are_what_variables_were(tmp_path):
    """Read through an Identity, or as a weight of an operation; no whole numbers, and nothing of the arithmetic."""
    (tmp_path / "graph.pb").write_bytes(GRAPH)
    checkpoint = converters.read(tmp_path / "graph.pb")
    assert checkpoint.format == "TensorFlow frozen graph"
    assert list(checkpoint) == ["conv/weights", "conv/biases"]
    assert np.array_equal(checkpoint["conv/weights"], ONES)
    assert checkpoint["conv/biases"].tolist() == [0.5, 0.5]
    assert checkpoint.nodes["conv/BiasAdd"].inputs == ("conv/Conv2D", "conv/biases")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda graph: graph[:-3], "truncated"),
        (lambda graph: graph + constant("mean", 1, (1,), b""), "two nodes of the graph are called 'mean'"),
        (lambda graph: graph.replace(ONES.tobytes(), ONES.tobytes()[:-4] + b"", 1), "expected|damaged"),
        (
            lambda graph: constant("a", 1, (7,), field(4, bytes(8))) + node("a/read", "Identity", ["a"]),
            r"node 'a': has 8 bytes for shape \[7\]",
        ),
    ],
    ids=["truncated", "twice", "shifted", "too-few-numbers"],
)
def test_damaged_graphs_are_refused(change, says, tmp_path):
    (tmp_path / "graph.pb").write_bytes(change(GRAPH))
    with pytest.raises(ConversionError, match=says):
        converters.read(tmp_path / "graph.pb")
