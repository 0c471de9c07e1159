"""A conversion without TensorFlow writes the bytes that a conversion with it writes."""

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from helpers import checkpoints, onnx_graphs
from helpers.paths import ROOT
from helpers.run_command import Ended, finish, start

import converters
from converters import storing_keras
from converters.conversion.save import save
from tfseg_cli.storing import storing_or_computing

OUTPUTS = (".weights.h5", ".safetensors", ".keras")
CONVERT = "tfseg_cli.convert"
ADDRESS = re.compile(rb'"shared_object_id": \d+')
# Each file once, in one process, since Keras takes a second to load.
STORING = """
import sys
from converters import storing_keras
assert storing_keras.load()
import converters
from converters.conversion.save import save
for line in sys.stdin.read().splitlines():
    source, network, *outputs = line.split("\\t")
    model, receipt = converters.convert(source, network=network or None)
    for output in outputs:
        save(model, output, receipt=receipt)
assert sys.modules["tensorflow"] is None and not {"jax", "torch"} & set(sys.modules)
"""
HIDING = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Hiding, sys.meta_path)
"""
LOADED = "import atexit; atexit.register(lambda: print('loaded:', sys.modules.get('tensorflow') is not None))"


def stored(rows: list[list[str]], folder: pathlib.Path) -> None:
    """Converts files in a process whose Keras computes nothing.

    Args:
        rows: path of a file, name of its network or "", paths of the outputs.
        folder: working directory.
    """
    lines = "\n".join("\t".join(row) for row in rows)
    command, environment = [sys.executable, "-c", STORING], plain_environment(folder)
    ended = subprocess.run(command, input=lines, env=environment, cwd=folder, text=True, capture_output=True)
    assert ended.returncode == 0, ended.stderr[-2000:]


def plain_environment(folder: pathlib.Path, **further: str) -> dict[str, str]:
    """The environment of a user who has chosen no backend."""
    kept = {key: value for key, value in os.environ.items() if key != storing_keras.BACKEND}
    return kept | {"PYTHONPATH": str(ROOT), "KERAS_HOME": str(folder / "keras")} | further


def assert_same_bytes(expected: pathlib.Path, received: pathlib.Path) -> None:
    """Refuses two outputs that differ, but for the time and the addresses of objects in a `.keras`."""
    if expected.suffix != ".keras":
        assert received.read_bytes() == expected.read_bytes()
        return
    with zipfile.ZipFile(expected) as first, zipfile.ZipFile(received) as second:
        assert first.namelist() == second.namelist()
        for name in first.namelist():
            if name != "metadata.json":
                contents = [ADDRESS.sub(b"", archive.read(name)) for archive in (first, second)]
                assert contents[0] == contents[1], name
        texts = [json.loads(archive.read("metadata.json")) for archive in (first, second)]
    assert texts[0]["keras_version"] == texts[1]["keras_version"]


def compare(files: list[tuple[str, str]], folder: pathlib.Path) -> None:
    """Holds what both ways write against each other.

    Args:
        files: name of a file in the folder, and of its network or "".
        folder: where the files are.
    """
    stored([[name, network, *(f"stored_{name}{suffix}" for suffix in OUTPUTS)] for name, network in files], folder)
    for name, network in files:
        model, receipt = converters.convert(folder / name, network=network or None)
        for suffix in OUTPUTS:
            save(model, folder / f"usual_{name}{suffix}", receipt=receipt)
            assert_same_bytes(folder / f"usual_{name}{suffix}", folder / f"stored_{name}{suffix}")


@pytest.mark.parametrize(
    "families", [["wkentaro/pytorch-fcn"], pytest.param(list(checkpoints.BUILDS)[:3], marks=pytest.mark.full)]
)
def test_the_bytes_are_those_of_the_usual_way(families, tmp_path):
    for index, family in enumerate(families):
        state = {
            key: value.astype("float16" if index else "float32") for key, value in checkpoints.state(family).items()
        }
        checkpoints.save(tmp_path / f"{index}.pth", state)
    compare([(f"{index}.pth", "") for index in range(len(families))], tmp_path)


def convert(folder: pathlib.Path, *words: object, **environment: str) -> tuple[Ended, bool]:
    """How `tfseg convert` ends in a fresh interpreter, and whether TensorFlow was loaded in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(storing_keras.BACKEND, raising=False)
        for key, value in ({"KERAS_HOME": str(folder / "keras")} | environment).items():
            patch.setenv(key, value)
        ended = finish(start(CONVERT, *words, before=LOADED, cwd=folder))
    return ended, "loaded: True" in ended.out


