"""`.caffemodel` files: every form that Caffe ever wrote, compared with protobuf; damaged ones are refused."""

import contextlib
import hashlib
import os

import numpy as np
import pytest
from helpers import caffe_files
from helpers.paths import SHARED_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
from converters import ConversionError
from converters.reading.caffe.fields import V1LayerType

REAL = SHARED_DATA / "vgg16_imagenet_conv.caffemodel"


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


CONV = numbers(4, 3, 3, 2), numbers(4, seed=1)
DENSE = numbers(5, 24, seed=2), numbers(5, seed=3)
UP = (numbers(5, 2, 4, 4, seed=4),)
LAYERS = [
    ("data", "Data", []),
    ("conv1_1", "Convolution", CONV),
    ("conv1_1_split", "Split", []),
    ("relu", "ReLU", []),
    ("fc6", "InnerProduct", DENSE),
    ("upscore", "Deconvolution", UP),
]
EXPECTED = {
    "conv1_1.weight": CONV[0],
    "conv1_1.bias": CONV[1],
    "fc6.weight": DENSE[0],
    "fc6.bias": DENSE[1],
    "upscore.weight": UP[0],
}


def read(tmp_path, layers, **form):
    return converters.read(caffe_files.write(tmp_path / "net.caffemodel", caffe_files.network(layers, **form)))


def refused(tmp_path, data, message):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(ConversionError, match=message):
        converters.read(path)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_every_form_is_read_equally(tmp_path, version, packed, legacy, double):
    checkpoint = read(tmp_path, LAYERS, version=version, packed=packed, legacy=legacy, double=double)
    assert (checkpoint.format, checkpoint.extras) == ("Caffe", {"name": "net"})
    assert list(checkpoint) == list(EXPECTED)
    for key, value in EXPECTED.items():
        assert checkpoint.dtypes[key] == ("float64" if double else "float32")
        assert checkpoint.shapes[key] == value.shape
        assert np.array_equal(checkpoint[key], value), key
        assert not checkpoint[key].flags.writeable
    # protobuf, which wrote the file, reads the same bits out of it.
    net = caffe_files.net_class(packed).FromString((tmp_path / "net.caffemodel").read_bytes())
    blobs = [blob for layer in (net.layer or net.layers) for blob in layer.blobs]
    for blob, value in zip(blobs, checkpoint.values(), strict=True):
        expected = np.array(blob.double_data if double else blob.data, value.dtype)
        assert expected.tobytes() == value.tobytes()


def test_packed_and_unpacked_numbers_are_joined(tmp_path):
    """Parsers must take packed and unpacked numbers of one field together."""
    packed, unpacked = (
        caffe_files.network([("c", "Convolution", [part])], packed=packed, name="").layer[0].blobs[0]
        for part, packed in ((CONV[0][:2], True), (CONV[0][2:], False))
    )
    packed.ClearField("diff")
    unpacked.ClearField("diff")
    packed.ClearField("shape")
    unpacked.shape.dim[:] = CONV[0].shape
    net = caffe_files.network([("c", "Convolution", [])], name="")
    blob = packed.SerializeToString() + unpacked.SerializeToString()
    layer = net.layer[0].SerializeToString() + b"\x3a" + varint(len(blob)) + blob
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"\xa2\x06" + varint(len(layer)) + layer)
    assert np.array_equal(converters.read(path)["c.weight"], CONV[0])


def varint(value):
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def test_tensors_are_views_of_the_file(tmp_path):
    """They are views at odd addresses, too: nothing is copied until a computation needs it."""
    weight = np.arange(24, dtype="float32").reshape(2, 3, 2, 2)
    addresses = set()
    for length in range(1, 5):  # a name one longer moves the numbers by one byte
        path = caffe_files.write(
            tmp_path / "a.caffemodel", caffe_files.network([("c" * length, "Convolution", [weight])])
        )
        array = converters.read(path)["c" * length + ".weight"]
        addresses.add(array.ctypes.data % 4)
        assert not array.flags.owndata
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, weight)
    assert len(addresses) == 4


