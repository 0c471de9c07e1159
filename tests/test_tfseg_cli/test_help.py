"""`--help` of every command: it is instant, and it lists the choices that the packages offer."""

import pytest
from helpers.paths import ROOT
from helpers.run_command import finish, start

HELPERS = ("__init__", "choices", "datasets", "flag_types", "launch", "network_options", "path_flags", "quiet")
NOT_FLAGS = (*HELPERS, "main", "planned_images")
COMMANDS = sorted(path.stem for path in (ROOT / "tfseg_cli").glob("*.py") if path.stem not in NOT_FLAGS)
HEAVY = ("keras", "tensorflow", "torch", "numpy", "tfseg")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_libraries(command):
    code = f"import atexit, sys\natexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))"
    result = finish(start(f"tfseg_cli.{command}", "--help", before=code))
    assert result.code == 0, result.err
    *lines, loaded = result.out.splitlines()
    assert any(line.lstrip().startswith("--") for line in lines)
    assert loaded == "[]"
