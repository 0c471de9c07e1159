"""What an installer, a release and a contributor's tools read: versions agree, and pins fit what is asked for."""

import re
import runpy

import pytest
import yaml
from helpers.paths import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import tfseg


def pins(name):
    """`{project: version}` of a requirements file and of those that it includes."""
    lines = (ROOT / name).read_text().splitlines()
    result = {}
    for line in lines:
        if line.startswith("-r "):
            result |= pins(line[3:])
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            result[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return result


def arguments_of_setup(monkeypatch, repository=""):
    seen = {}
    monkeypatch.setenv("TFSEG_REPOSITORY", repository)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", lambda **arguments: seen.update(arguments))
    names = runpy.run_path(str(ROOT / "setup.py"))
    return {**seen, "home": names["HOME"]}


def test_versions_agree():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == tfseg.__version__
    newest = re.search(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text())[1]
    assert newest == "Unreleased" or newest.split()[0] == tfseg.__version__


@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.txt", ()), ("requirements-tests.txt", ("all",)), ("requirements-docs.txt", ("docs",))],
)
def test_what_make_installs_is_what_setup_asks_for(file, extras, monkeypatch):
    arguments = arguments_of_setup(monkeypatch)
    asked = [] if file == "requirements-docs.txt" else [*arguments["install_requires"]]
    asked += [line for extra in extras for line in arguments["extras_require"][extra]]
    pinned = pins(file)
    assert len(asked) >= 3
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_oldest_versions_are_those_that_setup_asks_for(monkeypatch):
    """`make test-oldest` has the lower bounds themselves, of everything that is always installed."""
    pinned = pins("requirements-oldest.txt")
    for requirement in map(Requirement, arguments_of_setup(monkeypatch)["install_requires"]):
        assert str(requirement.specifier).startswith(">=")
        bound = str(requirement.specifier).removeprefix(">=")
        assert Version(pinned[canonicalize_name(requirement.name)]) == Version(bound), requirement


def test_the_extra_all_has_every_extra_of_users(monkeypatch):
    extras = arguments_of_setup(monkeypatch)["extras_require"]
    users = {line for name, lines in extras.items() if name not in ("all", "docs", "dev") for line in lines}
    assert set(extras["all"]) == users
    assert users | set(extras["docs"]) <= set(extras["dev"])


def test_demo_installs_no_peers_of_the_tests():
    assert {"torch", "jax", "pytest", "ray"} & pins("requirements.txt").keys() == set()


def test_a_release_names_its_repository(monkeypatch):
    arguments = arguments_of_setup(monkeypatch)
    assert arguments["project_urls"]["Issues"] == f"{arguments['home']}/issues"
    other = arguments_of_setup(monkeypatch, "https://example.org/someone/tfseg/")
    assert other["project_urls"]["Issues"] == "https://example.org/someone/tfseg/issues"
    assert arguments["home"] not in other["long_description"]
    assert f"(https://example.org/someone/tfseg/raw/v{tfseg.__version__}/examples/" in other["long_description"]


def test_the_readme_has_absolute_links_alone(monkeypatch):
    """A package index has no files beside the README. The address is told in setup.py."""
    home = arguments_of_setup(monkeypatch)["home"]
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", (ROOT / "README.md").read_text())
    assert len(links) > 20
    for link in links:
        kind = "raw" if link.endswith(".jpg") else "blob"
        assert link.startswith(f"{home}/{kind}/main/"), link
        assert (ROOT / link.removeprefix(f"{home}/{kind}/main/")).is_file(), link


def test_hooks_use_the_version_of_the_tests():
    hooks = [
        hook
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    versions = {line for hook in hooks for line in hook.get("additional_dependencies", ())}
    assert versions == {f"ruff=={pins('requirements-tests.txt')['ruff']}"}


def test_the_forms_ask_for_what_answers_need():
    forms = {
        path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")
    }
    forms["checkpoint"] = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/checkpoint.yml").read_text())
    assert forms.keys() == {"checkpoint", "bug", "wish"}
    for name, form in forms.items():
        assert form["name"], name
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields)
        assert any(field.get("validations", {}).get("required") for field in fields), name
    assert "tfseg inspect" in forms["checkpoint"]["body"][0]["attributes"]["label"]
