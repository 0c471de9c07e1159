"""Pickles that attack: refused by name, and nothing in them is ever run."""

import os
import pickle
import re
import struct
import sys

import pytest
import torch

from converters.errors import ConversionError
from converters.reading import read


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
def test_pickle_bombs_are_refused(tmp_path, bomb):
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
def test_tensors_outside_their_storage_are_refused(tmp_path, offset, size, stride, message):
    call = Call(torch._utils._rebuild_tensor_v2, torch.ones(6).storage(), offset, size, stride, False, {})
    torch.save({"w": call}, tmp_path / "x")
    with pytest.raises(ConversionError, match=f"x: tensor 'w': .*{message}"):
        read(tmp_path / "x")
