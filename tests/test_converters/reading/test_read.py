"""What is saved is read: every format, element type and layout, compared with the library that wrote it."""

import argparse
import io
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
import torch
from helpers.paths import ROOT
from safetensors.torch import save_file

from converters.errors import ConversionError
from converters.reading import Checkpoint, read

LEGACY = {"_use_new_zipfile_serialization": False}
DTYPES = [
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bool),
    *(torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64, torch.int64),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
]


def saved(tmp_path, content, **options):
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path, **options)
    return path


def values(tensor):
    """The tensor's bytes in C order: NumPy has no name for some of torch's types."""
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def assert_same(checkpoint, tensors):
    assert list(checkpoint) == list(tensors)
    for key, tensor in tensors.items():
        array = checkpoint[key]
        assert array.shape == tuple(tensor.shape) == checkpoint.shapes[key]
        assert array.dtype == checkpoint.dtypes[key]
        assert array.dtype.name == str(tensor.dtype).removeprefix("torch.")
        assert array.tobytes() == values(tensor)
        assert not array.flags.writeable


FORMATS = ("zip", "legacy", "safetensors")


def written(tmp_path, tensors, format):
    if format != "safetensors":
        return saved(tmp_path, tensors, **(LEGACY if format == "legacy" else {}))
    save_file(tensors, tmp_path / "x")
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("format", "dtype"),
    [
        (format, dtype)
        for format in FORMATS
        for dtype in DTYPES
        if (format, dtype) != ("safetensors", torch.complex128)  # safetensors has no such type
    ],
    ids=str,
)
def test_every_element_type_is_read(tmp_path, format, dtype):
    tensor = torch.arange(6).to(dtype).reshape(2, 3)
    assert_same(read(written(tmp_path, {"w": tensor}, format)), {"w": tensor})


@pytest.mark.parametrize("format", FORMATS)
def test_every_shape_is_read_in_order(tmp_path, format):
    tensors = {"z": torch.randn(3, 1, 2), "scalar": torch.tensor(7), "empty": torch.zeros(0, 4), "a": torch.ones(1)}
    checkpoint = read(written(tmp_path, tensors, format))
    assert_same(checkpoint, {key: tensors[key] for key in checkpoint})  # safetensors orders its keys itself
    assert set(checkpoint) == set(tensors)


@pytest.mark.parametrize("options", [{}, LEGACY])
def test_strided_views_of_a_storage_are_read(tmp_path, options):
    base = torch.arange(60.0).reshape(3, 4, 5)
    tensors = {
        "base": base,
        "transposed": base.permute(2, 0, 1),
        "offset": base[1:, 1],
        "steps": base[::2, 1::2, ::3],
        "expanded": base[:1, :1, :1].expand(4, 4, 4),
        "diagonal": base[0].diagonal(),
        "tied": base,
        "parameter": torch.nn.Parameter(base),
    }
    checkpoint = read(saved(tmp_path, tensors, **options))
    assert_same(checkpoint, tensors)
    if not options:  # legacy storages lie at odd addresses and may have to be copied
        assert np.shares_memory(checkpoint["base"], checkpoint["tied"])


def test_zip_and_safetensors_are_views_of_the_file(tmp_path):
    save_file({"w": torch.ones(1000)}, tmp_path / "x")
    for path in (tmp_path / "x", saved(tmp_path, {"w": torch.ones(1000)})):
        checkpoint = read(path)
        assert np.shares_memory(checkpoint["w"], checkpoint["w"])


def test_checkpoint_is_a_read_only_mapping(tmp_path):
    path = saved(tmp_path, {"model_state_dict": {"module.a": torch.ones(2), "module.b": torch.ones(3)}, "epoch": 3})
    checkpoint = read(path)
    assert isinstance(checkpoint, Checkpoint)
    assert (checkpoint.path, checkpoint.format) == (path, "PyTorch zip")
    assert (checkpoint.wrapper, checkpoint.prefix, list(checkpoint.extras)) == (
        ("model_state_dict",),
        "module.",
        ["epoch"],
    )
    assert len(checkpoint) == 2
    assert "a" in checkpoint
    assert "c" not in checkpoint
    assert repr(checkpoint) == (
        "<Checkpoint 'checkpoint.pth': PyTorch zip, 2 tensors, 0.0 MB; found under 'model_state_dict'; "
        "prefix 'module.' stripped; left out: 'epoch'>"
    )
    with pytest.raises(KeyError, match="c"):
        checkpoint["c"]
    with pytest.raises(ValueError, match="read-only"):
        checkpoint["a"][0] = 1


def test_big_endian_zip_is_read(tmp_path):
    tensors = {"f": torch.randn(5), "i": torch.arange(4), "c": torch.randn(3, dtype=torch.complex64)}
    tensors["b"] = torch.randn(6).bfloat16()
    path, swapped = saved(tmp_path, tensors), tmp_path / "big.pth"
    units = dict(zip("0123", (4, 8, 4, 2), strict=True))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(swapped, "w") as new:
        for name in old.namelist():
            content, last = old.read(name), name.rpartition("/")[2]
            if name.endswith("byteorder"):
                content = b"big"
            elif "/data/" in name and last in units:
                content = np.frombuffer(content, f"u{units[last]}").byteswap().tobytes()
            new.writestr(name, content)
    assert_same(read(swapped), tensors)
    assert torch.equal(torch.load(swapped)["c"], tensors["c"])  # the file is valid


