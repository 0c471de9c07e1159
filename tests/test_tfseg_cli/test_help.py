"""`--help` of every command: it loads no libraries."""

import pytest
from helpers.run_command import finish, start

from tfseg_cli.main import COMMANDS

HEAVY = ("keras", "tensorflow", "torch", "numpy", "tfseg")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_libraries(command):
    code = f"import atexit, sys\natexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))"
    result = finish(start(f"tfseg_cli.{command.replace('-', '_')}", "--help", before=code))
    assert result.code == 0, result.err
    *lines, loaded = result.out.splitlines()
    assert any(line.lstrip().startswith("--") for line in lines)
    assert loaded == "[]"
