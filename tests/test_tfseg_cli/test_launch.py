"""How commands start and end: names of commands and flags, exit codes, closed pipes, Ctrl-C, and a silent start."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from helpers.command_trials import LIBRARY_REACHED, Ended, flags_of, try_command_lines
from helpers.paths import EXAMPLES, ROOT
from helpers.run_command import finish, run, start

from tfseg_cli.main import COMMANDS

CONVERT, MAIN = "tfseg_cli.convert", "tfseg_cli.main"
SAMPLE = EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth"
HEAVY = ("keras", "tensorflow", "torch", "numpy", "tfseg")


def try_lines(module: str, cwd: pathlib.Path, *lines: str) -> list[Ended]:
    return try_command_lines(module, [line.split() for line in lines], str(cwd))


def python(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    options = {"env": environment, "capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run([sys.executable, *words], **options)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"a")
    (tmp_path / "b.pth").write_bytes(b"b")
    return tmp_path


def test_equals_space_position_and_dashes_are_equal(folder):
    lines = [
        "--checkpoint=a.pth --output=m.keras --num_classes=2 --noinclude_top",
        "--checkpoint a.pth --output m.keras --num-classes 2 --no-include-top",
        "a.pth --output=m.keras --num-classes=2 --no_include_top",
        "--output m.keras a.pth --num_classes 2",
        "-checkpoint a.pth -output m.keras",
        "a.pth b.pth --output=m.keras",
    ]
    for line, ended in zip(lines, try_lines(CONVERT, folder, *lines), strict=True):
        assert ended == Ended(LIBRARY_REACHED, "", ""), line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.pth --checkpoint=b.pth --output=m.keras", "unexpected: a.pth. Write values as --flag=value"),
        ("a.pth --output=m.keras --zoom=2", "--zoom is not a flag of this command: --help lists them"),
        ("a.pth --output=m.keras --num-class=2", "--num_class is not a flag of this command. Did you mean num_classes"),
        ("a.pth --output=m.keras --include_top=maybe", "--include_top=maybe: expected true or false"),
        ("a.pth", "--output is missing: Where to write"),
        ("--output=m.keras", "--checkpoint is missing: A file"),
        ("nowhere.pth --output=m.keras", "--checkpoint=nowhere.pth: there is no such file"),
        ("a.pth --flagfile=nowhere --output=m.keras", "nowhere"),
        ("a.pth --output", "--output"),
    ],
)
def test_usage_errors_are_one_line(folder, line, message):
    (ended,) = try_lines(CONVERT, folder, line)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("tfseg convert: ")
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_second_value_of_a_flag_with_one_value_is_unexpected(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "metadata.json").write_text("{}")
    (ended,) = try_lines("tfseg_cli.serve", tmp_path, "a b")
    assert ended == Ended(2, "", "tfseg serve: unexpected: b. --model takes one value\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_of_tfseg_lists_every_command(words):
    result = finish(start(MAIN, *words))
    text, other = (result.out, result.err) if words else (result.err, result.out)
    assert result.code == (0 if words else 2)
    assert other == ""
    assert all(f"  {command} " in text for command in COMMANDS)


def test_help_with_a_command_is_the_help_of_the_command():
    assert finish(start(MAIN, "help", "convert")).out == finish(start(MAIN, "convert", "--help")).out


@pytest.mark.parametrize(("word", "message"), [("convrt", "Did you mean convert?"), ("x", "'x' is not a command")])
def test_unknown_command_is_one_line(word, message):
    result = finish(start(MAIN, word))
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("words", [["-m", "tfseg_cli.main", "--version"], ["-m", "tfseg", "--version"]])
def test_version(words):
    import tfseg

    result = python(*words)
    assert (result.returncode, result.stdout) == (0, f"tfseg {tfseg.__version__}\n")


def test_python_m_converters_is_tfseg_convert():
    result = python("-m", "converters", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "--checkpoint=<" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_prints_every_flag_and_loads_nothing(command):
    module = f"tfseg_cli.{command.replace('-', '_')}"
    code = f"import atexit, sys\natexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))"
    result = finish(start(module, "--help", before=code))
    assert (result.code, result.err) == (0, "")
    *lines, loaded = result.out.splitlines()
    assert loaded == "[]"
    printed = {line.strip().removeprefix("--").removeprefix("[no]").partition("=")[0] for line in lines}
    assert {flag.name for flag in flags_of(module)} <= printed


@pytest.mark.parametrize(("command", "line"), [("inspect", str(SAMPLE)), ("list", "")])
def test_inspect_and_list_load_no_tensorflow(tmp_path, command, line):
    (ended,) = try_lines(f"tfseg_cli.{command}", tmp_path, line)
    assert (ended.code, ended.err) == (0, "")
    assert "fcn_resnet18" in ended.out


def test_reader_that_hangs_up_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    result = python(
        "-m", "tfseg_cli.main", "convert", "--help", capture_output=False, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


# A library that says something when it starts, and then does what a test wants.
NOISY = """
import os, sys, types
class Noisy:
    def find_spec(self, name, path=None, target=None):
        if name == "tfseg":
            os.write(2, b"I0000 oneDNN custom operations are on\\n")
            {then}