def test_deflated_zip_and_zip_without_checksums_are_read(tmp_path):
    path, deflated = saved(tmp_path, {"w": torch.ones(1000)}), tmp_path / "deflated.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same(read(deflated), {"w": torch.ones(1000)})
    torch.serialization.set_crc32_options(False)
    try:
        assert_same(read(saved(tmp_path, {"w": torch.ones(9)})), {"w": torch.ones(9)})
    finally:
        torch.serialization.set_crc32_options(True)


def test_legacy_storage_within_another_is_read(tmp_path):
    """The file is written by hand: today's PyTorch no longer writes the sixth field."""
    storage = torch.arange(10.0)

    class Reference:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Reference):
                return ("storage", torch.FloatStorage, "1", "cpu", 10, ("2", 3, 4))

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Reference(), 1, (2,), (2,), False, OrderedDict())

    file = io.BytesIO()
    for thing in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(thing, file, 2)
    Pickler(file, 2).dump({"w": Tensor()})
    pickle.dump(["1"], file, 2)
    file.write(struct.pack("<q", 10) + storage.numpy().tobytes())
    (tmp_path / "x").write_bytes(file.getvalue())
    np.testing.assert_array_equal(read(tmp_path / "x")["w"], [4, 6])


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_npz_is_read(tmp_path, write):
    arrays = {
        "c": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
        "big": np.arange(5, dtype=">f4"),
        "scalar": np.float32(3),
        "empty": np.zeros((0, 2)),
    }
    write(tmp_path / "x.npz", **arrays, classes=np.array(["cat", "dog"]))
    checkpoint = read(tmp_path / "x.npz")
    assert checkpoint.format == "NumPy npz"
    assert list(checkpoint.extras) == ["classes"]
    assert list(checkpoint) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(checkpoint[key], array)
        assert checkpoint[key].dtype == checkpoint.dtypes[key] == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_of_arrays_is_read(tmp_path, protocol):
    arrays = {
        "c": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
        "big": np.arange(5, dtype=">i4"),
        "brain": np.arange(3).astype(ml_dtypes.bfloat16),
        "scalar": np.array(True),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": arrays, "best": np.float64(0.5)}, protocol))
    checkpoint = read(tmp_path / "x.pkl")
    assert (checkpoint.format, checkpoint.wrapper, list(checkpoint.extras)) == ("pickle", ("model",), ["best"])
    for key, array in arrays.items():
        np.testing.assert_array_equal(checkpoint[key], array)


def test_pickle_of_python_2_is_read(tmp_path):
    raw = np.array([1.5, -2.0], "<f4").tobytes()
    (tmp_path / "x").write_bytes(
        b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08"
        + raw
        + b"tbs."
    )
    np.testing.assert_array_equal(read(tmp_path / "x")["w"], [1.5, -2.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: torch.quantize_per_tensor(torch.ones(1), 0.1, 0, torch.qint8),
            r"'layer.w': is a quantized tensor.*dequantize\(\)",
        ),
        (lambda: torch.eye(3).to_sparse(), r"'layer.w': is a sparse tensor.*to_dense\(\)"),
        (lambda: torch.eye(3).to_sparse_csr(), r"'layer.w': is a sparse tensor"),
        (lambda: torch.ones(2, device="meta"), r"'layer.w': is a tensor on the meta device"),
        (lambda: torch.ones(2, dtype=torch.complex64).conj(), r"'layer.w': is a lazy view.*resolve_conj\(\)"),
        (lambda: np.array([{}]), r"'layer.w': is a NumPy array of Python objects"),
        (lambda: np.array(["text"]), r"'layer.w': is an array of <U4"),
        (
            lambda: torch.ones(2, dtype=torch.complex64).to(torch.complex32),
            r"'layer.w': element type complex32 cannot be read",
        ),
    ],
    ids=["quantized", "sparse", "csr", "meta", "conj", "objects", "text", "complex32"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_plain_array_are_refused_by_name(tmp_path, make, message):
    path = saved(tmp_path, {"layer.v": torch.zeros(2), "layer.w": make()})
    with pytest.raises(ConversionError, match=message):
        read(path)


def test_reading_imports_no_framework(tmp_path):
    path = saved(tmp_path, {"w": torch.ones(3), "b": torch.ones(3).bfloat16(), "args": argparse.Namespace(a=1)})
    script = (
        "import sys; from converters.reading import read; assert 'ml_dtypes' not in sys.modules; "
        "checkpoint = read(sys.argv[1]); assert sum(array.size for array in checkpoint.values()) == 6; "
        "print(sorted({'torch', 'tensorflow', 'keras', 'safetensors', 'argparse'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[]"
