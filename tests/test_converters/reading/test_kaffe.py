"""The .npy files of caffe-tensorflow: a dictionary of layers in a pickle, of Python 2 and 3; other files are refused."""

import contextlib
import io
import os
import pickle
import random
import struct

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.reading import read


def numbers(*shape, dtype="f4"):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


LAYERS = {
    "conv1": {"weights": numbers(3, 3, 2, 4), "biases": numbers(4)},
    "bn1": {name: numbers(4) for name in ("mean", "variance", "scale", "offset")},
}


def npy(content, protocol=4, *, pickled=None):
    """What np.save writes for an object, in a protocol of pickles; or around the given pickle."""
    file = io.BytesIO()
    array = np.empty((), object)
    array[()] = content
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(pickled or pickle.dumps(array, protocol))
    return file.getvalue()


def python_2(value):
    """The opcodes in which Python 2's pickle of protocol 2 writes dictionaries, lists, texts and arrays."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python_2(part) for item in value.items() for part in item) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python_2, value)) + b"e"
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode()
    objects = value.dtype == object
    shape = b"(" + b"".join(b"M" + struct.pack("<H", size) for size in value.shape) + b"t"
    dtype = python_2(value.dtype.str[1:] + "8" * objects) + b"K\x00K\x01\x87R"
    order, flags = (b"|", b"\x3f") if objects else (b"<", b"\x00")
    dtype += b"(K\x03U\x01" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK" + flags + b"tb"
    data = python_2([value.item()]) if objects else b"T" + struct.pack("<I", value.nbytes) + value.tobytes()
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    return empty + b"(K\x01" + shape + b"cnumpy\ndtype\n" + dtype + b"\x89" + data + b"tb"


def python_2_file(content):
    array = np.empty((), object)
    array[()] = content
    return npy(None, pickled=b"\x80\x02" + python_2(array) + b".")


def written(tmp_path, content):
    (tmp_path / "net.npy").write_bytes(content)
    return read(tmp_path / "net.npy")


def expect(checkpoint, layers):
    arrays = {f"{layer}/{name}": array for layer, parts in layers.items() for name, array in parts.items()}
    assert list(checkpoint) == list(arrays)
    for key, array in arrays.items():
        assert checkpoint[key].dtype == array.dtype
        assert np.array_equal(checkpoint[key], array)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(protocol, tmp_path):
    checkpoint = written(tmp_path, npy(LAYERS, protocol))
    assert (checkpoint.format, checkpoint.wrapper, checkpoint.extras) == ("kaffe", (), {})
    expect(checkpoint, LAYERS)


def test_file_of_numpy_save_is_read(tmp_path):
    np.save(tmp_path / "net.npy", LAYERS)
    expect(read(tmp_path / "net.npy"), LAYERS)


def test_pickle_of_python_2_is_read(tmp_path):
    content = python_2_file(LAYERS)
    expect(written(tmp_path, content), LAYERS)
    loaded = np.load(tmp_path / "net.npy", allow_pickle=True, encoding="latin1").item()
    assert np.array_equal(loaded["conv1"]["weights"], LAYERS["conv1"]["weights"])


@pytest.mark.parametrize("form", [npy, python_2_file])
def test_lists_of_weights_and_biases_are_read(form, tmp_path):
    weights, biases = LAYERS["conv1"].values()
    checkpoint = written(tmp_path, form({"conv1": [weights, biases], "conv2": [weights]}))
    expect(checkpoint, {"conv1": LAYERS["conv1"], "conv2": {"weights": weights}})


def test_names_in_bytes_and_big_endian_numbers_are_read(tmp_path):
    weights = np.asfortranarray(numbers(3, 3, 2, 4, dtype=">f8"))
    checkpoint = written(tmp_path, npy({b"conv1": {b"weights": weights}}))
    assert np.array_equal(checkpoint["conv1/weights"], weights)


def test_parts_other_than_weights_come_flat(tmp_path):
    mean, kernel = numbers(1, 4, 1, 1), numbers(1, 1, 1, 4)
    checkpoint = written(tmp_path, npy({"bn1": {"mean": mean}, "conv1": {"weights": kernel, "biases": kernel}}))
    assert checkpoint.shapes == {"bn1/mean": (4,), "conv1/weights": (1, 1, 1, 4), "conv1/biases": (4,)}
    assert np.array_equal(checkpoint["bn1/mean"], mean.ravel())


@pytest.mark.parametrize("form", [npy, python_2_file])
def test_truncated_file_is_refused_at_every_byte(form, tmp_path):
    content = form({"conv1": [numbers(1, 1, 2, 3), numbers(3)]})
    for cut in range(len(content)):
        with pytest.raises(ConversionError):
            written(tmp_path, content[:cut])
    written(tmp_path, content)


def test_truncation_message_has_the_size(tmp_path):
    with pytest.raises(
        ConversionError, match=r"net.npy: the file is truncated.*Received: \d+ bytes. Download it again"
    ):
        written(tmp_path, npy(LAYERS)[:-9])
    with pytest.raises(ConversionError, match=r"has 2 bytes after its pickle; the file is damaged"):
        written(tmp_path, npy(LAYERS) + b"ab")


def test_flipped_bits_never_crash(tmp_path):
    content, chance = npy(LAYERS), random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        with contextlib.suppress(ConversionError):
            dict(written(tmp_path, damaged))


class Call:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return os.system, self.args


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("place", ["array", "layer", "everything"])
def test_code_is_refused_by_name(place, protocol, tmp_path):
    call = Call(f"touch {tmp_path / 'marker'}")
    content = {"array": {"conv1": {"weights": call}}, "layer": {"conv1": call}, "everything": call}[place]
    with pytest.raises(ConversionError, match=r"net.npy: the pickle tries to run (posix|nt).system: refused"):
        written(tmp_path, npy(content, protocol))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"bn1": [numbers(4)] * 4},
            r"layer 'bn1' is not one of .*older list of weights and biases. Received: a list of 4",
        ),
        ({"conv1": numbers(4)}, r"layer 'conv1' is not one of .* Received: array"),
        ({"conv1": {"weights": [1.0]}}, r"layer 'conv1' .* Received: a dictionary with 'weights': list"),
        ({"conv1": {}, "step": 3}, r"layer 'step' is not one of .* Received: int"),
        ({3: {"weights": numbers(4)}}, r"a layer or array has a name that is not text. Received: int"),
        ({}, r"is a NumPy array of Python objects. Expected what caffe-tensorflow writes"),
        ([numbers(4)], r"is a NumPy array of Python objects. Expected what caffe-tensorflow writes"),
        ({"conv1": {}}, r"holds no named tensors"),
        ({"conv1": {"weights": np.array([None])}}, r"'conv1/weights': is a NumPy array of Python objects"),
    ],
)
def test_other_pickles_are_refused(content, message, tmp_path):
    with pytest.raises(ConversionError, match=message):
        written(tmp_path, npy(content))


def test_other_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([LAYERS, LAYERS], object))
    with pytest.raises(ConversionError, match=r"is a NumPy array of Python objects"):
        read(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", numbers(4))
    with pytest.raises(ConversionError, match=r"is a single NumPy array. Save named arrays with numpy.savez"):
        read(tmp_path / "b.npy")
