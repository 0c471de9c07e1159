"""How every command starts and ends: flags, help, exit codes, and errors in one line.

It imports absl and the standard library alone, so that `--help` answers at once.
"""

import functools
import os
import re
import shutil
import signal
import sys
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import flags

from tfseg_cli.flag_types import nearest

FAILURE, USAGE_ERROR, INTERRUPTED = 1, 2, 130
# Lines of a TensorFlow error that say where it happened, not what.
_WHERE = re.compile(r'\s*$|Graph execution error|Detected at node|  File "|<stack traces|\t \[\[')
_NODE = re.compile(r"\{\{.*?\}\} *| *\[Op:.*?\]")  # names of nodes within a sentence


class UsageError(Exception):
    """A command line that is wrong; the message names the flag."""


def invalid(flag: flags.FlagHolder[Any], why: str) -> UsageError:
    """The error for a value that turns out to be wrong once the library is loaded.

    Args:
        flag: the flag.
        why: what was expected.
    """
    return UsageError(f"--{flag.name}={_as_text(flag.value)}: {why}")


def check_name(flag: flags.FlagHolder[Any], names: Sequence[str], what: str) -> None:
    """Refuses a flag's value that is not among the names that the library knows, and shows the nearest ones.

    Args:
        flag: the flag; None as its value is fine.
        names: names that exist.
        what: what they are, in the plural.
    Raises:
        UsageError: an unknown name.
    """
    if flag.value is not None and flag.value not in names:
        listed = f": {', '.join(names)}" if len(names) <= 20 else ", which `tfseg list` prints"
        suggestion = nearest(flag.value, names) or listed
        raise invalid(flag, f"expected one of the {what}{suggestion}")


def launch(
    command: Callable[[], int | str | None], *, required: Sequence[str] = (), positional: str | None = None
) -> NoReturn:
    """Parses the flags and runs a command; the process ends with its exit code.

    A usage error exits with 2, a failure with 1, Ctrl-C with 130. A closed pipe is no error.

    Args:
        command: what the command does. It returns its exit code, or an error to print.
        required: names of flags that must have a value.
        positional: name of the flag that takes the values that have no flag.
    """
    module = sys.modules[command.__module__]
    program = os.path.basename(sys.argv[0])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored
    try:
        if any(word in ("--help", "-help", "-h", "--helpfull", "--helpshort") for word in sys.argv[1:]):
            print(help_text(program, module, required, positional))
            code = 0
        else:
            _parse(sys.argv, required, positional)
            code = _exit_code(program, command())
        sys.stdout.flush()
    except UsageError as error:
        code = _complain(program, f"{error}", USAGE_ERROR)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough. Without this, Python would complain when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (ValueError, OSError) as error:
        code = _complain(program, str(error), FAILURE)
    except Exception as error:
        if os.environ.get("TFSEG_VERBOSE", "0") not in ("", "0"):
            raise
        code = _complain(program, _sentence(error), FAILURE)
    sys.exit(code)


def help_text(
    program: str, module: types.ModuleType, required: Sequence[str] = (), positional: str | None = None
) -> str:
    """What `--help` prints: the description of a command, its usage, and its flags.

    Args:
        program: what the user calls the command.
        module: module of the command, whose docstring describes it.
        required: names of flags that must have a value.
        positional: name of the flag that takes the values that have no flag.
    """
    words = [program, *([positional.upper()] if positional else [])]
    words += [f"--{name}=..." for name in required if name != positional]
    lines = [(module.__doc__ or "").strip(), "", f"usage: {' '.join(words)} [flags]", ""]
    width = min(shutil.get_terminal_size().columns, 120)
    for flag in sorted(_flags_of(module), key=lambda flag: (flag.name not in required, flag.name)):
        lines.append(f"  --[no]{flag.name}" if flag.boolean else f"  --{flag.name}=<{_value_name(flag)}>")
        facts = [flag.help]
        if flag.name in required:
            facts.append("(required)")
        elif flag.default not in (None, [], False) and "default" not in flag.help:
            facts.append(f"(default: {_as_text(flag.default)})")
        lines += textwrap.wrap(" ".join(facts), width - 6, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def show_download(done: int, total: int | None) -> None:
    """A `tfseg.progress.Progress` that shows on stderr how much of a download has arrived.

    Args:
        done: bytes that have arrived.
        total: bytes of the whole file; None if the server does not tell.
    """
    _download_line()(done, total)


@functools.cache
def _download_line() -> Callable[[int, int | None], None]:
    from tfseg.progress import ProgressLine  # here, because it loads Keras and most runs download nothing

    return ProgressLine("bytes")


def _parse(argv: Sequence[str], required: Sequence[str], positional: str | None) -> None:
    """Gives the flags their values; dashes in names of flags are taken as underscores."""
    try:
        values = flags.FLAGS([argv[0], *_normalized(argv[1:])])[1:]
        if values:
            _take_positional(values, positional)
    except flags.UnrecognizedFlagError as error:
        suggestion = nearest(error.flagname, list(flags.FLAGS))
        raise UsageError(
            f"--{error.flagname} is not a flag of this command{suggestion or ': --help lists them'}"
        ) from None
    except flags.IllegalFlagValueError as error:
        text = str(error).removeprefix("flag ").replace("\n", " ")
        raise UsageError(re.sub(r": \(?.?Non-boolean argument.*", ": expected true or false", text)) from None
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from None
    for name in required:
        if flags.FLAGS[name].value in (None, []):
            raise UsageError(f"--{name} is missing: {flags.FLAGS[name].help}")


def _normalized(words: Sequence[str]) -> list[str]:
    result: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*result, *words[index:]]
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            if name.startswith("no_") and name not in flags.FLAGS and name[3:] in flags.FLAGS:
                name = f"no{name[3:]}"
            word = f"--{name}{equals}{value}"
        result.append(word)
    return result


def _take_positional(values: Sequence[str], positional: str | None) -> None:
    if positional is None or flags.FLAGS[positional].present:
        raise UsageError(f"unexpected: {' '.join(values)}. Write values as --flag=value, and patterns in quotes")
    flag = flags.FLAGS[positional]
    if isinstance(flag, flags.MultiFlag):
        flag.parse(values)
        return
    parsed = []
    for value in values:
        flag.parse(value)
        parsed += flag.value if isinstance(flag.value, list) else [flag.value]
    if len(parsed) > 1 and not isinstance(flag.value, list):
        raise UsageError(f"unexpected: {' '.join(values[1:])}. --{positional} takes one value")
    flag.value = parsed if isinstance(flag.value, list) else parsed[0]


def _exit_code(program: str, result: int | str | None) -> int:
    return _complain(program, result, FAILURE) if isinstance(result, str) else result or 0


def _complain(program: str, message: str, code: int) -> int:
    sys.stdout.flush()
    print(f"{program}: {message}", file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    """What an unexpected error says, in one line, without the places in the code that TensorFlow adds."""
    lines = [
        line.strip() for line in str(getattr(error, "message", None) or error).splitlines() if not _WHERE.match(line)
    ]
    sentence = _NODE.sub("", lines[0]).strip() if lines else ""
    sentence = sentence or "no reason given"
    return f"{type(error).__name__}: {sentence} (TFSEG_VERBOSE=1 shows where)"


def _flags_of(module: types.ModuleType) -> list[Any]:
    return list(flags.FLAGS.get_key_flags_for_module(module))


def _value_name(flag: Any) -> str:
    return str(flag.parser.flag_type())


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"
