"""A file costs memory and time in proportion to its size, whatever it announces: one ConversionError, early."""

import json
import math
import pickle
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import torch

import converters
from converters import ConversionError
from converters.reading import limits, zip_archive


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def deflated(pieces):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


def archive(members):
    """A zip archive of `(name, method, bytes as they lie, stated size)`, without checksums."""
    body, directory = bytearray(), bytearray()
    for name, method, raw, size in members:
        place, title = len(body), name.encode()
        sizes = struct.pack("<III", 0, len(raw), size)
        body += struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, method, 0, 0) + sizes
        body += struct.pack("<HH", len(title), 0) + title + raw
        directory += struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, method, 0, 0) + sizes
        directory += struct.pack("<HHHHHII", len(title), 0, 0, 0, 0, 0, place) + title
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return bytes(body + directory + end)


def zeros(megabytes):
    return deflated(bytes(1 << 20) for _ in range(megabytes))


def array_of_zeros():
    head = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1048448,), }".ljust(127) + b"\n"
    return deflated([head, bytes((1 << 20) - 128)])


def sets_of_sets(size=3_000):
    """A list of empty tuples, of which one set after the other is made."""
    half = size // 2
    body = b"\x80\x02]q\x00(" + b")" * half + b"e0cbuiltins\nset\nq\x010("
    return body + b"h\x01h\x00\x85R" * 110 + b"t."


def colliding(count=20_000):
    """Whole numbers with one hash, as keys."""
    keys = (((2**61 - 1) * (index + 1)).to_bytes(10, "little") for index in range(count))
    return b"\x80\x02}(" + b"".join(b"\x8a\x0a" + key + b"N" for key in keys) + b"u."


def caffe(blob, blobs=1):
    layer = field(1, b"c") + field(2, b"Convolution") + field(7, blob) * blobs
    return field(1, b"net") + field(100, layer)


def node(kind, inputs, outputs, attributes=b""):
    values = [field(1, value) for value in inputs] + [field(2, value) for value in outputs]
    return b"".join(values) + field(4, kind) + attributes


def onnx(nodes, tensors=(), outputs=(b"o",)):
    parts = [field(1, item) for item in nodes] + [field(2, b"g")]
    parts += [field(5, item) for item in tensors] + [field(12, field(1, item)) for item in outputs]
    return field(1, 8) + field(2, b"pytorch") + field(7, b"".join(parts)) + field(8, field(2, 17))


def onnx_tensor(name, *sizes):
    return (
        b"".join(field(1, size) for size in sizes)
        + field(2, 1)
        + field(8, name)
        + field(9, bytes(4 * math.prod(sizes)))
    )


def onnx_sums(count=2000):
    """Each sum reads the sum before, so that each layer is linked to all that follow."""
    nodes, last = [], b"i"
    for index in range(count):
        convolved, total = b"c%d" % index, b"a%d" % index
        nodes += [node(b"Conv", [b"i", b"w"], [convolved]), node(b"Add", [convolved, last], [total])]
        last = total
    return onnx(nodes, [onnx_tensor(b"w", 1, 1, 1, 1)], [last])


def safetensors(header):
    return len(header).to_bytes(8, "little") + header


def json_lists(count):
    return b'{"a":[' + b"[]," * count + b"1]}"


def many_members(count):
    return archive([(f"{index:x}", 0, b"", 0) for index in range(count)])


def keras(config):
    return archive([("config.json", 8, deflated([config]), len(config)), ("model.weights.h5", 0, b"x", 1)])