def test_file_over_2_gib_is_read(tmp_path):
    """Caffe and protobuf stop at 2 GiB. The middle of this file is a hole that takes no room on the disk."""
    path, rows, columns = tmp_path / "large.caffemodel", 1 << 10, (1 << 19) + 1
    small = {name: np.full((2, 2), index, "float32") for index, name in enumerate(("first", "last"))}
    first, last = (
        caffe_files.network([(name, "InnerProduct", [array])], name="").SerializeToString()
        for name, array in small.items()
    )
    nbytes = 4 * rows * columns
    shape = b"\x3a" + _sized(b"\x0a" + _sized(_varint(rows) + _varint(columns)))
    blob_size = len(shape) + len(b"\x2a" + _varint(nbytes)) + nbytes
    header = b"\x0a" + _sized(b"middle") + b"\x12" + _sized(b"InnerProduct") + b"\x3a" + _varint(blob_size)
    header += shape + b"\x2a" + _varint(nbytes)
    layer_size = len(header) + nbytes
    with open(path, "wb") as file:
        file.write(first + b"\xa2\x06" + _varint(layer_size) + header)
        file.seek(nbytes - 4, os.SEEK_CUR)
        file.write(np.float32(7).tobytes() + last)
    assert path.stat().st_size > 1 << 31
    checkpoint = converters.read(path)
    assert checkpoint.shapes["middle.weight"] == (rows, columns)
    assert checkpoint["middle.weight"][-1, -1] == 7
    for name, array in small.items():
        np.testing.assert_array_equal(checkpoint[f"{name}.weight"], array)


def _varint(number):
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _sized(payload):
    return _varint(len(payload)) + payload


def test_parts_of_normalization_layers(tmp_path):
    mean, variance, gamma, beta = (numbers(6, seed=seed) for seed in range(4))
    wide = [part.reshape(1, 6, 1, 1) for part in (gamma, beta, mean, variance)]
    checkpoint = read(
        tmp_path,
        [
            ("bn1", "BatchNorm", [mean, variance, [999.98236]]),
            ("bn2", "BatchNorm", [mean, variance, [0.0]]),
            ("bn3", "BatchNorm", [mean, variance, [1.0]]),
            ("scale1", "Scale", [gamma, beta]),
            ("scale2", "Scale", [gamma]),
            ("conv1/bn", "BN", wide),
            ("prelu", "PReLU", [gamma]),
            ("other", "Python", [numbers(2, 3)]),
        ],
    )
    scale = np.float32(1 / np.float32(999.98236))
    assert np.array_equal(checkpoint["bn1.mean"], mean * scale)
    assert np.array_equal(checkpoint["bn1.variance"], variance * scale)
    assert not checkpoint["bn2.mean"].any()
    assert np.array_equal(checkpoint["bn3.variance"], variance)
    assert np.array_equal(checkpoint["scale1.beta"], beta)
    assert "scale2.beta" not in checkpoint
    assert [checkpoint[f"conv1/bn.{part}"].tolist() for part in ("gamma", "beta", "mean", "variance")] == [
        part.ravel().tolist() for part in wide
    ]
    assert checkpoint.shapes["prelu.slope"] == (6,)
    assert checkpoint.shapes["other.0"] == (2, 3)


def test_transposed_weight_is_transposed_back(tmp_path):
    layers = [("fc", "InnerProduct", [DENSE[0].T, DENSE[1]], {"transpose": True})]
    assert np.array_equal(read(tmp_path, layers)["fc.weight"], DENSE[0])


def test_layer_of_test_phase_is_used(tmp_path):
    two = [("c", "Convolution", [CONV[0] + 1], {"include": 0}), ("c", "Convolution", CONV, {"include": 1})]
    for layers in (two, two[::-1]):
        assert np.array_equal(read(tmp_path, layers)["c.weight"], CONV[0])
    with pytest.raises(ConversionError, match=r"net.caffemodel: has two layers with weights of the name 'c'"):
        read(tmp_path, [("c", "Convolution", CONV)] * 2)


