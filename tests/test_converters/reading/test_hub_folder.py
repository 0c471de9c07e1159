"""Folders of a model hub: which files are read, links, parts with an index, and what is refused."""

import argparse
import json
import os

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from converters import ConversionError
from converters.reading import read

ONE = {"a.weight": np.ones((2, 3), "float32"), "a.bias": np.zeros(2, "float32")}
TWO = {"b.weight": np.full((4,), 2, "float32")}


def write_parts(folder, *, index=None, suffix="safetensors"):
    """A checkpoint in two files with its index."""
    base = {"safetensors": "model", "bin": "pytorch_model"}[suffix]
    names = [f"{base}-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    for name, tensors in zip(names, (ONE, TWO), strict=True):
        if suffix == "bin":
            torch.save({key: torch.from_numpy(value) for key, value in tensors.items()}, folder / name)
        else:
            save_file(tensors, folder / name)
    parts = {key: name for name, tensors in zip(names, (ONE, TWO), strict=True) for key in tensors}
    (folder / f"{base}.{suffix}.index.json").write_text(json.dumps({"weight_map": parts} if index is None else index))
    return names


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin", "model.pth"], "model.safetensors"),
        (["pytorch_model.bin", "pytorch_model.pth"], "pytorch_model.bin"),
        (["resnet50.pth", "optimizer.pt", "training_args.bin"], "resnet50.pth"),
        (["fold0.ckpt"], "fold0.ckpt"),
    ],
)
def test_documented_order_decides_among_files(tmp_path, names, chosen):
    for number, name in enumerate(names):
        tensors = {f"tensor{number}": torch.ones(2)}
        if name.endswith(".safetensors"):
            save_file({key: value.numpy() for key, value in tensors.items()}, tmp_path / name)
        else:
            torch.save(tensors, tmp_path / name)
    (tmp_path / "config.json").write_text("{}")
    assert list(read(tmp_path)) == [f"tensor{names.index(chosen)}"]


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_parts_are_one_checkpoint(tmp_path, suffix):
    names = write_parts(tmp_path, suffix=suffix)
    checkpoint = read(tmp_path)
    assert {key: checkpoint.shapes[key] for key in checkpoint} == {"a.weight": (2, 3), "a.bias": (2,), "b.weight": (4,)}
    assert [path.name for path in checkpoint.files] == names
    assert np.array_equal(checkpoint["b.weight"], TWO["b.weight"])
    index = next(name for name in os.listdir(tmp_path) if name.endswith(".index.json"))
    assert set(read(tmp_path / index)) == set(checkpoint)


def test_snapshot_of_links_is_read(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1234"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    save_file(ONE, blobs / "abcd")
    (blobs / "ef").write_text('{"architecture": "resnet50", "num_classes": 2}')
    for blob, name in (("abcd", "model.safetensors"), ("ef", "config.json")):
        (snapshot / name).symlink_to(os.path.join("..", "..", "blobs", blob))
    checkpoint = read(snapshot)
    assert set(checkpoint) == set(ONE)
    assert checkpoint.documents["config.json"]["architecture"] == "resnet50"
    with pytest.raises(ConversionError, match=r"is the cache of a hub. Give one of its snapshots: .*1234"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a.weight": "../model.safetensors"}}, "outside its folder.*'../model.safetensors'"),
        ({"weight_map": {"a.weight": "/etc/passwd"}}, "outside its folder"),
        ({"weight_map": {"a.weight": "..\\\\x"}}, "outside its folder"),
        ({"weight_map": {"a.weight": "model-00001-of-00002.safetensors", "c": "gone.safetensors"}}, "missing: gone"),
        ({"weight_map": {"a.weight": "model-00001-of-00002.safetensors", "c.weight": "model-00001-of-00002.safetensors"}},
         "names 1 tensors that none of its files holds: c.weight"),
        ({"weight_map": {}}, "not the index of a checkpoint in several files"),
        ({"weight_map": ["a"]}, "not the index"),
        ({"other": 1}, "not the index"),
        ([1], "not a JSON object"),
    ],
)  # fmt: skip
def test_unusable_index_is_refused(tmp_path, index, message):
    write_parts(tmp_path, index=index)
    with pytest.raises(ConversionError, match=f"(?s)index.json: .*{message}|{message}"):
        read(tmp_path)


def test_damaged_index_and_config_are_refused(tmp_path):
    write_parts(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a.weight"')
    with pytest.raises(ConversionError, match=r"index.json: is not valid JSON.*Download it again|damaged"):
        read(tmp_path)
    save_file(ONE, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConversionError, match=r"config.json: is not valid JSON"):
        read(tmp_path)


def test_same_tensor_in_two_parts_is_refused(tmp_path):
    first, second = write_parts(tmp_path)
    save_file(TWO | {"a.bias": ONE["a.bias"]}, tmp_path / second)
    with pytest.raises(ConversionError, match=f"two of its files hold the tensor 'a.bias': {first} and {second}"):
        read(tmp_path)


def test_folders_without_weights_and_with_several_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"folder of a hub without weights.*Received: config.json"):
        read(tmp_path)
    (tmp_path / "tf_model.h5").write_bytes(b"x")
    with pytest.raises(ConversionError, match=r"folder of a hub without weights.*Received: tf_model.h5"):
        read(tmp_path)
    for name in ("a.pth", "b.pth"):
        torch.save({"w": torch.ones(1)}, tmp_path / name)
    with pytest.raises(ConversionError, match=r"holds 2 files of weights.*Received: a.pth, b.pth"):
        read(tmp_path)


def test_part_that_is_damaged_is_named(tmp_path):
    _, second = write_parts(tmp_path)
    (tmp_path / second).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConversionError, match=f"{second}: is a Git LFS pointer"):
        read(tmp_path)


def test_config_of_others_beside_a_file_is_left_alone(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "street.pth")
    (tmp_path / "config.json").write_text("{ not json")
    assert read(tmp_path / "street.pth").documents == {}
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert read(tmp_path / "street.pth").documents == {"config.json": {"a": 1}}
    torch.save({"w": torch.ones(1)}, tmp_path / "other.pth")
    assert read(tmp_path / "street.pth").documents == {}


def test_labels_are_plain_values_at_any_depth(tmp_path):
    inner = argparse.Namespace(arch="resnet50", rates=[1, 2], path=tmp_path, deeper=argparse.Namespace(os=16))
    content = {
        "state_dict": {"w": torch.ones(1)},
        "args": inner,
        "hyper_parameters": {"encoder_name": "resnet18", "nothing": None},
        "optimizer": {"param_groups": [{"lr": 0.1}], "name": "sgd"},
        "epoch": 3,
    }
    torch.save(content, tmp_path / "x.ckpt")
    assert read(tmp_path / "x.ckpt").labels == {
        "epoch": 3,
        "args.arch": "resnet50",
        "args.rates": (1, 2),
        "args.deeper.os": 16,
        "hyper_parameters.encoder_name": "resnet18",
        "hyper_parameters.nothing": None,
    }


def test_labels_of_a_hostile_file_are_bounded(tmp_path):
    nested = node = {}
    for _ in range(50):
        node["x"] = {"y": 1}
        node = node["x"]
    node["back"] = nested
    content = {"state_dict": {"w": torch.ones(1)}, "args": nested, "wide": {str(n): n for n in range(30_000)}}
    torch.save(content, tmp_path / "x.pth")
    assert len(read(tmp_path / "x.pth").labels) == 2000
