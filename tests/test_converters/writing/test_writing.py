"""Written whole or not at all; and what is written is what every reader of safetensors reads."""

import errno
import os
import pathlib
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors
from helpers.paths import ROOT
from safetensors.numpy import load_file

from converters.errors import ConversionError
from converters.reading import read
from converters.reading.safetensors import DTYPES
from converters.writing import files
from converters.writing.files import atomic
from converters.writing.safetensors import write_safetensors

ARRAYS = {
    "z": np.arange(6, dtype=np.int16).reshape(2, 3),
    "byte": np.array([1, 2, 3], np.uint8),
    "a": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    "scalar": np.float32(7),
    "empty": np.zeros((0, 3), np.float32),
    "big": np.arange(3, dtype=">i4"),
    "flag": np.array([True, False]),
}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_safetensors_round_trip(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, ARRAYS, {"family": "resnet", "ü": "ß"})
    checkpoint, official = read(path), load_file(path)
    assert list(checkpoint) == list(ARRAYS)
    for key, array in ARRAYS.items():
        for found in (checkpoint[key], official[key]):
            assert found.shape == array.shape
            assert found.dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, array)
        assert checkpoint[key].flags.aligned
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"family": "resnet", "ü": "ß"}
    assert names(tmp_path) == ["x.safetensors"]


@pytest.mark.parametrize("name", DTYPES.values())
def test_every_element_type(tmp_path, name):
    array = np.arange(4).astype(getattr(ml_dtypes, name, name))
    write_safetensors(tmp_path / "x", {"w": array})
    found = read(tmp_path / "x")["w"]
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


def test_a_checkpoint_can_be_written(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    write_safetensors(tmp_path / "y", read(tmp_path / "x.npz"))
    for key, array in read(tmp_path / "y").items():
        np.testing.assert_array_equal(array, ARRAYS[key])


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        ({"w": np.array(["text"])}, None, "'w' has an element type.*Received: <U4"),
        ({"w": np.array([{}])}, None, "'w' has an element type.*Received: object"),
        ({3: np.ones(1)}, None, "expected names of tensors as keys. Received: 3"),
        ({"__metadata__": np.ones(1)}, None, "expected names of tensors"),
        ({"w": np.ones(1)}, {"epoch": 3}, "expected metadata of texts. Received: 'epoch': 3"),
    ],
)
def test_what_safetensors_cannot_hold(tmp_path, arrays, metadata, message):
    with pytest.raises(ConversionError, match=f"x: .*{message}"):
        write_safetensors(tmp_path / "x", arrays, metadata)
    assert names(tmp_path) == []


def test_arrays_that_change_while_they_are_written(tmp_path):
    class Moody(dict):
        asked = 0

        def __getitem__(self, key):
            self.asked += 1
            return np.ones(self.asked)

    with pytest.raises(ConversionError, match=r"'w' changed.*Expected float64 \(1,\). Received: float64 \(2,\)"):
        write_safetensors(tmp_path / "x", Moody(w=0))
    assert names(tmp_path) == []


def put(path, text, directory):
    if directory:
        path.mkdir()
    (path / "file" if directory else path).write_text(text)


def content(path):
    return (path / "file" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("directory", [False, True])
def test_atomic(tmp_path, directory):
    target = tmp_path / "result.weights.h5"
    with atomic(target) as partial:
        assert partial.parent == tmp_path
        assert partial.name.endswith("result.weights.h5")  # writers look at the suffix
        put(partial, "new", directory)
        assert not target.exists()
    assert content(target) == "new"
    with (
        pytest.raises(ConversionError, match=r"result.weights.h5: exists already.*--overwrite \(overwrite=True\)"),
        atomic(target),
    ):
        pytest.fail("the body must not begin")
    with atomic(target, overwrite=True) as partial:
        put(partial, "newer", directory)
        assert content(target) == "new"
    assert content(target) == "newer"
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_nothing_stays_of_a_failure(tmp_path, directory, failure):
    target = tmp_path / "x"
    put(target, "old", directory)

    def fail():
        with atomic(target, overwrite=True) as partial:
            put(partial, "half", directory)
            raise failure

    with pytest.raises(failure):
        fail()
    assert content(target) == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("directory", [False, True])
def test_a_rename_that_fails_leaves_the_old(tmp_path, monkeypatch, directory):
    target, replace = tmp_path / "x", os.replace
    put(target, "old", directory)

    def refuse(source, destination):
        if pathlib.Path(destination) == target and content(pathlib.Path(source)) == "new":
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(source, destination)

    monkeypatch.setattr(files.os, "replace", refuse)
    with (
        pytest.raises(ConversionError, match=r"x: cannot be written. Received: Permission denied"),
        atomic(target, overwrite=True) as partial,
    ):
        put(partial, "new", directory)
    assert content(target) == "old"
    assert names(tmp_path) == ["x"]


def test_places_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path / "missing" / "x", "missing does not exist. Create it first"),
        (tmp_path / "file" / "x", "file does not exist"),
        (pathlib.Path(".."), "expected the name of a file"),
        (pathlib.Path("."), "expected the name of a file"),
        (tmp_path / ("x" * 255), "cannot be written. Received: File name too long"),
    ):
        with pytest.raises(ConversionError, match=message):
            write_safetensors(path, {"w": np.ones(1)})
    with pytest.raises(ConversionError, match=r"x: cannot be written. Received: No such file"), atomic(tmp_path / "x"):
        pass  # a body that writes nothing
    assert names(tmp_path) == ["file"]


def test_written_by_someone_else_meanwhile(tmp_path):
    def write_both():
        with atomic(tmp_path / "x") as partial:
            partial.write_text("mine")
            (tmp_path / "x").write_text("theirs")

    with pytest.raises(ConversionError, match="exists already"):
        write_both()
    assert content(tmp_path / "x") == "theirs"
    assert names(tmp_path) == ["x"]


def test_no_space_left(tmp_path):
    """A real limit of the system in a process of its own: writing beyond it fails halfway, as on a full disk."""
    script = """
import resource, signal, sys, numpy
from converters.writing.safetensors import write_safetensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_safetensors(sys.argv[1], {"w": numpy.ones(1_000_000)}, overwrite=True)
except ValueError as error:
    print(type(error).__name__, error)
"""
    (tmp_path / "x").write_text("old")
    run = [sys.executable, "-c", script, tmp_path / "x"]
    result = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "ConversionError" in result.stdout
    assert "x: cannot be written. Received: File too large. What was there before is unchanged." in result.stdout
    assert content(tmp_path / "x") == "old"
    assert names(tmp_path) == ["x"]
