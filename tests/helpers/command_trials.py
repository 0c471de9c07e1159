"""Tries many command lines of one command in forks of a process that has loaded nothing but absl.

As a script, it takes the module of a command. Without input it prints the flags of the command: name, kind, and what the
help calls the value. With command lines on stdin it prints how each of them ended. Both are JSON.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from typing import Any, NamedTuple, NoReturn

LIBRARY_REACHED = 99  # exit code of a command line with which the command continues and loads the library
LIBRARY = ("keras", "tensorflow", "torch")


class Flag(NamedTuple):
    """A flag of a command.

    Args:
        name: its name.
        target: the flag that it is an alias of; its name if it is none.
        kind: the function of `tfseg_cli` that makes its value.
        value_name: what the help calls its value.
    """

    name: str
    target: str
    kind: str
    value_name: str


class Ended(NamedTuple):
    """How a command line ended: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def flags_of(module: str) -> list[Flag]:
    """The flags of a command.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
    """
    return [Flag(*fields) for fields in json.loads(_run(module, "", os.getcwd()))]


def try_command_lines(module: str, command_lines: Sequence[Sequence[str]], cwd: str) -> list[Ended]:
    """How each command line ends.

    Args:
        module: module of the command, such as "tfseg_cli.convert".
        command_lines: words of each command line.
        cwd: working directory.
    """
    return [Ended(*fields) for fields in json.loads(_run(module, json.dumps(command_lines), cwd))]


def _run(module: str, text: str, cwd: str) -> str:
    paths = os.pathsep.join(
        [os.path.dirname(os.path.dirname(os.path.dirname(__file__))), os.environ.get("PYTHONPATH", "")]
    )
    words = [sys.executable, __file__, module]
    result = subprocess.run(
        words, input=text, cwd=cwd, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


class _LibraryGuard(MetaPathFinder):
    """Ends the process where it would load the library."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in LIBRARY:
            raise SystemExit(LIBRARY_REACHED)


def _kind(flag: Any) -> str:
    convert = getattr(flag.parser, "convert", None)
    name = convert.__qualname__ if hasattr(convert, "__qualname__") else type(flag.parser).__name__
    return str(name).partition(".")[0].strip("_")


def _target(flag: Any, flags: Sequence[Any]) -> str:
    """The name in errors: an alias shares the parser of its target."""
    same = [other.name for other in flags if other.parser is flag.parser and type(other).__name__ != "_FlagAlias"]
    return str(flag.name if flag.name in same or not same else same[0])


def _fork(module: Any, words: Sequence[str]) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            _end(module, words)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return Ended(code, out.read().decode(), err.read().decode())


def _end(module: Any, words: Sequence[str]) -> NoReturn:
    code = 1
    try:
        sys.argv = [f"tfseg {module.__name__.rpartition('.')[2]}", *words]
        module.main()
    except SystemExit as exit:
        code = int(exit.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main() -> None:
    sys.path[0] = os.getcwd()  # not the directory of this file, whose modules have common names
    module = importlib.import_module(sys.argv[1])
    sys.meta_path.insert(0, _LibraryGuard())
    text = sys.stdin.read()
    if text:
        print(json.dumps([_fork(module, words) for words in json.loads(text)]))
        return
    from absl import flags

    own_flags = flags.FLAGS.get_key_flags_for_module(module)
    print(
        json.dumps(
            [Flag(flag.name, _target(flag, own_flags), _kind(flag), str(flag.parser.flag_type())) for flag in own_flags]
        )
    )


if __name__ == "__main__":
    _main()
