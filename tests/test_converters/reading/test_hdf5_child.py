"""HDF5 is looked into by a child process: the same tensors as without one, and one error for whatever happens in it."""

import contextlib
import itertools
import pathlib
import time

import h5py
import numpy as np
import pytest

import converters
from converters import ConversionError
from converters.reading import hdf5, hdf5_process

pytestmark = pytest.mark.child_process


def write(path, **options):
    """A file of Keras 3: one dataset in one piece, one of the other byte order, one with the options."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "conv"
        group["0"] = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype("float32")
        group["1"] = np.arange(4, dtype=">f8")
        group.create_dataset("2", data=np.arange(600, dtype="float16").reshape(20, 30), **options)
    return path


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"chunks": (7, 11)}], ids=["plain", "gzip", "chunks"])
def test_child_reads_what_this_process_reads(options, tmp_path):
    path = write(tmp_path / "x.weights.h5", **options)
    inside, outside = converters.read(path, trusted=True), converters.read(path)
    assert list(inside) == list(outside)
    for key in inside:
        assert inside.dtypes[key] == outside.dtypes[key]
        assert np.array_equal(inside[key], outside[key])
    assert np.array_equal(outside["conv/2"], np.arange(600).reshape(20, 30))


def test_bytes_without_a_file_are_read(tmp_path):
    """A compressed member of a `.keras` archive has no file of its own."""
    data = memoryview(write(tmp_path / "x.weights.h5", compression="gzip").read_bytes())
    (tmp_path / "x.weights.h5").unlink()
    node = hdf5.child(hdf5.open_file(data), "layers/conv2d/vars/2")
    assert hdf5.tensor(node, data).read()[19, 29] == 599


def test_groups_within_themselves_come_to_an_end(tmp_path):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group["0"] = np.zeros(3, "float32")
        for name in ("a", "b", "c"):
            file["layers"][name] = file["layers"]
    begin = time.monotonic()
    with pytest.raises(ConversionError, match=r"unfolds|deep|does not state the name"):
        converters.read(tmp_path / "x.weights.h5")
    assert time.monotonic() - begin < 20


def test_zeros_unfold_only_as_far_as_is_allowed(tmp_path):
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "conv"
        group.create_dataset(
            "0", shape=(18 << 20,), dtype="float32", chunks=(1 << 20,), compression="gzip", fillvalue=0
        )
        group["0"][:] = 0
    with pytest.raises(ConversionError, match=r"unfolds into more than 8 times .*--max_expansion=100"):
        converters.read(path)
    assert converters.read(path, max_expansion=2000).shapes == {"conv/kernel": (18 << 20,)}


PROGRAMS = {
    "sleeps": ("import time; time.sleep(60)", "does not come to an end"),
    "works": ("while True: pass", "does not come to an end"),
    "dies": ("import os; os.abort()", "ended with code -6"),
    "floods": ("import sys\nwhile True: sys.stdout.buffer.write(b'\\x7f' * 4096)", "an answer of"),
    "says_nothing": ("import sys; sys.stdout.buffer.write(bytes(8)); sys.stdout.flush(); input()", "not understood"),
    "nests": (
        "import sys; sys.stdout.buffer.write((100000).to_bytes(8, 'big') + b'[' * 100000); sys.stdout.flush(); input()",
        "not understood",
    ),
    "drips": (
        "import sys, time\nsys.stdout.buffer.write((99).to_bytes(8, 'big'))\n"
        "while True: sys.stdout.buffer.write(b'x'); sys.stdout.flush(); time.sleep(0.2)",
        "does not come to an end",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_whatever_the_child_does_is_one_error(name, tmp_path, monkeypatch):
    program, reason = PROGRAMS[name]
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr(hdf5_process, "_PROGRAM", tmp_path / "child.py")
    monkeypatch.setattr(hdf5_process, "_SECONDS", 1.0)
    begin = time.monotonic()
    with pytest.raises(ConversionError, match=reason):
        converters.read(write(tmp_path / "x.weights.h5"))
    assert time.monotonic() - begin < 10


def test_child_is_limited(tmp_path, monkeypatch):
    """A child that wants more memory, or more time, than it may is ended by the system or by itself."""
    source = pathlib.Path(hdf5_process.__file__).with_name("hdf5_child.py").read_text()
    path = write(tmp_path / "x.weights.h5")
    monkeypatch.setattr(hdf5_process, "_PROGRAM", tmp_path / "child.py")
    hunger = source.replace("opened = OpenFile(", "bytearray(6 << 30); opened = OpenFile(")
    assert hunger != source
    (tmp_path / "child.py").write_text(hunger)
    with pytest.raises(ConversionError, match="MemoryError"):
        converters.read(path)
    monkeypatch.setattr(hdf5_process, "_SECONDS", 30.0)
    monkeypatch.setattr(hdf5_process, "_SLOWEST", 1e12)
    limited = source.replace('request["seconds"])', "1)").replace(
        "opened = OpenFile(", "exec('while True: pass'); opened = OpenFile("
    )
    (tmp_path / "child.py").write_text(limited)
    with pytest.raises(ConversionError, match="ended with code -24"):  # SIGXCPU
        converters.read(path)


@pytest.mark.parametrize(
    "nodes",
    [
        *(None, {}, [], [None], [[{}, {}, {}]], [[{"a": 1}, {}]], [[{"a": -1}, {}]], [["<f4", [1], 0, 4, False, {}]]),
        *([[{"a": 1}, {}], ["<f4", [-1], 0, 4, False, {}]], [[{"a": 1}, {}], ["<f4", [1.5], 0, 4, False, {}]]),
        [[{"a": 1}, {}], ["<f4", [1] * 200, 0, 4, False, {}]],
    ],
)
def test_a_description_that_lies_is_refused(nodes):
    with pytest.raises(ConversionError, match="cannot be opened"):
        hdf5._tree(hdf5._checked(nodes), lambda number, size: memoryview(b""))


def test_numbers_beyond_the_file_are_refused():
    nodes = [[{"a": 1}, {}], ["<f4", [100], 8, 400, False, {}]]
    root = hdf5._tree(hdf5._checked(nodes), lambda number, size: memoryview(b""))
    with pytest.raises(ConversionError, match="truncated or damaged"):
        hdf5.tensor(root.entries["a"], memoryview(bytes(100))).check()


@pytest.mark.full
def test_damaged_files_are_read_or_refused(tmp_path):
    """In the child, whatever a flipped byte does to HDF5's library stays there."""
    path = write(tmp_path / "x.weights.h5", compression="gzip")
    data = path.read_bytes()
    for place, mask in itertools.product(range(0, len(data), 97), (0x01, 0xFF)):
        damaged = bytearray(data)
        damaged[place] ^= mask
        path.write_bytes(damaged)
        with contextlib.suppress(ConversionError):
            dict(converters.read(path))


def test_where_no_process_can_be_started_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_process.sys, "executable", str(tmp_path / "no_python"))
    with pytest.raises(ConversionError, match=r"no child process can be started.*trusted=True \(--trusted\)"):
        converters.read(write(tmp_path / "x.weights.h5"))