UNFOLDS = "unfolds into more than 8 times its own size"
LARGE = {
    "torch zip": (lambda: archive([("a/data.pkl", 8, zeros(30), 30 << 20)]), UNFOLDS),
    "keras zip": (
        lambda: archive([("config.json", 0, b"{}", 2), ("model.weights.h5", 8, zeros(30), 30 << 20)]),
        UNFOLDS,
    ),
    "npz": (lambda: archive([("a.npy", 8, zeros(30), 30 << 20)]), UNFOLDS),
    "members": (lambda: archive([(f"{name}.npy", 8, array_of_zeros(), 1 << 20) for name in range(9)]), UNFOLDS),
    "directory": (lambda: many_members(60_000), "directory takes"),
    "json": (lambda: keras(json_lists(40_000)), UNFOLDS),
    "header": (lambda: safetensors(json_lists(60_000)), UNFOLDS),
    "sets": (sets_of_sets, UNFOLDS),
    "empty lists": (lambda: b"\x80\x02(" + b"]" * 100_000 + b"l.", UNFOLDS),
    "empty sets": (lambda: b"\x80\x04(" + b"\x8f" * 40_000 + b"l.", UNFOLDS),
    "tuples": (lambda: b"\x80\x02(" + b"N\x85" * 80_000 + b"l.", UNFOLDS),
    "memo": (lambda: b"\x80\x04N" + b"\x94" * 100_000 + b".", UNFOLDS),
    "frozensets": (lambda: b"\x80\x04(" + b"(\x91" * 30_000 + b"l.", UNFOLDS),
    "runs of floats": (lambda: caffe(b"\x2d\0\0\0\0\x35\0\0\0\0" * 5_000), UNFOLDS),
    "blobs": (lambda: caffe(b"", 20_000), UNFOLDS),
    "layers": (lambda: b"".join(field(100, field(1, b"%x" % n) + field(7, b"")) for n in range(10_000)), UNFOLDS),
    "nodes": (lambda: onnx([b"\x0a\x00"] * 30_000), UNFOLDS),
    "messages": (lambda: b'name: "x"\n' + b"layer{}" * 20_000, UNFOLDS),
}
QUICK = {
    "numbers that collide": (colliding, "no named tensors"),
    "a million sizes of a blob": (
        lambda: caffe(field(7, field(1, b"\x7f" * 1_000_000)) + field(5, bytes(4))),
        "1000000 sizes",
    ),
    "a million sizes": (
        lambda: onnx([], [field(1, b"\x7f" * 1_000_000) + field(2, 1) + field(8, b"w") + field(9, bytes(4))]),
        "1000000 sizes",
    ),
    "one line": (lambda: b"(S'" + b"a" * 3_000_000, "truncated"),
    "a value that is made of itself": (
        lambda: onnx(
            [node(b"Cast", [b"x"], [b"x"]), node(b"Conv", [b"i", b"w", b"x"], [b"o"])], [onnx_tensor(b"w", 1, 1, 1, 1)]
        ),
        "waits for its own result",
    ),
    "a value that is made twice": (
        lambda: onnx(
            [node(b"Identity", [b"w"], [b"x"]), node(b"Cast", [b"w"], [b"x"])], [onnx_tensor(b"w", 1, 1, 1, 1)]
        ),
        "two nodes of the graph make the value 'x'",
    ),
    "a weight that is made again": (
        lambda: onnx([node(b"Relu", [b"i"], [b"w"])], [onnx_tensor(b"w", 1, 1, 1, 1)]),
        "make the value 'w'",
    ),
    "a number for a list": (
        lambda: onnx(
            [node(b"Conv", [b"i", b"w"], [b"o"], field(5, field(1, b"dilations") + field(3, 2) + field(20, 2)))]
        ),
        "its attribute dilations is a list of numbers in ONNX. Received: 2",
    ),
}


def refused(path, reason, entry=converters.read, seconds=5.0):
    begin = time.process_time()
    with pytest.raises(ConversionError, match=reason):
        entry(path)
    assert time.process_time() - begin < seconds


@pytest.mark.parametrize("name", LARGE)
def test_memory_is_in_proportion_to_the_file(name, tmp_path, monkeypatch):
    """With less for every file than users have, so that the files are small."""
    monkeypatch.setattr(limits, "BASE", 2 << 20)
    monkeypatch.setattr(zip_archive, "_MOST_DIRECTORY", 1 << 20)
    content, reason = LARGE[name]
    path = tmp_path / "x"
    path.write_bytes(content())
    entry = converters.read
    if name == "messages":
        from converters.reading.caffe.prototxt import read_prototxt as entry
    tracemalloc.start(1)
    try:
        refused(path, reason, entry, 60)
        assert tracemalloc.get_traced_memory()[1] < limits.BASE + 8 * path.stat().st_size + (3 << 20)
    finally:
        tracemalloc.stop()
    refused(path, reason, entry, 1.0)


@pytest.mark.parametrize("name", QUICK)
def test_limits_come_before_arithmetic(name, tmp_path):
    content, reason = QUICK[name]
    (tmp_path / "x").write_bytes(content())
    refused(tmp_path / "x", reason)


def test_links_between_layers_are_bounded(tmp_path):
    (tmp_path / "x").write_bytes(onnx_sums())
    refused(tmp_path / "x", "sums of sums without a layer between them", converters.identify)


