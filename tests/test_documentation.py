"""The documentation: its pages, links, names and flags exist, and its examples run. `make docs` builds the site."""

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from helpers.paths import EXAMPLES, ROOT

from converters.families.__main__ import table

DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
# The modules whose names users import.
MODULES = """tfseg tfseg.data tfseg.training tfseg.evaluation tfseg.layers tfseg.losses tfseg.metrics tfseg.optimizers
converters""".split()


class Settings(yaml.SafeLoader):
    """Reads `!ENV`, too."""


Settings.add_constructor("!ENV", lambda loader, node: loader.construct_sequence(node)[-1])


def pages_of(navigation):
    for entry in navigation:
        if isinstance(entry, str):
            yield entry
            continue
        for value in entry.values():
            yield from pages_of(value if isinstance(value, list) else [value])


def public_names(module_name):
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        return module.__all__
    tree = ast.parse((ROOT / f"{module_name.replace('.', '/')}.py").read_text())
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def test_the_navigation_has_every_page_once():
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), Settings)
    assert sorted(pages_of(settings["nav"])) == sorted(PAGES)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_stands_in_the_reference(module):
    reference = "\n".join(text for name, text in PAGES.items() if name.startswith("reference/"))
    entries = set(re.findall(r"(?m)^::: (\S+)$", reference))
    absent = [name for name in public_names(module) if f"{module}.{name}" not in entries]
    submodules = {name for name in absent if any(entry.startswith(f"{module}.{name}.") for entry in entries)}
    assert sorted({*absent} - submodules) == []


def test_the_page_of_the_commands_is_what_their_help_says():
    words = [sys.executable, "-m", "helpers.command_page"]
    path = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "PATH": ""}
    result = subprocess.run(words, cwd=ROOT, env=path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    new = "PYTHONPATH=tests python -m helpers.command_page docs/reference/commands.md writes the new one"
    assert PAGES["reference/commands.md"] == result.stdout, new


def test_flags_of_the_examples_exist():
    sections = re.split(r"(?m)^## tfseg ", PAGES["reference/commands.md"])[1:]
    known = {
        text.split()[0]: {name.removeprefix("[no]") for name in re.findall(r"\| `--([\w\[\]]+)", text)}
        for text in sections
    }
    assert len(known) == 9
    unknown, count = [], 0
    for name, text in PAGES.items():
        for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL):
            for command, rest in re.findall(r"(?m)^ *tfseg ([\w-]+)([^\n#]*)", block):
                flags = set(re.findall(r"--(\w+)", rest))
                count += len(flags)
                unknown += [
                    f"{name}: {command} --{flag}" for flag in sorted(flags) if not _is_flag(flag, known[command])
                ]
    assert count > 60
    assert unknown == []


def _is_flag(flag, known):
    return flag in known or flag.removeprefix("no") in known


def test_relative_links_lead_to_files():
    links = [(name, link) for name, text in PAGES.items() for link in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text)]
    assert len(links) > 20
    assert [(name, link) for name, link in links if not (DOCS / name).parent.joinpath(link).is_file()] == []


def test_included_sections_exist():
    sections = [section for text in PAGES.values() for section in re.findall(r'(?m)^--8<-- "(.+):(.+)"$', text)]
    assert len(sections) == 2
    for file, section in sections:
        assert (ROOT / file).read_text().count(f"<!-- --8<-- [start:{section}] -->") == 1
        assert (ROOT / file).read_text().count(f"<!-- --8<-- [end:{section}] -->") == 1


def test_the_page_of_the_families_equals_the_records():
    assert table() in PAGES["families.md"], "python -m converters.families prints the new one"


EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if EXAMPLE.search(text)])
def test_python_examples_run(name, tmp_path, monkeypatch):
    """All examples of a page, in order, beside the embedded sample under the short names of the first page."""
    shutil.copy(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth", tmp_path / "street.pth")
    for file in ("street.png", "street_classes.png", "street_logits.npz"):
        shutil.copy(EXAMPLES / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in EXAMPLE.findall(PAGES[name]):
        exec(compile(block, name, "exec"), names)


NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_no_outputs(path):
    code = [cell for cell in cells_of(path) if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        compile("".join(cell["source"]), path.name, "exec")


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    names = {}
    try:
        for cell in cells_of(path):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), path.name, "exec"), names)
    finally:
        if "server" in names:
            names["server"].kill()
            names["server"].stdout.close()
        shutil.rmtree(names["OUT"], ignore_errors=True)
    assert names["picture"].size[0] >= 480


@pytest.mark.full
def test_why_19_shows_what_the_function_prints():
    import tfseg

    shown = re.search(r"```text\n(.*?)```", PAGES["explanations/why_19.md"], re.DOTALL)[1]
    assert str(tfseg.explain_geometry("fcn32s", 375, 500)) == shown.rstrip("\n")
