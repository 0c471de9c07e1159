"""Every flag of every command meets values that it cannot take: one line that names the flag, and exit code 2."""

import functools
import pathlib
import tempfile

import pytest
from helpers.command_trials import LIBRARY_REACHED, Ended, Flag, flags_of, try_command_lines
from helpers.run_command import run

from tfseg_cli.main import COMMANDS

VALUES = {
    "empty": "",
    "letter": "x",
    "negative": "-1",
    "size_with_x": "48x48",
    "too_large": "1e400",
    "not_a_number": "nan",
    "missing_file": "nowhere.png",
    "missing_directory": "nowhere/file.png",
    "directory": "directory",
    "file": "file.png",
}
QUICK = ("letter", "negative", "not_a_number", "missing_file", "directory")  # `make test-full` tries the others, too
TEXTS = set(VALUES) - {"empty"}
NEW_PATHS = TEXTS - {"missing_directory"}
# Which values a kind of flag may take. Whether a number may be negative, its help says.
TAKEN = {
    "BooleanParser": set(),
    "choice_parser": set(),
    "integer_parser": {"negative"},
    "number_parser": {"negative"},
    "numbers": {"negative"},
    "whole_numbers": {"negative"},
    "no_data": {"negative", "not_a_number"},
    "public_code": set(),  # all lack the colon
    "size": set(),
    "share": set(),
    "text": TEXTS,
    "filled": TEXTS,
    "texts": TEXTS,
    "str": set(VALUES),  # a split; an empty one is none
    "options": set(),  # all lack the equals sign
    "patterns": TEXTS,
    "existing_file": {"file"},
    "existing_directory": {"directory"},
    "source": {"file", "directory"},
    "model_sources": {"file", "directory"},
    "path_patterns": TEXTS,
    "split": set(VALUES),
    "exported_folder": set(),  # the directory has no SavedModel
    "output_file": NEW_PATHS,
    "output_directory": TEXTS - {"file"},
    "model_name": TEXTS,  # in addresses of the server
    "bare_name": TEXTS - {"missing_directory"},  # it has a slash
    "origin": set(),  # all lack https://
}
REQUIRED = {
    "convert": {"checkpoint": "file.png", "output": "new.keras"},
    "inspect": {"checkpoint": "file.png"},
    "predict": {"model": "file.png", "images": "file.png", "output": "new"},
    "inspect-data": {"data": "directory", "num_classes": "2"},
    "train": {"data": "directory", "num_classes": "2", "run": "new", "model": "fcn8s"},
    "evaluate": {"model": "file.png", "data": "directory", "num_classes": "2"},
    "export": {"model": "file.png", "output": "new"},
    "serve": {"model": "exported", "port": "0"},
    "list": {},
}


def module(command: str) -> str:
    return f"tfseg_cli.{command.replace('-', '_')}"


def write_files(folder: pathlib.Path) -> None:
    """Writes what the command lines name."""
    (folder / "directory").mkdir()
    (folder / "file.png").write_bytes(b"no image")
    (folder / "exported" / "1").mkdir(parents=True)
    (folder / "exported" / "metadata.json").write_text("{}")


def takes(flag: Flag, value: str) -> bool:
    """Whether the kind of a flag lets it take a value of `VALUES`."""
    bounded = any(word in flag.value_name for word in ("at least", "above", "from"))
    return value in TAKEN[flag.kind] and not (value == "negative" and bounded)


@functools.cache
def endings(command: str, values: tuple[str, ...]) -> dict[str, dict[str, Ended]]:
    """How a command ends with each value of each of its flags."""
    trials = [(flag.name, value) for flag in flags_of(module(command)) for value in values]
    lines = [
        [f"--{name}={text}" for name, text in (REQUIRED[command] | {flag: VALUES[value]}).items()]
        for flag, value in trials
    ]
    result: dict[str, dict[str, Ended]] = {}
    with tempfile.TemporaryDirectory() as cwd:
        write_files(pathlib.Path(cwd))
        before = sorted(pathlib.Path(cwd).rglob("*"))
        for (flag, value), ended in zip(trials, try_command_lines(module(command), lines, cwd), strict=True):
            result.setdefault(flag, {})[value] = ended
        assert sorted(pathlib.Path(cwd).rglob("*")) == before
    return result


FLAGS = [
    pytest.param(command, flag, id=f"{command}-{flag.name}")
    for command in COMMANDS
    for flag in flags_of(module(command))
]


OTHERS = tuple(value for value in VALUES if value not in QUICK)


@pytest.mark.quick_variants(every=8)
@pytest.mark.parametrize(
    "values", [pytest.param(QUICK, id="quick"), pytest.param(OTHERS, id="others", marks=pytest.mark.full)]
)
@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_value_that_a_flag_cannot_take_ends_in_one_line(command, flag, values):
    assert flag.kind in TAKEN, "a flag has a kind of tfseg_cli.flag_types or tfseg_cli.path_flags"
    problems = [
        (value, VALUES[value], ended)
        for value, ended in endings(command, values)[flag.name].items()
        if not (well_refused(flag, ended) or (takes(flag, value) and well_ended(ended)))
    ]
    assert not problems, "\n".join(map(str, problems))


def well_refused(flag: Flag, ended: Ended) -> bool:
    """One line on stderr names the flag; nothing was loaded before."""
    return ended.code == 2 and not ended.out and f"--{flag.target}" in ended.err and ended.err.count("\n") == 1


def well_ended(ended: Ended) -> bool:
    """The command continues with the library, or it ends without a traceback."""
    if ended.code == LIBRARY_REACHED:
        return not ended.out + ended.err
    return ended.code in (0, 1, 2) and ended.err.count("\n") <= 1


NAMES = {  # flags whose values the library knows
    "convert": {"family": "no-such-family", "network": "fcn_resnet51", "preprocessing": "no-such-way"},
    "predict": {"preprocessing": "no-such-way"},
    "train": {"model": "fcn8"},
    "evaluate": {"protocol": "camvid-12", "preprocessing": "no-such-way"},
    "export": {"preprocessing": "no-such-way"},
}


@pytest.mark.parametrize(("command", "name"), [(command, name) for command, names in NAMES.items() for name in names])
def test_unknown_name_is_refused_once_the_library_is_loaded(tmp_path, command, name):
    write_files(tmp_path)
    words = REQUIRED[command] | {name: NAMES[command][name]}
    ended = run(module(command), *(f"--{flag}={text}" for flag, text in words.items()), cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert f"--{name}={NAMES[command][name]}" in ended.err
    assert ended.err.count("\n") == 1
