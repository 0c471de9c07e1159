"""Files that are damaged, hostile or something else: one ConversionError each, and nothing of them is ever run."""

import gzip
import io
import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save as to_safetensors

from converters.errors import ConversionError
from converters.reading import read

ARRAYS = {"layer.w": np.arange(12, dtype=np.float32).reshape(3, 4), "layer.b": np.arange(3), "n": np.array(5)}
CHECKED = ("zip", "npz")  # the formats with checksums


def serialized(kind) -> bytes:
    file = io.BytesIO()
    if kind == "npz":
        np.savez(file, **ARRAYS)
    elif kind == "safetensors":
        file.write(to_safetensors(ARRAYS))
    elif kind == "pickle":
        pickle.dump({"model": ARRAYS, "epoch": 3}, file, 4)
    else:
        content = {"model": {key: torch.from_numpy(array) for key, array in ARRAYS.items()}, "epoch": 3}
        torch.save(content, file, _use_new_zipfile_serialization=kind == "zip")
    return file.getvalue()


def outcome(path):
    """The arrays of the file, or None when reading it raised ConversionError. Any other exception fails the test."""
    try:
        return dict(read(path))
    except ConversionError as error:
        if not str(error).startswith(f"{path}: "):
            pytest.fail(f"the message does not name the file: {error}")
        return None


def equal(arrays):
    return list(arrays) == list(ARRAYS) and all(
        arrays[key].dtype == ARRAYS[key].dtype and np.array_equal(arrays[key], ARRAYS[key]) for key in ARRAYS
    )


@pytest.fixture(params=["zip", "legacy", "safetensors", "npz", "pickle"])
def kind(request):
    return request.param


def test_truncated_anywhere(tmp_path, kind):
    content, path = serialized(kind), tmp_path / "x"
    for cut in range(0, len(content), max(1, len(content) // 200)):
        path.write_bytes(content[:cut])
        assert outcome(path) is None, f"cut at byte {cut}"


@pytest.mark.parametrize(
    ("kind", "cut"), [("zip", -100), ("legacy", -1), ("safetensors", -1), ("npz", -9), ("pickle", -9)]
)
def test_truncation_is_named(tmp_path, kind, cut):
    (tmp_path / "x").write_bytes(serialized(kind)[:cut])
    with pytest.raises(ConversionError, match=r"truncated.*Received: \d+ bytes.*[Dd]ownload it again"):
        read(tmp_path / "x")


def test_flipped_bits(tmp_path, kind):
    """With checksums, one flipped bit is found or changes nothing. Without, it never ends in a foreign exception."""
    content, path, chance = serialized(kind), tmp_path / "x", random.Random(0)
    for _ in range(400):
        damaged, place = bytearray(content), chance.randrange(len(content))
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        arrays = outcome(path)
        assert arrays is None or kind not in CHECKED or equal(arrays), f"byte {place}"


def test_random_bytes_in_places(tmp_path, kind):
    content, path, chance = serialized(kind), tmp_path / "x", random.Random(1)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 2, 8))):
            start = chance.randrange(len(content))
            damaged[start : start + chance.choice((1, 4, 8))] = chance.randbytes(chance.choice((1, 4, 8)))
        path.write_bytes(damaged)
        outcome(path)


def test_random_pickles(tmp_path):
    """Damage inside data.pkl under a valid checksum, as only an attacker makes it."""
    path, chance = tmp_path / "x", random.Random(2)
    with zipfile.ZipFile(io.BytesIO(serialized("zip"))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("data.pkl"))
    for _ in range(400):
        damaged = bytearray(members[name])
        for _ in range(chance.choice((1, 2, 8))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in {**members, name: bytes(damaged)}.items():
                archive.writestr(member, content)
        outcome(path)


def test_a_flipped_bit_in_a_tensor_names_it_when_it_is_read(tmp_path):
    content, path = bytearray(serialized("zip")), tmp_path / "x"
    content[content.index(ARRAYS["layer.w"].tobytes()) + 20] ^= 1
    path.write_bytes(content)
    checkpoint = read(path)
    assert np.array_equal(checkpoint["n"], 5)
    for _ in range(2):  # a second look is no way around the checksum
        with pytest.raises(ConversionError, match=r"x: tensor 'layer.w': .*'archive/data/0' fails its checksum"):
            checkpoint["layer.w"]


class Call:
    """Pickles as a call of `module.name(*args)`."""

    def __init__(self, name, *args):
        self.name, self.args = name, args

    def __reduce__(self):
        return self.name, self.args


def run_marker(marker):
    return f"touch {marker}"


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("save", [pickle.dump, torch.save, "legacy"], ids=["pickle", "zip", "legacy"])
def test_code_is_not_run(tmp_path, save, protocol):
    marker, path = tmp_path / "marker", tmp_path / "x.pth"
    content = {"state_dict": {"w": torch.ones(2)}, "x": Call(os.system, run_marker(marker))}
    if save is pickle.dump:
        path.write_bytes(pickle.dumps(content["x"], protocol))
    else:
        torch.save(content, path, pickle_protocol=max(protocol, 2), _use_new_zipfile_serialization=save != "legacy")
    with pytest.raises(ConversionError, match=r"x.pth: .*tries to run (posix|os|nt).system: refused, nothing was run"):
        read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "os system",
            "posix system",
            "os.path join",
            "subprocess Popen",
            "sys exit",
            "runpy run_path",
            "shutil rmtree",
        ),
        *("builtins eval", "builtins getattr", "builtins __import__", "__builtin__ exec", "importlib import_module"),
        *("torch load", "torch.hub load", "torch._utils _rebuild_everything", "torch.storage _load_from_bytes"),
        *("numpy load", "numpy.core.multiarray fromfile", "socket socket", "ctypes CDLL", "pickle loads", "a.b make"),
        *("operator attrgetter", "numpy ndarray", "copyreg add_extension", "builtins open", "logging getLogger"),
    ],
)
def test_calls_of_functions_are_refused_by_name(tmp_path, name):
    module, name = name.split()
    message = re.escape(f"tries to run {module.replace('__builtin__', 'builtins')}.{name}: refused")
    for call in (
        f"c{module}\n{name}\n(S'x'\ntR.".encode(),
        f"(S'x'\ni{module}\n{name}\n.".encode(),
        b"(" + f"c{module}\n{name}\nS'x'\no.".encode(),
        b"\x80\x04\x8c"
        + struct.pack("B", len(module))
        + module.encode()
        + b"\x8c"
        + struct.pack("B", len(name))
        + name.encode()
        + b"\x93)\x81.",
    ):
        (tmp_path / "x").write_bytes(call)
        with pytest.raises(ConversionError, match=message):
            read(tmp_path / "x")


