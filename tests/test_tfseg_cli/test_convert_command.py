"""tfseg-convert and tfseg-inspect, as a user runs them."""

import json

import keras
import pytest
import torch
from helpers import checkpoints
from helpers.paths import EXAMPLES
from helpers.references import torchvision_net
from helpers.run_command import finish, run, start

import tfseg

CONVERT, INSPECT = "tfseg_cli.convert", "tfseg_cli.inspect"
SAMPLE = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"


def test_convert_writes_model_and_receipt(tmp_path):
    result = finish(start(CONVERT, f"--checkpoint={SAMPLE}", "--output=m.keras", "--receipt=r.json", cwd=tmp_path))
    assert result.code == 0, result.err
    assert "torchvision/segmentation, fcn_resnet18" in result.out
    assert result.out.endswith("written to  m.keras\n")
    assert json.loads((tmp_path / "r.json").read_text())["network"] == "fcn_resnet18"
    model = keras.saving.load_model(tmp_path / "m.keras")
    assert model.output_shape == (None, None, None, 11)
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"


def test_convert_reads_flags_from_a_file(tmp_path):
    checkpoints.save(tmp_path / "vgg.pth", checkpoints.state("torchvision/vgg"))
    flags = "--checkpoint=vgg.pth\n--network=fcn16s\n--num_classes=5\n--skip=fc7\n--skip=conv1_2\n--output=fcn16s.weights.h5\n"
    (tmp_path / "flags.txt").write_text(flags)
    result = run(CONVERT, "--flagfile=flags.txt", cwd=tmp_path)
    assert result.code == 0, result.err
    assert "a VGG16 classifier into an FCN" in result.out
    assert "skip='fc7'" in result.out
    model = tfseg.FCN16s(5, width=1 / 16)
    model.load_weights(tmp_path / "fcn16s.weights.h5")


def test_convert_verifies_with_torchvision(tmp_path):
    torch.save(torchvision_net("resnet18").state_dict(), tmp_path / "resnet18.pth")
    setup = "from helpers.torchvision_cpu import import_torchvision; import_torchvision()"
    result = run(CONVERT, "--checkpoint=resnet18.pth", "--output=saved", "--verify", cwd=tmp_path, before=setup)
    assert result.code == 0, result.err
    assert "parity      with torchvision.models.resnet.resnet18, image 360/480" in result.out
    assert (tmp_path / "saved" / "saved_model.pb").is_file()


def test_inspect_lists_tensors_and_identifies_the_network():
    result = run(INSPECT, f"--checkpoint={SAMPLE}")
    assert result.code == 0, result.err
    assert any(line.split() == ["backbone.conv1.weight", "float16", "32x3x7x7"] for line in result.out.splitlines())
    assert "PyTorch zip, 128 tensors, 5.9 MB" in result.out
    assert "torchvision/segmentation: fcn_resnet18 (11 classes, width 0.5)" in result.out


def flipped_bit():
    content = bytearray(SAMPLE.read_bytes())
    content[len(content) // 2] ^= 4
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.pth", b"<!DOCTYPE html><html><body>Sign in</body></html>", "looks like a web page"),
        ("empty.pth", b"", "the file is empty"),
        ("cut.pth", SAMPLE.read_bytes()[:1_000_000], "truncated"),
        ("flipped.pth", flipped_bit(), "damaged"),
    ],
    ids=["web_page", "empty", "truncated", "flipped_bit"],
)
def test_damaged_file_is_named_and_nothing_is_written(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    result = run(CONVERT, f"--checkpoint={name}", "--output=m.keras", cwd=tmp_path)
    assert result.code == 1
    assert message in result.err
    assert name in result.err
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stray", f"--checkpoint={SAMPLE}", "--output=m.keras"], "Unexpected: stray"),
        (["--output=m.keras"], "flag --checkpoint"),
        ([f"--checkpoint={SAMPLE}", "--output=m.onnx"], "Received: suffix '.onnx'"),
        ([f"--checkpoint={SAMPLE}", "--output=old.keras"], "exists already"),
        ([f"--checkpoint={SAMPLE}", "--output=m.keras", "--receipt=old.keras"], "exists already"),
        (["--checkpoint=nowhere.pth", "--output=m.keras"], "there is no such file"),
        ([f"--checkpoint={SAMPLE}", "--output=m.keras", "--multi_scale=0.5,half"], "or none. Received: 0.5,half"),
        ([f"--checkpoint={SAMPLE}", "--output=m.keras", "--multi_scale=0.5"], "sees the image at one size"),
        ([f"--checkpoint={SAMPLE}", "--output=m.keras", "--color=red"], "Unknown command line flag 'color'"),
        ([f"--checkpoint={SAMPLE}", "--output=m.keras", "--verify", "--image=no.jpg"], "'no.jpg', which is not there"),
    ],
    ids=lambda value: value[-1].removeprefix("--").partition("=")[0] if isinstance(value, list) else "",
)
def test_invalid_arguments_are_refused_in_one_line(tmp_path, arguments, message):
    (tmp_path / "old.keras").write_text("old")
    result = run(CONVERT, *arguments, cwd=tmp_path)
    assert result.code == 1
    assert message in result.err + result.out
    assert "Traceback" not in result.err
    assert (tmp_path / "old.keras").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.keras"]


def test_interrupted_save_leaves_nothing(tmp_path):
    code = (
        "import keras\n"
        "def interrupted(self, path, *_, **__):\n"
        "    open(path, 'wb').write(b'half')\n"
        "    raise KeyboardInterrupt\n"
        "keras.Model.save = interrupted"
    )
    result = run(CONVERT, f"--checkpoint={SAMPLE}", "--output=m.keras", cwd=tmp_path, before=code)
    assert result.code == 130
    assert list(tmp_path.iterdir()) == []
