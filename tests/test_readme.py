"""The README is run: its Python blocks in order, and every flag of its commands."""

import re

import pytest
from helpers.command_trials import flags_of
from helpers.paths import ROOT

import tfseg
from converters.downloads.published import find
from tfseg_cli.main import COMMANDS

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
LONGEST = 150  # lines: a page that is read


def test_it_is_short():
    assert len(README.splitlines()) <= LONGEST


def test_python_blocks_of_the_readme_run_as_pasted_in_a_clone(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    loaded = []
    load = tfseg.load
    monkeypatch.setattr(tfseg, "load", lambda name: loaded.append(name) if find(name) else load(name))
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 5
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["classes"].shape == (360, 480)
    assert names["receipt"].network == "fcn_resnet18"
    assert loaded == ["fcn_resnet50_coco-1167a1af"]  # which would be downloaded
    assert names["unet"].output_shape == (None, None, None, 5)
    assert names["segmenter"].output_shape == names["fcn"].output_shape == (None, None, None, 21)


@pytest.mark.parametrize("command", sorted({line.split()[1] for line in LINES if line.startswith("tfseg ")}))
def test_flags_of_the_readme_exist(command):
    assert command in COMMANDS
    lines = [line for line in LINES if line.startswith(f"tfseg {command} ")]
    used = {flag for line in lines for flag in re.findall(r"--(\w+)", line)}
    assert used <= {flag.name for flag in flags_of(f"tfseg_cli.{command.replace('-', '_')}")}
