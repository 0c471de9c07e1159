"""The README is run: its Python blocks in order, and every flag of its commands."""

import pathlib
import re
import shutil

import pytest
import torch
from references import images, torchvision_net
from torchvision_cpu import import_torchvision

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def weightless(module):
    """A state dict of a module's shapes whose file holds one number a tensor."""
    return {
        key: torch.zeros((), dtype=value.dtype, device="cpu").expand(value.shape)
        for key, value in module.state_dict().items()
    }


def test_python_blocks(tmp_path, monkeypatch, capsys):
    models = import_torchvision().models
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples" / "street.png", "photo.jpg")
    module = torchvision_net("fcn_resnet50", num_classes=21, aux_loss=True)
    torch.save(module.state_dict(), "fcn_resnet50_coco-1167a1af.pth")
    with torch.device("meta"):
        torch.save(weightless(models.vgg16()), "vgg16-397923af.pth")
        torch.save(weightless(models.resnet50()), "resnet50-11ad3fa6.pth")
    names = {"torch_module": module, "images": images(65, 83)}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["classes"].shape == (360, 480)
    assert names["receipt"].transplant == "a ResNet classifier into a segmenter"
    assert (tmp_path / "saved_model" / "saved_model.pb").is_file()
    printed = capsys.readouterr().out
    assert "crop at 19" in printed
    assert "The law holds" in printed
    assert "torchvision/segmentation, fcn_resnet50" in printed


@pytest.mark.parametrize(
    "command", ["converters/commands/convert.py", "converters/commands/inspect.py", "tfseg/commands/predict.py"]
)
def test_flags_exist(command):
    name = f"tfseg-{pathlib.Path(command).stem}"
    used = {flag for line in README.splitlines() if line.startswith(name) for flag in re.findall(r"--(\w+)", line)}
    assert used
    assert used <= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', (ROOT / command).read_text()))


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_families_are_all_there():
    from converters.families import FAMILIES

    rows = re.findall(r"^\| `([\w/-]+)` \|(.*)", README, re.MULTILINE)
    assert [name for name, _ in rows] == list(FAMILIES)
    for name, row in rows:
        assert f", {FAMILIES[name].licence} |" in row
        assert FAMILIES[name].source in row
