"""What a newcomer does: makes a fresh environment, installs a wheel, and copies what a page says line by line.

Nothing of the environment that runs the tests is seen: HOME is empty, and so are the variables that Python reads.
"""

import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

from helpers.paths import ROOT

NOT_COPIED = shutil.ignore_patterns(".venv*", ".git", "out", "build", "*.egg-info", "__pycache__", ".*_cache")
_SECONDS = 3600  # that a command may take
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_NAMES_OF_PYTHON = ("PYTHON", "VIRTUAL_ENV", "KERAS", "TF_", "OMP_", "TFSEG")


class Block(NamedTuple):
    """A block of a page: its language, and its text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page that a reader copies, in their order.

    Args:
        page: path of a Markdown file, from the root of the project.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(*match) for match in _BLOCK.findall(text) if match[0] in ("sh", "python")]


def lines(page: str, command: str) -> list[str]:
    """The lines of a page's shell blocks that begin with a command.

    Args:
        page: path of a Markdown file, from the root of the project.
        command: first word of the lines.
    """
    shell = [line for language, text in blocks(page) if language == "sh" for line in text.splitlines()]
    return [line for line in shell if line.split()[:1] == [command]]


def built_wheel(folder: pathlib.Path) -> pathlib.Path:
    """The wheel of this project, built by pip from a copy of its files.

    Args:
        folder: an empty folder.
    """
    copy = shutil.copytree(ROOT, folder / "source", ignore=NOT_COPIED)
    run(f"{sys.executable} -m pip wheel --quiet --no-deps --wheel-dir {folder} {copy}", folder, environment(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(home: pathlib.Path, bin_folder: pathlib.Path | None = None) -> dict[str, str]:
    """The variables of a newcomer's shell.

    Args:
        home: an empty folder.
        bin_folder: folder of the programs of a virtual environment that is active, or None.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NAMES_OF_PYTHON)}
    path = [*([str(bin_folder)] if bin_folder else []), kept["PATH"]]
    return {**kept, "HOME": str(home), "PATH": os.pathsep.join(path)}


def run(command: str, folder: pathlib.Path, variables: dict[str, str]) -> str:
    """What a line of a page prints in a shell; an AssertionError if it fails.

    Args:
        command: the line.
        folder: working directory.
        variables: variables of the shell.
    """
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
    )
    assert result.returncode == 0, f"$ {command}\n{result.stdout[-4000:]}"
    return result.stdout


class Newcomer:
    """A fresh virtual environment with an empty HOME, and a folder to work in.

    Args:
        root: an empty folder.
        wheel: the wheel that stands for the clone in `pip install .`.
        install: the line of a page that installs.
    """

    def __init__(self, root: pathlib.Path, wheel: pathlib.Path, install: str) -> None:
        self.folder, home = root / "work", root / "home"
        for path in (self.folder, home):
            path.mkdir(parents=True)
        run(f"{sys.executable} -m venv {root / 'venv'}", root, environment(home))
        self.variables = environment(home, root / "venv" / "bin")
        literal = re.match(r'pip install "?\.(\[[\w,]+\])?"?', install)
        assert literal, install
        self.run(f'pip install --quiet "{wheel}{literal[1] or ""}"')

    def run(self, command: str) -> str:
        """What a line of a page prints.

        Args:
            command: the line.
        """
        return run(command, self.folder, self.variables)

    def has(self, module: str) -> bool:
        """Whether a module can be imported.

        Args:
            module: its name.
        """
        return "True" in self.run(
            f"python -c \"import importlib.util; print(bool(importlib.util.find_spec('{module}')))\""
        )

    def session(self, texts: list[str], before: str = "") -> str:
        """What a session of Python prints into which blocks are pasted, one after the other.

        Args:
            texts: the blocks.
            before: code that runs first.
        """
        (self.folder / "session.py").write_text("\n".join([before, *texts]), encoding="utf-8")
        return self.run("python session.py")

    def serve(self, command: str, photograph: pathlib.Path) -> bytes:
        """The mask that a server gives of a photograph; the server is then stopped by SIGTERM.

        Args:
            command: line that starts it.
            photograph: path of an image file.
        """
        words = ["bash", "-c", f"exec {command} --port=0"]  # no port of this machine is known to be free
        with subprocess.Popen(
            words, cwd=self.folder, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                printed: list[str] = []
                address = _address(process, printed)
                assert address, "".join(printed)
                with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:
                    assert answer.status == 200
                request = urllib.request.Request(f"{address}/segment", data=photograph.read_bytes())
                with urllib.request.urlopen(request, timeout=600) as answer:
                    mask: bytes = answer.read()
                process.terminate()
                assert process.wait(timeout=120) == 0
            finally:
                process.kill()
        return mask


def _address(process: "subprocess.Popen[str]", printed: list[str]) -> str | None:
    assert process.stdout
    for line in process.stdout:
        printed.append(line)
        if match := re.search(r"http://\S+", line):
            return match[0]
    return None


class Publisher:
    """A server that stands for the publisher of a file. It is a context; `address` is that of the file.

    Args:
        path: the file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, directory=str(path.parent), **options)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/{path.name}"

    def __enter__(self) -> "Publisher":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def published(name: str, address: str, sha256: str) -> str:
    """Code after which a published file lies at another address, with other bytes.

    Args:
        name: name of the file in tfseg's table.
        address: where it lies.
        sha256: its hash.
    """
    return f"""
import dataclasses
from converters.downloads import published
published.PUBLISHED = tuple(
    dataclasses.replace(row, urls=({address!r},), hash="sha256:{sha256}", mebibytes=None) if row.name == {name!r} else row
    for row in published.PUBLISHED
)
"""


def files_of(folder: pathlib.Path) -> Iterator[str]:
    """The paths of all files in a folder, relative to it.

    Args:
        folder: the folder.
    """
    return (str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file())