sys.modules.pop("tfseg", None)
sys.meta_path.insert(0, Noisy())
"""


@pytest.mark.parametrize(
    ("then", "code", "lines"),
    [
        ("raise ImportError('libcudart is damaged')", 1, ["I0000 oneDNN", "tfseg-convert: ImportError: libcudart"]),
        ("raise KeyboardInterrupt", 130, []),
        ("raise SystemExit(7)", 7, []),
    ],
    ids=["failure", "interrupt", "success"],
)
def test_lines_of_the_library_are_shown_only_if_it_fails(tmp_path, then, code, lines):
    words = (f"--checkpoint={SAMPLE}", "--output=m.keras")
    result = finish(start(CONVERT, *words, cwd=tmp_path, before=NOISY.format(then=then)))
    assert result.code == code
    shown = result.err.splitlines()
    assert len(shown) == len(lines), shown
    assert all(line.startswith(begin) for line, begin in zip(shown, lines, strict=True))


def test_verbose_shows_the_lines_of_the_library(tmp_path, monkeypatch):
    monkeypatch.setenv("TFSEG_VERBOSE", "1")
    words = (f"--checkpoint={SAMPLE}", "--output=m.keras")
    result = finish(start(CONVERT, *words, cwd=tmp_path, before=NOISY.format(then="raise SystemExit(7)")))
    assert (result.code, result.err) == (7, "I0000 oneDNN custom operations are on\n")


# What a command does after it has loaded the library.
WORKING = """
import sys, time
import tfseg_cli.convert as command
def work():
    {work}
work.__module__ = command.__name__
command._convert = work
"""


@pytest.mark.parametrize(
    ("work", "code", "message"),
    [
        ("raise RuntimeError('the sky fell')", 1, "RuntimeError: the sky fell (TFSEG_VERBOSE=1 shows where)"),
        ("raise ValueError('a file is damaged')", 1, "a file is damaged"),
        ("raise FileNotFoundError(2, 'No such file', 'x.pth')", 1, "[Errno 2] No such file: 'x.pth'"),
        ("return 'two images failed'", 1, "two images failed"),
        ("return 3", 3, None),
        ("return 0", 0, None),
    ],
)
def test_exit_code_and_error_of_the_work(folder, work, code, message):
    words = ("a.pth", "--output=m.keras")
    result = finish(start(CONVERT, *words, cwd=folder, before=WORKING.format(work=work)))
    assert (result.code, result.out) == (code, "")
    assert result.err == (f"tfseg-convert: {message}\n" if message else "")


def test_unexpected_error_shows_where_with_verbose(folder, monkeypatch):
    monkeypatch.setenv("TFSEG_VERBOSE", "1")
    before = WORKING.format(work="raise RuntimeError('the sky fell')")
    result = finish(start(CONVERT, "a.pth", "--output=m.keras", cwd=folder, before=before))
    assert result.code == 1
    assert "Traceback" in result.err


def test_error_of_tensorflow_is_the_sentence_inside_it(tmp_path):
    code = (
        "import tensorflow as tf, converters\n"
        "def fail(*_, **__):\n"
        "    tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))\n"
        "converters.convert = fail"
    )
    result = run(CONVERT, f"--checkpoint={SAMPLE}", "--output=m.keras", cwd=tmp_path, before=code)
    assert result.code == 1
    assert "Matrix size-incompatible" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("during", ["import", "work"])
def test_ctrl_c_ends_with_130_and_without_words(folder, during):
    wait = "print('ready', flush=True); import time; time.sleep(60)"
    before = NOISY.format(then=wait) if during == "import" else WORKING.format(work=wait)
    process = start(CONVERT, "a.pth", "--output=m.keras", cwd=folder, before=before)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    result = finish(process, timeout=30)
    assert (result.code, result.err) == (130, "")
