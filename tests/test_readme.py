"""The README is run: its Python blocks in order, and every flag of its commands."""

import re
import shutil

import pytest
import torch
from helpers import kaffe_nets, training_twin
from helpers.command_trials import flags_of
from helpers.paths import ROOT
from helpers.references import filled_module, images
from helpers.torchvision_cpu import import_torchvision

import tfseg
from converters.families.__main__ import table
from tfseg_cli.main import COMMANDS

README = (ROOT / "README.md").read_text(encoding="utf-8")


def weightless(module):
    """A state dict of a module's shapes whose file holds one number a tensor."""
    return {
        key: torch.zeros((), dtype=value.dtype, device="cpu").expand(value.shape)
        for key, value in module.state_dict().items()
    }


def output_of(module, pixels):
    with torch.no_grad():
        return module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()


def test_python_blocks_of_the_readme_run(tmp_path, monkeypatch, capsys):
    models = import_torchvision().models
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples" / "street.png", "photo.jpg")
    module = filled_module(
        training_twin.FCN, 0, 1.0, num_classes=21
    )  # fewer layers than their name promises, and narrower
    torch.save(module.state_dict(), "fcn_resnet50_coco-1167a1af.pth")
    with torch.device("meta"):
        torch.save(weightless(models.vgg16()), "vgg16-397923af.pth")
        torch.save(weightless(models.resnet50()), "resnet50-11ad3fa6.pth")
    shutil.copy("fcn_resnet50_coco-1167a1af.pth", "unknown.pth")
    note = kaffe_nets.KaffeNet()
    kaffe_nets.classifier(note, images(64, 64))
    note.save(tmp_path / "classifier.npy")
    street = tfseg.preprocess(tfseg.read_image("photo.jpg")[None, :97, :129], "torch")
    names = {
        "torch_module": module,
        "images": images(65, 83),
        "reference_logits": output_of(module, street),
    }
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["classes"].shape == (360, 480)
    assert names["receipt"].transplant == "a ResNet classifier into a segmenter"
    assert (tmp_path / "saved_model" / "1" / "saved_model.pb").is_file()
    printed = capsys.readouterr().out
    assert "crop at 19" in printed
    convention_rows = re.findall(r"^(previous|new|one) +(torch|caffe) +(\S+)$", printed, re.MULTILINE)
    assert len(convention_rows) == 6
    assert [pair for *pair, worst in convention_rows if float(worst) <= 1e-5] == [["previous", "torch"]]
    assert "The law does not hold: conv4_1_3x3 is the first layer to break it" in printed
    assert "The law does not hold: conv4_block1_2_conv is the first layer to break it" in printed
    assert printed.count("The law holds") == 2
    assert "torchvision/segmentation, fcn_resnet18" in printed


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "list"])
def test_flags_of_the_readme_exist(command):
    lines = [line for line in README.splitlines() if line.startswith(f"tfseg {command} ")]
    assert lines
    used = {flag for line in lines for flag in re.findall(r"--(\w+)", line)}
    assert used <= {flag.name for flag in flags_of(f"tfseg_cli.{command.replace('-', '_')}")}


def test_links_of_the_readme_lead_to_files():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_table_of_families_equals_the_records():
    assert table() in README, "python -m converters.families prints the new one"
