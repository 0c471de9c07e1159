"""Files that are not checkpoints: the message says what they are and what to do."""

import gzip
import io
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile

import h5py
import numpy as np
import pytest

from converters.errors import ConversionError
from converters.reading import read


def archived(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


def hdf5():
    file = io.BytesIO()
    h5py.File(file, "w").close()
    return file.getvalue()


def arrays_of_objects():
    file = io.BytesIO()
    np.savez(file, model=np.array({"w": 1}))
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"", "the file is empty"),
        (lambda: b"\n<!DOCTYPE html><html><body>Sign in", "looks like a web page.*download again"),
        (lambda: b"<HTML>", "looks like a web page"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer.*git lfs pull"),
        (lambda: b'{"weight_map": {}}', "JSON text"),
        (lambda: b"see the README\n", "plain text.*Received: 15 bytes that begin"),
        (lambda: gzip.compress(b"checkpoint"), "compressed with gzip"),
        (hdf5, "HDF5"),
        (tarred, "tar archive"),
        (lambda: b"\0" * 1000, "zeros alone"),
        (lambda: b"\x08\x07\x12\xff" * 30, "unknown format. Expected a PyTorch"),
        (lambda: archived(**{"a/model.pth": b"x", "b": b"y"}), "neither a PyTorch checkpoint.*'a/model.pth', 'b'"),
        (lambda: archived(), "neither a PyTorch checkpoint.*no members"),
        (lambda: archived(**{"a/data.pkl": b"", "a/code/x.py": b""}), "TorchScript.*torch.jit.load"),
        (lambda: archived(**{"a/data.pkl": b"N.", "a/byteorder": b"middle"}), "byte order little or big"),
        (
            lambda: archived(**{"a/data.pkl": b"\x80\x02N."}),
            "holds no named tensors.*Received: an object of type NoneType",
        ),
        (lambda: archived(**{"a.npy": b"x"}), "'a.npy' has no NumPy header"),
        (arrays_of_objects, "'model': is a NumPy array of Python objects.*numpy.savez"),
        (lambda: pickle.dumps({}), "holds no named tensors.*Received: an empty dictionary"),
        (lambda: pickle.dumps([np.ones(2)]), "holds no named tensors.*an object of type list"),
        (lambda: pickle.dumps({"a": 1, 2: 3}), "holds no named tensors.*keys 'a', '2'"),
        (lambda: pickle.dumps(np.ones(2)), "single tensor without a name"),
        (lambda: pickle.dumps({"a": np.ones(1)}) + b"more", "4 bytes after its pickle"),
        (lambda: b"\x80\x02\x82\x01.", "unknown opcode"),
        (lambda: b"\x80\x02U\x011Q.", "refers to data outside itself"),
    ],
)
def test_other_file_is_recognized(tmp_path, make, message):
    (tmp_path / "x.pth").write_bytes(make())
    with pytest.raises(ConversionError, match=f"(?s)x.pth: .*{message}"):
        read(tmp_path / "x.pth")


@pytest.mark.full
def test_torchscript_archive_is_refused(tmp_path):
    program = "import sys, torch; torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), sys.argv[1])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, tmp_path / "x.pt"], check=True)
    with pytest.raises(ConversionError, match=r"TorchScript archive.*torch.jit.load"):
        read(tmp_path / "x.pt")


def test_missing_and_forbidden_paths_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConversionError, match=r"missing.pth: there is no such file"):
        read(tmp_path / "missing.pth")
    with pytest.raises(ConversionError, match="is a directory"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConversionError, match="not a regular file"):
        read(tmp_path / "pipe")
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(ConversionError, match=r"x/y: cannot be read. Received: Not a directory"):
        read(tmp_path / "x" / "y")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # root may open everything
    with pytest.raises(ConversionError, match=r"permission denied. Make the file readable"):
        read(tmp_path / "x")
