"""TensorFlow's checkpoints read without TensorFlow: equal to its own reader, within bounds, and one error for damage."""

import itertools
import os
import random
import struct
import subprocess
import sys

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from helpers.tf1_nets import save

import converters
from converters import ConversionError
from converters.reading.tensorflow import snappy
from converters.reading.tensorflow.checkpoint import read_variables

TYPES = [
    *("float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
    *("uint64", "bool", "complex64", "complex128"),
]

NOT_IN_1 = ("bfloat16", "uint32", "uint64")  # the first form cannot hold them


def random_value(rng, dtype):
    shape = tuple(rng.choice([0, 1, 2, 3, 7, 130]) for _ in range(rng.randrange(4)))
    numbers = np.random.default_rng(rng.randrange(2**32)).normal(size=shape) * 100
    return tf.cast(numbers, dtype).numpy()


def cut(rng, shape):
    """The extents of a tensor's parts along a random axis, as SaveV2 takes them."""
    axis = rng.randrange(len(shape))
    places = sorted({0, shape[axis], *(rng.randrange(shape[axis] + 1) for _ in range(rng.randrange(1, 5)))})
    return [
        tuple((begin, end - begin) if index == axis else (0, size) for index, size in enumerate(shape))
        for begin, end in itertools.pairwise(places)
    ]


def words(shape, extents):
    pieces = ["-" if pair == (0, size) else f"{pair[0]},{pair[1]}" for pair, size in zip(extents, shape, strict=True)]
    return f"{' '.join(map(str, shape))} {':'.join(pieces)}"


def write_random(path, rng, version):
    """Saves random tensors, whole and in parts, in one file or several; returns the tensors by name."""
    written = {}
    types = [name for name in TYPES if version == 2 or name not in NOT_IN_1]
    shards = rng.choice([1, 1, 3]) if version == 2 else 1
    rows = [[] for _ in range(shards)]
    for index in range(rng.randrange(1, 12)):
        value = random_value(rng, rng.choice(types))
        name = f"net/{rng.choice(['a', 'layer', 'é', 'x' * 200])}{index}/weights"
        written[name] = value
        if value.ndim and value.size > 1 and rng.random() < 0.5:
            for extents in cut(rng, value.shape):
                piece = value[tuple(slice(start, start + size) for start, size in extents)]
                rows[rng.randrange(shards)].append((name, words(value.shape, extents), piece))
        else:
            rows[rng.randrange(shards)].append((name, "", value))
    if rng.random() < 0.3:
        rows[0].append(("text", "", np.array([b"no", b"number"], object)))
    rows = [row for row in rows if row]
    for index, row in enumerate(rows):
        names, slices, values = zip(*row, strict=True)
        if version == 1:
            tf.raw_ops.SaveSlices(filename=path, tensor_names=names, shapes_and_slices=slices, data=values)
        else:
            place = path if len(rows) == 1 else f"{path}_{index}"
            tf.raw_ops.SaveV2(prefix=place, tensor_names=names, shape_and_slices=slices, tensors=values)
    if version == 2 and len(rows) > 1:
        prefixes = [f"{path}_{index}" for index in range(len(rows))]
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=path)
    return written


def whole(path, key, dtype):
    """The tensor by the operation that the Saver restores with; None for types that it cannot put together."""
    try:
        return tf.raw_ops.RestoreV2(prefix=path, tensor_names=[key], shape_and_slices=[""], dtypes=[dtype])[0].numpy()
    except tf.errors.InvalidArgumentError:
        return None


@pytest.mark.parametrize("version", [1, 2])
def test_every_tensor_is_that_of_tensorflows_reader(version, tmp_path):
    rng = random.Random(version)
    for trial in range(int(os.environ.get("TFSEG_TRIALS", "12"))):
        path = str(tmp_path / f"net{trial}.ckpt")
        written = write_random(path, rng, version)
        dtypes = tf.train.load_checkpoint(path).get_variable_to_dtype_map()
        checkpoint = converters.read(path)
        assert set(checkpoint) == set(written) == {key for key in dtypes if dtypes[key] != tf.string}
        for key, value in written.items():
            for expected in (value, whole(path, key, dtypes[key])):
                if expected is not None:
                    assert (checkpoint.dtypes[key], checkpoint.shapes[key]) == (expected.dtype, expected.shape)
                    assert checkpoint[key].tobytes() == expected.tobytes()


def test_tensorflow_is_not_imported(tmp_path):
    save(tmp_path / "net.ckpt", {"net/weights": np.ones((3, 2), "float32")})
    program = f"import sys, converters; print(dict(converters.read({str(tmp_path / 'net.ckpt')!r})), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "net/weights" in done.stdout
    assert "tensorflow" not in done.stdout.split()


def masked(content):
    crc = google_crc32c.value(bytes(content))
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content & 2**64 - 1)
    return varint(number << 3 | 2) + varint(len(content)) + content


