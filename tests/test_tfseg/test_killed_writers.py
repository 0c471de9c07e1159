"""A writer that is killed at any system call leaves the old or the new content, and the next one removes the rest."""

import shutil
import subprocess
import sys

import pytest
from helpers import killed
from helpers.paths import ROOT

# Only what writing needs is imported: Keras would take longer than everything else.
WRITE = f"""
import importlib.util, os, pathlib, sys, types
sys.path.insert(0, {str(ROOT)!r})
sys.modules["tfseg"] = importlib.util.module_from_spec(importlib.util.find_spec("tfseg"))
sys.modules["tfseg.types"] = types.SimpleNamespace(Path=os.PathLike)
from tfseg import writing
kind, target = sys.argv[1], pathlib.Path(sys.argv[2])
if kind == "aside":
    writing._exchange = lambda path, other: False
with writing.atomic(target, overwrite=True) as partial:
    if kind != "file":
        partial.mkdir()
        (partial / "inner").mkdir()
    for file in [partial] if kind == "file" else [partial / "a", partial / "inner" / "b"]:
        file.write_text("new")
"""


def content(target):
    if not target.exists():
        return "none"
    files = [target] if target.is_file() else [target / "a", target / "inner" / "b"]
    (text,) = {file.read_text() for file in files}
    return text


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("kind", ["file", "exchange", "aside"])
def test_killed_at_every_call(tmp_path, kind):
    if not killed.can_trace():
        pytest.skip("strace may not end processes here")
    target, seen, kills = tmp_path / "target", set(), 0
    words = [sys.executable, "-c", WRITE, kind, str(target)]
    for call in killed.NAMES:
        for count in range(1, 30):
            if target.is_dir():
                shutil.rmtree(target)
            old = [target] if kind == "file" else [target / "a", target / "inner" / "b"]
            for file in old:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("old")
            code = killed.end_at_call(words, call, count)
            if not killed.is_killed(code):
                assert code == 0
                break
            kills += 1
            seen.add(content(target))
            if kind != "aside":
                assert content(target) in ("old", "new"), (call, count)
            subprocess.run(words, check=True)  # the next writer
            assert content(target) == "new"
            assert [path.name for path in tmp_path.iterdir()] == ["target"], (call, count)
        else:
            pytest.fail(f"{call}: too many calls")
    assert seen >= {"old", "new"}
    assert kills >= {"file": 4, "exchange": 10, "aside": 10}[kind]
