"""Writes the page of the commands and their flags: `PYTHONPATH=tests python -m helpers.command_page PATH`.

Each command is asked for its help in a fork of a process that has loaded absl alone.
"""

import contextlib
import io
import os
import pathlib
import re
import sys

from tfseg_cli.main import COMMANDS

_HEAD = """# Commands

The exit code is 0 for success, 1 for a failure, 2 for a mistake on the command line, and 130 after Ctrl-C. In names of flags, dashes and
underscores are equal. `TFSEG_VERBOSE=1` shows where an error happened.
This page is generated: `PYTHONPATH=tests python -m helpers.command_page docs/reference/commands.md`.
"""
_FLAG = re.compile(r"  (--.+)")


def page() -> str:
    """The page: for each command what it does, how it is called, and a table of its flags."""
    return _HEAD + "".join(_section(name, _help(name)) for name in COMMANDS)


def _help(command: str) -> str:
    """What `tfseg COMMAND --help` prints; a fork, because commands define flags of the same names."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with open(writing, "w") as pipe:
            pipe.write(_printed(command))
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def _printed(command: str) -> str:
    from tfseg_cli.main import main

    os.environ["COLUMNS"] = "120"  # with other widths, the help breaks its lines elsewhere
    sys.argv = ["tfseg", command, "--help"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    return printed.getvalue()


def _section(command: str, text: str) -> str:
    description, _, rest = text.partition("\nusage: ")
    usage, *lines = rest.splitlines()
    meanings: dict[str, list[str]] = {}
    for line in filter(str.strip, lines):
        if flag := _FLAG.match(line):
            words = meanings.setdefault(flag[1], [])
        else:
            words.append(line.strip())
    table = "".join(f"| `{flag.replace('|', 'or')}` | {_cell(' '.join(words))} |\n" for flag, words in meanings.items())
    return (
        f"\n## tfseg {command}\n\n{_paragraphs(description)}\n\n```text\n{usage}\n```\n\n"
        f"| flag | meaning |\n|---|---|\n{table}"
    )


def _cell(text: str) -> str:
    """A text as it stands in a cell: what Markdown would take for markup is escaped."""
    return "".join(
        part if part.startswith("`") else re.sub(r"([|*_<>\[\]])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", text)
    )


def _paragraphs(description: str) -> str:
    """The docstring of a command: lines that call it become blocks of code."""
    blocks = []
    for block in description.strip().split("\n\n"):
        lines = [line.strip() for line in block.splitlines()]
        is_code = all(line.startswith("tfseg ") for line in lines)
        blocks.append("\n".join(["```sh", *lines, "```"]) if is_code else _cell("\n".join(lines)))
    return "\n\n".join(blocks)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        pathlib.Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
