"""tfseg inspect, as a user runs it."""

import keras
import torch
from helpers.paths import EXAMPLES
from helpers.run_command import finish, run, start

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