def table(entries, compress=lambda block: (b"\0", block)):
    """A table with right checksums, whatever its entries say: the stranger writes them, too."""

    def block(pairs):
        return b"".join(
            b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs
        ) + struct.pack("<II", 0, 1)

    def stored(content):
        kind, content = compress(content)
        return content + kind + masked(content + kind)

    body = stored(block(sorted(entries.items())))
    handle = varint(0) + varint(len(body) - 5)
    meta, index = stored(block([])), stored(block([(max(entries), handle)]))
    places = [varint(len(body)), varint(len(meta) - 5), varint(len(body) + len(meta)), varint(len(index) - 5)]
    return body + meta + index + b"".join(places).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def entry(code=1, shape=(2,), offset=0, size=8, shard=0, crc=None, slices=()):
    sizes = b"".join(field(2, field(1, size)) for size in shape)
    parts = b"".join(field(7, part) for part in slices)
    checksum = b"" if crc is None else b"\x35" + crc
    return field(1, code) + field(2, sizes) + field(3, shard) + field(4, offset) + field(5, size) + checksum + parts


def write_bundle(folder, message, header=None, data=b"abcdefgh", **options):
    entries = {b"": field(1, 1) if header is None else header, b"w": message}
    (folder / "x.ckpt.index").write_bytes(table(entries, **options))
    (folder / "x.ckpt.data-00000-of-00001").write_bytes(data)
    return folder / "x.ckpt"


@pytest.mark.parametrize(
    ("message", "header", "reason"),
    [
        (entry(code=0), None, "element type 0"),
        (entry(code=99), None, "element type 99"),
        (entry(size=9), None, "has 9 bytes"),
        (entry(shape=(3,), size=12), None, "ends at byte 12 of its data file. Received: 8"),
        (entry(offset=-8), None, "ends at byte 0"),
        (entry(offset=2**62), None, "ends at byte"),
        (entry(shape=(-2,)), None, "smallest is -2"),
        (entry(shape=(2**40, 2**40), size=0), None, "has 0 bytes"),
        (entry(shape=(1,) * 1000), None, "1000 sizes"),
        (entry(shard=7), None, "data file 7 of 1"),
        (entry(crc=b"abcd"), None, "fails its checksum"),
        (entry(slices=[field(1, b"")]), None, "lacks one of its parts"),
        (entry(slices=[field(1, b"") * 2]), None, "a part of 2 axes of a tensor of 1"),
        (entry(slices=[field(1, field(1, 1) + field(2, 5))]), None, "begins at 1 and takes 5 of an axis of 2"),
        (entry(), field(1, 1) + field(2, 1), "numbers begin with the highest byte"),
        (entry(), field(1, 3), "lies in 3 data files"),
        (b"\xff\xff\xff", None, "truncated or damaged"),
    ],
)
def test_an_index_that_lies_is_refused(message, header, reason, tmp_path):
    """TensorFlow 2.21's own reader ends the process on some of these."""
    path = write_bundle(tmp_path, message, header)
    with pytest.raises(ConversionError, match=reason):
        dict(converters.read(path))


def test_blocks_of_snappy_are_read_and_bounded(tmp_path):
    def literal(content):
        pieces = [content[start : start + 60] for start in range(0, len(content), 60)]
        return b"\1", varint(len(content)) + b"".join(bytes([len(piece) - 1 << 2]) + piece for piece in pieces)

    checkpoint = converters.read(write_bundle(tmp_path, entry(crc=masked(b"abcdefgh")), compress=literal))
    assert checkpoint["w"].tobytes() == b"abcdefgh"
    # A literal of one letter, then a copy of 11 bytes from one before: it reaches into itself.
    assert bytes(snappy.decompress(memoryview(b"\x0c\x00a" + b"\x1d\x01"))) == b"a" * 12
    copies = b"\x1d\x01"
    for broken in (
        b"",
        b"\xff" * 9,
        b"\x05\x00a",
        b"\x0c" + copies,
        b"\x02\x00a" + copies,
        b"\x0c\xfc\xff\xff\xff\x7f",
    ):
        with pytest.raises(ConversionError, match=r"cannot be decompressed|unfolds"):
            snappy.decompress(memoryview(broken))
    with pytest.raises(ConversionError, match="unfolds into more than 8 times"):
        snappy.decompress(memoryview(varint(2**32) + b"\0a"))


def test_the_record_of_objects_is_that_of_tensorflows_reader(tmp_path):
    tf.train.Checkpoint(layer=tf.Variable([1.0, 2.0])).write(str(tmp_path / "net"))
    expected = tf.train.load_checkpoint(str(tmp_path / "net")).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    tensors, record = read_variables(str(tmp_path / "net"))
    assert record == expected
    assert tensors["layer/.ATTRIBUTES/VARIABLE_VALUE"].read().tolist() == [1, 2]
    data = next(tmp_path.glob("*.data*"))
    content = bytearray(data.read_bytes())
    content[content.index(b"layer")] ^= 1
    data.write_bytes(content)
    with pytest.raises(ConversionError, match=r"_CHECKPOINTABLE_OBJECT_GRAPH.*fails its checksum"):
        read_variables(str(tmp_path / "net"))
