"""`--help` of every command: it is instant, and it says what the command does."""

import pytest
from helpers.paths import ROOT
from helpers.run_command import finish, start

HELPERS = ("__init__", "datasets", "launch")  # modules that are no commands
COMMANDS = sorted(path.stem for path in (ROOT / "tfseg_cli").glob("*.py") if path.stem not in HELPERS)
HEAVY = ("keras", "tensorflow", "torch", "numpy", "tfseg")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_libraries(command):
    code = f"import atexit, sys\natexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))"
    result = finish(start(f"tfseg_cli.{command}", "--help", before=code))
    *lines, loaded = result.out.splitlines()
    assert any(line.lstrip().startswith("--") for line in lines)
    assert loaded == "[]"
