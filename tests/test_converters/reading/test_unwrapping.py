"""The tensors are found among what training scripts save around and beside them."""

import argparse
import datetime
import pathlib
import sys
import types
from collections import Counter, defaultdict, deque

import numpy as np
import pytest
import torch

from converters.reading import read

LEGACY = {"_use_new_zipfile_serialization": False}


def saved(tmp_path, content, **options):
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path, **options)
    return path


def assert_same(checkpoint, tensors):
    assert list(checkpoint) == list(tensors)
    for key, tensor in tensors.items():
        expected = tensor.detach().numpy()
        assert (checkpoint[key].shape, checkpoint[key].dtype) == (expected.shape, expected.dtype)
        assert np.array_equal(checkpoint[key], expected)


class Setting:
    """A class of a training script, which a reader cannot import."""

    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 0.1


@pytest.mark.parametrize("options", [{}, LEGACY])
def test_objects_beside_the_tensors_become_extras(tmp_path, options):
    weight = torch.randn(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    beside = {
        "epoch": 3,
        "best": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("x")),
        "optimizer": optimizer.state_dict(),
        "when": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "history": [
            np.arange(3),
            deque([1, 2]),
            Counter("aab"),
            defaultdict(list, a=[1]),
            {1, 2},
            frozenset({(1, (2,))}),
        ],
        "setting": Setting(),
        "odd": [1.5, 2**100, -1, b"bytes", bytearray(b"x"), 1 + 2j, None, True, torch.float32, torch.Size([1]), float],
        "device": torch.device("cpu"),
        "keys": {(1, (2, 3)): 4, None: 5},
        7: "seven",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gone", types.ModuleType("gone"))
        patch.setattr(Setting, "__module__", "gone")
        sys.modules["gone"].Setting = Setting
        path = saved(tmp_path, {**beside, "state_dict": {"w": weight.detach()}}, **options)
    checkpoint = read(path)
    assert_same(checkpoint, {"w": weight.detach()})
    assert list(checkpoint.extras) == [str(key) for key in beside]
    assert "gone" not in sys.modules


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.randn(2))
        self.norm = torch.nn.BatchNorm2d(3)
        self.none = None
        self.stack = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1, bias=False), torch.nn.ReLU(), torch.nn.Linear(4, 2))
        self.register_buffer("mask", torch.ones(3), persistent=False)
        self.register_buffer("steps", torch.tensor(2))


@pytest.mark.parametrize("options", [{}, LEGACY])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_pickled_module_has_its_state_dict(tmp_path, options):
    module = Attention()
    for content, wrapper in ((module, ()), ({"model": module, "epoch": 1}, ("model",))):
        checkpoint = read(saved(tmp_path, content, **options))
        assert_same(checkpoint, module.state_dict())
        assert checkpoint.wrapper == wrapper
        assert any(extra.endswith("Attention") for extra in checkpoint.extras)
    assert_same(read(saved(tmp_path, torch.nn.DataParallel(module), **options)), module.state_dict())


W, V = torch.ones(1), torch.zeros(2)


@pytest.mark.parametrize(
    ("content", "wrapper", "prefix", "keys", "extras"),
    [
        ({"w": W}, (), "", ["w"], ()),
        ({"state_dict": {"w": W}, "epoch": W, "best": V}, (), "", ["epoch", "best"], ("state_dict",)),
        ({"state_dict": {"w": W, "v": V}, "best": V}, ("state_dict",), "", ["w", "v"], ("best",)),
        ({"model": {"state_dict": {"w": W}, "x": 1}, "y": 2}, ("model", "state_dict"), "", ["w"], ("y", "x")),
        ({"state_dict": {"w": W}, "model_ema": {"v": V}}, ("model_ema",), "", ["v"], ("state_dict",)),
        (
            {"model": {"w": W}, "net": {"v": V}, "optimizer": {"state": {0: W}}},
            ("model",),
            "",
            ["w"],
            ("net", "optimizer"),
        ),
        ({"my_net": {"w": W}, "epoch": 1}, ("my_net",), "", ["w"], ("epoch",)),
        ({"model": {}, "weights": {"w": W}}, ("weights",), "", ["w"], ("model",)),
        ({"module.a": W, "module.b": W}, (), "module.", ["a", "b"], ()),
        ({"module._orig_mod.module.a": W}, (), "module._orig_mod.module.", ["a"], ()),
        ({"state_dict": {"model.a": W, "model.b": W}}, ("state_dict",), "model.", ["a", "b"], ()),
        ({"module.a": W, "b": W}, (), "", ["module.a", "b"], ()),
        ({"model.": W}, (), "", ["model."], ()),
    ],
)
def test_wrappers_and_prefixes_are_removed(tmp_path, content, wrapper, prefix, keys, extras):
    checkpoint = read(saved(tmp_path, content))
    assert (checkpoint.wrapper, checkpoint.prefix, list(checkpoint)) == (wrapper, prefix, keys)
    assert tuple(checkpoint.extras) == extras