def test_unknown_fields_are_skipped(tmp_path):
    """DeepLab's and PSPNet's forks gave numbers of parameter messages to others: only the type of a layer counts."""
    net = caffe_files.network([("c", "Convolution", CONV)])
    layer = net.layer[0].SerializeToString() + varint(143 << 3 | 2) + b"\x02\x08\x05" + varint(152 << 3 | 0) + b"\x07"
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"\x0a\x01n" + b"\xa2\x06" + varint(len(layer)) + layer + varint(999 << 3 | 5) + b"\0\0\0\0")
    assert np.array_equal(converters.read(path)["c.weight"], CONV[0])


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_truncated_file_is_refused_or_lacks_layers(tmp_path, version, packed):
    """A file cut between two layers is a whole file with fewer layers; one cut elsewhere is refused."""
    net = caffe_files.network(LAYERS, version=version, packed=packed)
    data = net.SerializeToString()
    whole = set()
    for end in range(1, len(data)):
        path = tmp_path / "cut.caffemodel"
        path.write_bytes(data[:end])
        with contextlib.suppress(ConversionError):
            keys = set(converters.read(path))
            assert keys <= set(EXPECTED)
            whole.add(frozenset(keys))
    assert len(whole) <= len(LAYERS)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_file_never_crashes(tmp_path_factory, data):
    content = bytearray(caffe_files.network(LAYERS, version=data.draw(st.sampled_from([1, 2]))).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.caffemodel"
    path.write_bytes(content)
    with contextlib.suppress(ConversionError):  # anything else fails the test
        dict(converters.read(path))


def test_type_of_another_wire_type_is_skipped(tmp_path):
    sound = caffe_files.network([("c", "Convolution", CONV)], version=1)
    broken = sound.layers[0].SerializeToString() + b"\x2d\0\0\0\0"  # field 5, the type, as 32 bits
    path = tmp_path / "fixed.caffemodel"
    path.write_bytes(b"\x12" + _sized(broken))
    (tmp_path / "sound.caffemodel").write_bytes(sound.SerializeToString())
    read, expected = converters.read(path), converters.read(tmp_path / "sound.caffemodel")
    assert list(read) == list(expected)  # protobuf skips a field of another wire type, too


def test_invalid_networks_are_refused_by_name(tmp_path):
    conv = caffe_files.network([("c", "Convolution", CONV)])
    conv.layer[0].blobs[0].shape.dim[0] = 5
    refused(
        tmp_path, conv.SerializeToString(), r"blob 0 of the layer 'c' has shape \[5, 3, 3, 2\] and 72 numbers, which"
    )
    conv.layer[0].blobs[0].shape.dim[:] = [-4, -18]
    refused(tmp_path, conv.SerializeToString(), r"shape \[-4, -18\] and 72 numbers")
    conv.layer[0].blobs[0].shape.dim[:] = [72]
    refused(tmp_path, conv.SerializeToString(), r"the weight of the layer 'c' needs 4 axes. Received: shape \[72\]")

    nvidia = caffe_files.network([("bn1", "BatchNorm", [numbers(6)] * 5)])
    refused(tmp_path, nvidia.SerializeToString(), r"'bn1' \(BatchNorm\) has 5 blobs. Expected 3.*NVIDIA.*BVLC's Caffe")

    oldest = caffe_files.net_class()()
    caffe_files.fill(oldest.layers.add().layer.blobs.add(), CONV[0])
    refused(tmp_path, oldest.SerializeToString(), r"first form \(V0, 2013\).*upgrade_net_proto_binary")

    empty = caffe_files.network([("relu", "ReLU", [])])
    refused(tmp_path, empty.SerializeToString(), r"holds no layer with weights")
    refused(
        tmp_path,
        b'# VGG\nname: "VGG"\nlayer {\n  name: "conv1_1"\n}\n',
        r"is a Caffe prototxt, .* Give the .caffemodel",
    )
    refused(tmp_path, b"\x89HDF\r\n\x1a\n" + b"\0" * 100, r"is an HDF5 file")
    refused(tmp_path, b"\x0a\x03net\xa2\x06\x7f\x0a\x01c", r"expected 127 bytes in field 100. Received: 3 to the end")
    refused(tmp_path, b"\x0a\x03net\x32\x00\xa3\x06", r"expected a wire type 0, 1, 2 or 5 at byte 7. Received: 3")


def test_every_v1_type_with_weights_is_tested():
    assert set(V1LayerType) <= set(caffe_files.V1_TYPES.values())


@pytest.mark.skipif(not REAL.is_file(), reason="the real VGG16 is not here")
def test_published_vgg16_is_read():
    digest = hashlib.sha256(REAL.read_bytes()).hexdigest()
    assert digest.startswith("422fbac534bd9067")
    checkpoint = converters.read(REAL)
    net = caffe_files.net_class().FromString(REAL.read_bytes())
    blobs = [(layer.name, blob) for layer in net.layers for blob in layer.blobs]
    assert len(blobs) == len(checkpoint) == 26
    for (name, blob), (key, value) in zip(blobs, checkpoint.items(), strict=True):
        assert key.startswith(f"{name}.")
        assert np.array(blob.data, "float32").tobytes() == value.tobytes()
