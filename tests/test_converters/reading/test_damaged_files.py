"""Truncated and damaged files: one ConversionError each, or the right arrays."""

import io
import pickle
import random
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save as to_safetensors

from converters.errors import ConversionError
from converters.reading import read
from converters.reading.pytorch.exported_program import is_exported_program

ARRAYS = {"layer.w": np.arange(12, dtype=np.float32).reshape(3, 4), "layer.b": np.arange(3), "n": np.array(5)}
CHECKED = ("zip", "npz")  # formats with checksums


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


def test_truncated_file_is_refused(tmp_path, kind):
    content, path = serialized(kind), tmp_path / "x"
    for cut in range(0, len(content), max(1, len(content) // 200)):
        path.write_bytes(content[:cut])
        assert outcome(path) is None, f"cut at byte {cut}"


@pytest.mark.parametrize(
    ("kind", "cut"), [("zip", -100), ("legacy", -1), ("safetensors", -1), ("npz", -9), ("pickle", -9)]
)
def test_truncation_message_has_the_size(tmp_path, kind, cut):
    (tmp_path / "x").write_bytes(serialized(kind)[:cut])
    with pytest.raises(ConversionError, match=r"truncated.*Received: \d+ bytes.*[Dd]ownload it again"):
        read(tmp_path / "x")


def test_flipped_bit_is_refused_or_harmless(tmp_path, kind):
    """With checksums, a flipped bit is noticed or changes nothing. Without, it never ends in another exception."""
    content, path, chance = serialized(kind), tmp_path / "x", random.Random(0)
    for _ in range(400):
        damaged, place = bytearray(content), chance.randrange(len(content))
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        arrays = outcome(path)
        assert arrays is None or kind not in CHECKED or equal(arrays), f"byte {place}"


def test_random_bytes_never_crash(tmp_path, kind):
    content, path, chance = serialized(kind), tmp_path / "x", random.Random(1)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 2, 8))):
            start = chance.randrange(len(content))
            damaged[start : start + chance.choice((1, 4, 8))] = chance.randbytes(chance.choice((1, 4, 8)))
        path.write_bytes(damaged)
        outcome(path)


def test_random_pickles_never_crash(tmp_path):
    """The damage lies inside data.pkl, under a valid checksum: only an attacker makes such a file."""
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


def test_flipped_bit_in_a_tensor_is_refused_on_reading(tmp_path):
    content, path = bytearray(serialized("zip")), tmp_path / "x"
    content[content.index(ARRAYS["layer.w"].tobytes()) + 20] ^= 1
    path.write_bytes(content)
    checkpoint = read(path)
    assert np.array_equal(checkpoint["n"], 5)
    for _ in range(2):  # reading twice is no way around the checksum
        with pytest.raises(ConversionError, match=r"x: tensor 'layer.w': .*'archive/data/0' fails its checksum"):
            checkpoint["layer.w"]


@pytest.mark.parametrize("name", ["net.pth", "net.pt2", "net.keras", "net.npz"])
def test_an_archive_that_says_it_is_one_of_several_is_refused(tmp_path, name):
    end = struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 2) + struct.pack("<4s18x", b"PK\x05\x06")
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(100) + end)
    assert outcome(tmp_path / name) is None
    assert not is_exported_program(tmp_path / name)