def test_the_command_does_without_tensorflow(tmp_path):
    checkpoints.save(tmp_path / "vgg.pth", checkpoints.state("torchvision/vgg"))
    ended, loaded = convert(tmp_path, "vgg.pth", "--output=vgg.weights.h5", "--receipt=vgg.json")
    assert ended.code == 0, ended.err
    assert not loaded
    assert json.loads((tmp_path / "vgg.json").read_text())["network"] == "vgg16"


@pytest.mark.full
def test_a_program_is_built_with_tensorflow(tmp_path):
    """The command starts again, once it sees that the network has to run."""
    kernel = np.ones((4, 3, 3, 3), "float32")
    onnx_graphs.write(tmp_path / "net.onnx", [("Conv", "x kernel", "y", {"pads": [1] * 4})], {"kernel": kernel})
    ended, _ = convert(tmp_path, "net.onnx", "--output=net.weights.h5")
    assert ended.code == 0, ended.err
    assert "ONNX" in ended.out
    assert (tmp_path / "net.weights.h5").is_file()


def test_a_command_does_not_start_again_for_ever():
    """Keras with a backend is loaded here: a fresh process would lack TensorFlow, too."""

    def command():
        raise ModuleNotFoundError("No module named 'tensorflow.core'", name="tensorflow.core")

    with pytest.raises(ModuleNotFoundError, match=r"tensorflow\.core"):
        storing_or_computing(command, CONVERT)


@pytest.mark.full
def test_without_tensorflow_another_backend_computes(tmp_path, monkeypatch):
    """The command starts again with PyTorch; the file hides TensorFlow in both processes."""
    monkeypatch.delenv(storing_keras.BACKEND, raising=False)
    hiding = tmp_path / "sitecustomize.py"
    hiding.write_text(HIDING, encoding="utf-8")
    before = f"import os; exec(open({str(hiding)!r}).read()); os.environ['PYTHONPATH'] = {str(tmp_path)!r}"
    kernel = np.ones((4, 3, 3, 3), "float32")
    onnx_graphs.write(tmp_path / "net.onnx", [("Conv", "x kernel", "y", {"pads": [1] * 4})], {"kernel": kernel})
    ended = finish(start(CONVERT, "net.onnx", "--output=net.weights.h5", before=before, cwd=tmp_path))
    assert ended.code == 0, ended.err
    assert (tmp_path / "net.weights.h5").is_file()


@pytest.mark.full
def test_the_backend_of_the_user_is_kept(tmp_path):
    checkpoints.save(tmp_path / "vgg.pth", checkpoints.state("torchvision/vgg"))
    ended, loaded = convert(tmp_path, "vgg.pth", "--output=vgg.weights.h5", KERAS_BACKEND="tensorflow")
    assert ended.code == 0, ended.err
    assert loaded


@pytest.mark.parametrize(
    ("file", "chosen"), [('{"backend": "torch"}', True), ('{"backend": "tensorflow"}', False), ("[", False)]
)
def test_the_backend_in_the_file_of_keras_is_the_user_s_choice(file, chosen, tmp_path, monkeypatch):
    monkeypatch.delenv(storing_keras.BACKEND, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(file)
    assert storing_keras._is_backend_chosen() == chosen


def test_nothing_is_loaded_twice():
    assert not storing_keras.load()  # the tests have Keras
    storing_keras.require_computing()