def test_foreign_classes_are_neither_imported_nor_built(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    (tmp_path / "hostile.py").write_text(f"open({str(marker)!r}, 'w')\nclass Thing(dict): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "x").write_bytes(b"(chostile\nThing\n)\x81}U\x01aK\x01sb.")
    with pytest.raises(ConversionError, match=r"holds a pickled object of class hostile.Thing.*Save model.state_dict"):
        read(tmp_path / "x")
    assert not marker.exists()
    assert "hostile" not in sys.modules


MEMO_OF_4_BILLION = b"\x80\x02]r\xff\xff\xff\xff."
TEXT_OF_TERABYTES = b"\x80\x04\x8d" + struct.pack("<Q", 2**42) + b"abc."
COPIES = (
    b"\x80\x02c_codecs\nencode\nq\x00X" + struct.pack("<I", 2**20) + b"a" * 2**20 + b"X\x06\x00\x00\x00latin1\x86q\x010"
    b"](" + b"h\x00h\x01R" * 100_000 + b"e."
)
SHARED_KEY = b"\x80\x02})q\x00" + b"h\x00\x86q\x00" * 60 + b"K\x01s."
SHARED_LISTS = b"\x80\x02]q\x00" + b"](h\x00h\x00eq\x00" * 60 + b"."
DEEP = b"\x80\x02" + b"}X\x05\x00\x00\x00model" * 20_000 + b"}" + b"s" * 20_000 + b"."
CYCLE = b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."
HUGE_NUMBER = b"\x80\x02}\x8b" + struct.pack("<I", 10_000) + b"\x7f" * 10_000 + b"K\x01s."


@pytest.mark.parametrize(
    "bomb", [MEMO_OF_4_BILLION, TEXT_OF_TERABYTES, COPIES, SHARED_KEY, SHARED_LISTS, DEEP, CYCLE, HUGE_NUMBER]
)
def test_bombs_do_not_go_off(tmp_path, bomb):
    (tmp_path / "x").write_bytes(bomb)
    with pytest.raises(ConversionError, match="x: "):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("offset", "size", "stride", "message"),
    [
        (0, (7,), (1,), "needs 28 bytes of its storage. Received: a storage of 24 bytes"),
        (5, (2,), (1,), "needs 28 bytes of its storage"),
        (0, (2, 2), (5, 1), "needs 28 bytes of its storage"),
        (0, (-1,), (1,), "not below zero"),
        (0, (2,), (-1,), "not below zero"),
        (-1, (2,), (1,), "not below zero"),
        (0, (2,), (1, 1), "1 sizes and 2 strides"),
        (0, (1,) * 65, (1,) * 65, "at most 64 sizes"),
        (0, (10**6, 10**6), (0, 0), "repeats its storage"),
        (0, (2.0,), (1,), "whole numbers"),
        (0, (2**62, 2**62), (2**62, 1), "needs"),
        (0, (2**5000,), (0,), "whole numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_tensors_outside_their_storage(tmp_path, offset, size, stride, message):
    call = Call(torch._utils._rebuild_tensor_v2, torch.ones(6).storage(), offset, size, stride, False, {})
    torch.save({"w": call}, tmp_path / "x")
    with pytest.raises(ConversionError, match=f"x: tensor 'w': .*{message}"):
        read(tmp_path / "x")


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
def test_bad_safetensors(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConversionError, match=f"x: .*{message}"):
        read(tmp_path / "x")


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
        (lambda: gzip.compress(serialized("zip")), "compressed with gzip"),
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
        (lambda: pickle.dumps({"x": {"a": np.ones(1)}, "y": {"a": np.ones(1)}}), "several sets of tensors.*'x', 'y'"),
        (lambda: pickle.dumps({"a": np.ones(1)}) + b"more", "4 bytes after its pickle"),
        (lambda: b"\x80\x02\x82\x01.", "unknown opcode"),
        (lambda: b"\x80\x02U\x011Q.", "refers to data outside itself"),
    ],
)
def test_other_files(tmp_path, make, message):
    (tmp_path / "x.pth").write_bytes(make())
    with pytest.raises(ConversionError, match=f"(?s)x.pth: .*{message}"):
        read(tmp_path / "x.pth")


def test_scripted_module(tmp_path):
    program = "import sys, torch; torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), sys.argv[1])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, tmp_path / "x.pt"], check=True)
    with pytest.raises(ConversionError, match=r"TorchScript archive.*torch.jit.load"):
        read(tmp_path / "x.pt")


def test_paths_that_are_no_files(tmp_path, monkeypatch):
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
