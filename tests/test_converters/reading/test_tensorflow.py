"""TensorFlow 1's checkpoints, in both forms and by every name; damaged ones are refused."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers.tf1_nets import write

import converters
from converters import ConversionError


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


WEIGHTS = {"net/conv/weights": numbers(3, 3, 2, 4), "net/conv/biases": numbers(4, seed=1)}
SHARDS = [f"-{index:05}-of-00002" for index in range(2)]


def same(checkpoint, arrays):
    return set(checkpoint) == set(arrays) and all(np.array_equal(checkpoint[key], arrays[key]) for key in arrays)


def refused(path, message):
    with pytest.raises(ConversionError, match=message) as caught:
        dict(converters.read(path))
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("version", "sharded", "names", "files"),
    [
        (1, False, ["net.ckpt", "", "checkpoint"], [""]),
        (1, True, ["net.ckpt", "net.ckpt-00001-of-00002", "net.ckpt-?????-of-00002", "", "checkpoint"], SHARDS),
        (
            2,
            False,
            ["net.ckpt", "net.ckpt.index", "net.ckpt.data-00000-of-00001", "", "checkpoint"],
            [".index", ".data-00000-of-00001"],
        ),
        (
            2,
            True,
            ["net.ckpt", "net.ckpt.index", "net.ckpt.data-00001-of-00002"],
            [".index", *(f".data{shard}" for shard in SHARDS)],
        ),
    ],
)
def test_every_name_leads_to_the_whole_checkpoint(version, sharded, names, files, tmp_path):
    write(tmp_path / "net.ckpt", WEIGHTS, version=version, sharded=sharded)
    for name in names:
        checkpoint = converters.read(tmp_path / name)
        assert checkpoint.format == "TensorFlow checkpoint"
        assert same(checkpoint, WEIGHTS)
        assert checkpoint.shapes["net/conv/weights"] == (3, 3, 2, 4)
        assert checkpoint.dtypes["net/conv/weights"] == np.float32
        assert list(checkpoint.files) == [tmp_path / f"net.ckpt{suffix}" for suffix in files]
        assert checkpoint.extras == {}


def test_partitioned_variable_is_one_tensor(tmp_path):
    for version in (1, 2):
        write(tmp_path / "net.ckpt", WEIGHTS, version=version, pieces={"net/conv/weights": 3})
        assert same(converters.read(tmp_path / "net.ckpt"), WEIGHTS)


def test_moved_checkpoint_is_found(tmp_path):
    write(tmp_path / "old" / "net.ckpt", WEIGHTS)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert same(converters.read(tmp_path / "new"), WEIGHTS)
    (tmp_path / "new" / "checkpoint").unlink()
    assert same(converters.read(tmp_path / "new"), WEIGHTS)
    shutil.copy(tmp_path / "new" / "net.ckpt.index", tmp_path / "new" / "other.index")
    refused(tmp_path / "new", r"holds 2 checkpoints and no file `checkpoint` .*net\.ckpt, .*other")


def test_optimizer_slots_and_last_step_are_left_out(tmp_path):
    averaged = {key: value + 1 for key, value in WEIGHTS.items()}
    beside = {"global_step": np.int64(7), "beta1_power": np.float32(0.5), "net/steps": np.array([1, 2], "int32")}
    for slot in ("Momentum", "Adam", "Adam_1", "RMSProp_1"):
        beside |= {f"net/conv/weights/{slot}": np.zeros((3, 3, 2, 4), "float32")}
    beside |= {f"{key}/ExponentialMovingAverage": value for key, value in averaged.items()}
    write(tmp_path / "net.ckpt", WEIGHTS | beside)
    checkpoint = converters.read(tmp_path / "net.ckpt")
    assert same(checkpoint, averaged | {"net/steps": beside["net/steps"]})
    assert checkpoint.extras == {
        "global_step": 7,
        "beta1_power": 0.5,
        "1 of */Momentum": None,
        "1 of */Adam": None,
        "1 of */Adam_1": None,
        "1 of */RMSProp_1": None,
        "2 of the last step's weights, whose moving average is used": None,
    }


def test_every_element_type_is_read(tmp_path):
    arrays = {"half": np.ones(3, "float16"), "whole": np.arange(4), "none": np.zeros((0, 3), "float32"), "one": 1.5}
    arrays |= {"truth": np.array([True, False]), "brain": tf.constant([1.5, 2], tf.bfloat16).numpy()}
    write(tmp_path / "net.ckpt", arrays | {"text": np.array("no number", object)})
    checkpoint = converters.read(tmp_path / "net.ckpt")
    assert same(checkpoint, arrays)
    assert checkpoint.dtypes["brain"] == arrays["brain"].dtype
    assert checkpoint.extras == {"text": None}


def test_tensors_are_read_lazily(tmp_path):
    """The last tensor is damaged. Only reading it shows that, by its checksum."""
    write(tmp_path / "net.ckpt", WEIGHTS)
    path = tmp_path / "net.ckpt.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    checkpoint = converters.read(tmp_path / "net.ckpt")
    assert np.array_equal(checkpoint["net/conv/biases"], WEIGHTS["net/conv/biases"])
    with pytest.raises(ConversionError, match=r"net\.ckpt: tensor 'net/conv/weights': fails its checksum: .* damaged"):
        checkpoint["net/conv/weights"]


def test_missing_files_are_named(tmp_path):
    write(tmp_path / "net.ckpt", WEIGHTS, sharded=True)
    data = tmp_path / "net.ckpt.data-00001-of-00002"
    content = data.read_bytes()
    data.unlink()
    for name in ("net.ckpt", "net.ckpt.index", "net.ckpt.data-00000-of-00002"):
        refused(tmp_path / name, r"files of the .* are missing: net\.ckpt\.data-00001-of-00002\. Put")
    data.write_bytes(content)
    (tmp_path / "net.ckpt.index").rename(tmp_path / "renamed")
    for name in ("net.ckpt", "net.ckpt.data-00000-of-00002"):
        refused(tmp_path / name, r"the file net\.ckpt\.index is missing, which says what lies where")
    refused(tmp_path / "renamed", "holds no tensor. A file .index keeps its name")
    for data in tmp_path.glob("net.ckpt.data*"):
        data.unlink()
    (tmp_path / "renamed").rename(tmp_path / "net.ckpt.index")
    refused(tmp_path / "net.ckpt", r"missing: net\.ckpt\.data-00000-of-00001")
    (tmp_path / "net.ckpt.index").unlink()
    refused(tmp_path / "net.ckpt", "there is no such file")
    refused(tmp_path, r"its file `checkpoint` names .*net\.ckpt', and no such checkpoint is there or beside it")
    (tmp_path / "checkpoint").write_text("all_model_checkpoint_paths: 'a'")
    refused(tmp_path, "its file `checkpoint` names none")
    write(tmp_path / "old.ckpt", WEIGHTS, version=1, sharded=True)
    (tmp_path / "old.ckpt-00000-of-00002").unlink()
    refused(tmp_path / "old.ckpt", r"missing: old\.ckpt-00000-of-00002")


def test_truncated_file_is_refused_at_every_byte(tmp_path):
    write(tmp_path / "old.ckpt", WEIGHTS, version=1)
    write(tmp_path / "net.ckpt", WEIGHTS)
    for name in ("old.ckpt", "net.ckpt.index", "net.ckpt.data-00000-of-00001"):
        path = tmp_path / name
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            refused(path, "truncated|empty|unknown format|zeros alone")
        path.write_bytes(content)
        assert same(converters.read(path), WEIGHTS)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_damage_is_refused_or_harmless(tmp_path, mask):
    """Every byte of the tables has a checksum, except the padding of the last."""
    write(tmp_path / "old.ckpt", WEIGHTS, version=1)
    write(tmp_path / "net.ckpt", WEIGHTS)
    for name in ("old.ckpt", "net.ckpt.index"):
        path = tmp_path / name
        content = path.read_bytes()
        for place in range(0, len(content), 5):
            damaged = bytearray(content)
            damaged[place] ^= mask
            path.write_bytes(damaged)
            try:
                assert same(converters.read(path), WEIGHTS)
            except ConversionError as error:
                assert str(error).startswith(str(path))  # noqa: PT017
        path.write_bytes(content)


def test_tensorflow_2_objects_are_refused(tmp_path):
    tf.train.Checkpoint(layer=tf.Variable([1.0, 2.0])).write(str(tmp_path / "objects"))
    refused(tmp_path / "objects", r"TensorFlow 2's objects, .* model\.save\('model\.keras'\)")


@pytest.mark.full
def test_inspect_command_lists_checkpoint(tmp_path):
    write(tmp_path / "net.ckpt", WEIGHTS)
    command = [sys.executable, "-m", "tfseg_cli.inspect", f"--checkpoint={tmp_path / 'net.ckpt'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.search(r"net/conv/weights  float32   3x3x2x4\nnet\.ckpt: TensorFlow checkpoint, 2 tensors", done.stdout)