@pytest.mark.parametrize("kind", ["Transpose", "Cast", "Identity"])
def test_chains_before_weights_are_followed_once(kind, tmp_path):
    """Each of many layers has a weight, or a bias, at the end of one long chain."""
    length, count = 800, 800
    names = [b"w", *(b"v%d" % index for index in range(length))]
    nodes = [node(kind.encode(), [names[index]], [names[index + 1]]) for index in range(length)]
    outputs = [b"o%d" % index for index in range(count)]
    nodes += [node(b"MatMul", [b"i", names[-1]], [output]) for output in outputs[: count // 2]]
    nodes += [node(b"Conv", [b"i", b"w", names[-1]], [output]) for output in outputs[count // 2 :]]
    (tmp_path / "x").write_bytes(onnx(nodes, [onnx_tensor(b"w", 1, 1)], outputs))
    refused(tmp_path / "x", r"computed by the graph|nested too deeply|arrays by name", converters.identify)


def test_prefixes_in_a_row_are_bounded(tmp_path):
    """Each prefix more is compared with every key again: 100,000 of them took 8 s."""
    key = "module." * 200_000 + "weight"
    header = json.dumps({key: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "x").write_bytes(safetensors(header))
    begin = time.process_time()
    assert converters.read(tmp_path / "x").prefix == "module." * 16
    assert time.process_time() - begin < 2


def test_members_that_overlap_are_refused(tmp_path):
    """The directory lists one member under many names: each would be read again."""
    array = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000,), }".ljust(117) + b"\n"
    )
    content = archive([("a.npy", 0, array + bytes(100_000), len(array) + 100_000)])
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entry = content[start:end]
    names = [b"%c.npy" % letter for letter in range(ord("a"), ord("z"))]
    body = bytearray(content[:start])
    directory = b"".join(entry[:46] + name for name in names)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(names), len(names), len(directory), len(body), 0)
    (tmp_path / "x").write_bytes(bytes(body) + directory + tail)
    refused(tmp_path / "x", r"members overlap|another name in its own header")


def test_an_author_who_is_trusted_may_unfold_more(tmp_path):
    """Honest zeros, compressed: their tensors are there once more is allowed."""
    arrays = {f"w{index}": np.zeros((3 << 20,), "float32") for index in range(8)}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    refused(tmp_path / "x.npz", r"max_expansion=100 \(tfseg convert --max_expansion=100\)")
    checkpoint = converters.read(tmp_path / "x.npz", max_expansion=1100)
    assert not checkpoint["w7"].any()
    with limits.allowing(1100):
        assert len(converters.read(tmp_path / "x.npz")) == 8
    with pytest.raises(ConversionError, match=r"max_expansion is a number above 0\. Received: 0"):
        converters.read(tmp_path / "x.npz", max_expansion=0)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_honest_pickles_stay_far_below(protocol, tmp_path):
    """Many objects beside the tensors, as an optimizer leaves them; torch's own file of many small tensors."""
    state = {f"layer{index}.weight": np.ones(3, "float32") for index in range(3000)}
    beside = {"state": {index: {"step": index, "lr": 0.1 * index, "betas": (0.9, 0.999)} for index in range(3000)}}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"state_dict": state, "optimizer": beside}, protocol))
    torch.save({key: torch.from_numpy(value) for key, value in state.items()}, tmp_path / "x.pth")
    for path in (tmp_path / "x.pkl", tmp_path / "x.pth"):
        with limits.budget(path.stat().st_size):
            assert len(converters.read(path)) == 3000


@pytest.mark.parametrize(
    "text",
    [
        *(json_lists(30_000).decode(), "[" + '{"1":{}},' * 20_000 + "1]", "[" + '"ab",' * 50_000 + "1]"),
        *("[" + "1.5," * 50_000 + "1]", "[" + '"😀",' * 30_000 + "1]", "[" + "[[[]]]," * 20_000 + "1]"),
        *("{" + ",".join(f'"{index:x}":1' for index in range(30_000)) + "}", '["😀' + "a" * 200_000 + '"]'),
    ],
    ids=["lists", "objects", "texts", "numbers", "letters", "nested", "keys", "one text"],
)
def test_charges_for_json_are_estimates_from_above(text):
    data = text.encode()
    with limits.budget(0) as budget:
        tracemalloc.start(1)
        try:
            assert limits.parse_json(data) == json.loads(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    del text
    assert peak / 2 <= (limits.BASE - budget.left) * 1.2  # two copies were made: ours and the one to compare with
