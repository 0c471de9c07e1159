"""tfseg inspect, as a user runs it."""

import keras
import numpy as np
import pytest
import torch
from helpers import public_code
from helpers.caffe_programs import Net
from helpers.paths import EXAMPLES
from helpers.run_command import finish, run, start
from safetensors.numpy import save_file

import converters
from converters.conversion.save import save

INSPECT = "tfseg_cli.inspect"
SAMPLE = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"
HEAVY = ("keras", "tensorflow", "torch")
LOADED = f"import atexit, sys\natexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules]))"


def test_inspect_answers_first_and_loads_no_framework():
    result = finish(start(INSPECT, SAMPLE, before=LOADED))
    assert result.code == 0, result.err
    assert result.err == ""
    first, *evidence, summary, loaded = result.out.splitlines()
    assert first == "torchvision/segmentation: fcn_resnet18 (11 classes, width 0.5)"
    assert any("backbone.conv1.weight is [32, 3, 7, 7]" in line for line in evidence)
    assert summary.endswith("PyTorch zip, 128 tensors, 5.9 MB")
    assert loaded == "[]"


def test_inspect_lists_tensors_after_the_answer_on_request():
    result = run(INSPECT, SAMPLE, "--keys")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("torchvision/segmentation")
    assert ["backbone.conv1.weight", "float16", "32x3x7x7"] in [line.split() for line in lines[4:]]


def test_inspect_knows_the_files_that_convert_writes(tmp_path):
    model, receipt = converters.convert(SAMPLE)
    save(model, tmp_path / "m.safetensors", receipt=receipt)
    save(model, tmp_path / "m.keras")
    result = finish(start(INSPECT, tmp_path / "m.safetensors", before=LOADED))
    assert result.code == 0, result.err
    assert result.out.startswith("tfseg/paths: fcn_resnet18 (11 classes, width 0.5)\n")
    assert result.out.endswith("[]\n")
    result = finish(start(INSPECT, tmp_path / "m.keras", before=LOADED))
    assert result.code == 0, result.err
    assert result.out.startswith("a model of tfseg, ready to use")
    assert result.out.endswith("[]\n")


def test_inspect_describes_a_stranger_and_says_what_it_is_not(tmp_path):
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Conv2D(2, 3, name="mine")(image)).save_weights(tmp_path / "w.weights.h5")
    result = run(INSPECT, tmp_path / "w.weights.h5", "--keys")
    assert result.code == 1
    assert "mine/kernel" in result.out
    assert "of no family known here" in result.err


def test_inspect_knows_programs_that_convert_builds(tmp_path):
    module = torch.nn.Conv2d(3, 4, 3).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 8, 8),)), tmp_path / "net.pt2")
    result = run(INSPECT, tmp_path / "net.pt2")
    assert (result.code, result.err) == (0, "")
    assert "net.pt2: is a program of torch.export (.pt2)" in result.out
    assert "tfseg convert" in result.out
    result = run(INSPECT, tmp_path / "net.pt2", "--keys")
    assert result.code == 1
    assert "load it with torch.export.load" in result.err


def _keras_file(folder):
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Conv2D(2, 3, name="mine")(image)).save(folder / "whole.keras")
    return folder / "whole.keras"


def _caffe_file(folder, **form):
    net = Net(data=(3, 32, 32))
    net.conv("data", 4, name="first")
    return net.write(folder, **form)[1]


def _hub_folder(folder):
    save_file({"stem.weight": np.ones((3, 3), "float32")}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"architecture": "lcnet_035", "pretrained_cfg": {}}')
    return folder


PROGRAMS = {
    "hub": (_hub_folder, "`tfseg convert` builds it with the code of timm"),
    "bare": (_caffe_file, "`tfseg convert --prototxt=deploy.prototxt` builds it"),
    "defined": (
        lambda folder: _caffe_file(folder, definitions=True, form="none"),
        "`tfseg convert` builds it from the layers that the file defines",
    ),
    "whole": (_keras_file, "`tfseg convert` builds it from its own configuration"),
}


@pytest.mark.parametrize(
    "name", [name if name == "hub" else pytest.param(name, marks=pytest.mark.full) for name in PROGRAMS]
)
def test_inspect_says_what_convert_builds_from_a_program(tmp_path, name):
    """A file of no family is no failure where it says how its network is computed."""
    make, way = PROGRAMS[name]
    result = run(INSPECT, make(tmp_path))
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("no known network: ")
    assert way in result.out


@pytest.mark.full
def test_inspect_compares_with_the_code_that_the_user_names(tmp_path):
    torch.save({"state_dict": public_code.Segmenter(4).state_dict()}, tmp_path / "net.pth")
    public = "--public=helpers.public_code:segmenter"
    result = run(INSPECT, tmp_path / "net.pth", public)
    assert result.code == 0, result.err
    assert result.out.startswith("public code: helpers.public_code:segmenter builds it (Segmenter of helpers")
    assert "all 12 tensors have the names and shapes of that module" in result.out
    result = run(INSPECT, tmp_path / "net.pth", f"{public}(classes=3)")
    assert result.code == 1
    assert "The head of the file has 4 classes" in result.err
