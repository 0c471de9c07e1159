"""`--help` of every command: it is instant, and it lists the choices that the packages offer."""

import pytest
from helpers.paths import ROOT
from helpers.run_command import finish, start

from tfseg.exporting import FORMATS
from tfseg.training import RECIPES
from tfseg.training.recipes import BATCH_NORM_ALIASES, BATCH_NORMS, DTYPES

HELPERS = ("__init__", "datasets", "launch")  # modules that are no commands
COMMANDS = sorted(path.stem for path in (ROOT / "tfseg_cli").glob("*.py") if path.stem not in HELPERS)
HEAVY = ("keras", "tensorflow", "torch", "numpy", "tfseg")
CHOICES = {
    "export": [", ".join(FORMATS)],
    "train": ["|".join(choices) for choices in (RECIPES, [*BATCH_NORMS, *BATCH_NORM_ALIASES], DTYPES)],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_libraries_and_lists_the_choices(command):
    code = f"import atexit, sys\natexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))"
    result = finish(start(f"tfseg_cli.{command}", "--help", before=code))
    *lines, loaded = result.out.splitlines()
    assert any(line.lstrip().startswith("--") for line in lines)
    assert loaded == "[]"
    text = "".join(line.strip() + " " for line in lines)
    for choices in CHOICES.get(command, []):
        assert choices.replace("| ", "|") in text.replace("| ", "|")
