"""Unfinished results: how they are called, whose they are, and which of them no one will finish."""

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterable

_NAME = re.compile(r"\.([\w-]+)\.([0-9a-f]{8})\.(\d+)\.[0-9a-f]{8}\.(partial|aside)\.(.+)", re.ASCII | re.DOTALL)
_LONGEST = 160  # bytes of a target's name that fit behind all that; disks allow 255
_SUFFIXES = 30  # characters
# Seconds after which a result of another machine, on a shared disk, is not being written.
_FORGOTTEN = 24 * 3600
# The names of what this process is writing now: one directory may have several paths.
_own: set[str] = set()


def new_half(path: pathlib.Path, kind: str = "partial") -> pathlib.Path:
    """A free name beside a target, which says who writes there: machine, process, and a random part.

    Args:
        path: target.
        kind: "partial" for a result that is being written, "aside" for an old one that is being replaced.
    """
    machine, place = _place()
    name = f".{machine}.{place}.{os.getpid()}.{secrets.token_hex(4)}.{kind}.{_ending(path.name)}"
    _own.add(name)
    return path.with_name(name)


def remove(path: pathlib.Path) -> None:
    """Removes a file or a directory, if it is there. Whatever goes wrong must not hide what went wrong before.

    Args:
        path: result of `new_half`.
    """
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    _own.discard(path.name)


def sweep(paths: Iterable[pathlib.Path]) -> None:
    """Removes what killed processes left beside targets, and puts back a target that one had moved aside.

    What a living process writes stays, and so does what another machine may be writing: all of the last day.

    Args:
        paths: targets, whose directories exist.
    """
    paths = list(paths)
    sweep_directories({os.path.dirname(path) or os.curdir for path in paths}, lambda: paths)


def sweep_directories(directories: Iterable[str], paths: Callable[[], Iterable[pathlib.Path | str]]) -> None:
    """`sweep` for very many targets, which are looked at only if there are halves.

    Args:
        directories: the directories of the targets, which exist.
        paths: function that gives the targets.
    """
    halves = []
    for directory in directories:
        with contextlib.suppress(OSError):  # a directory that may not be listed; writing there will say so
            halves += [(directory, match) for name in sorted(os.listdir(directory)) if (match := _NAME.fullmatch(name))]
    if not halves:
        return
    targets = {(os.path.dirname(path) or os.curdir, _ending(os.path.basename(path))): path for path in paths()}
    for directory, match in halves:
        target, half = targets.get((directory, match[5])), pathlib.Path(directory, match[0])
        with contextlib.suppress(OSError):
            if target and not _may_live(half, match):
                if match[4] == "aside" and not os.path.lexists(target):
                    os.rename(half, target)
                else:
                    remove(half)


def _ending(name: str) -> str:
    """How halves of a target end: with its name; or with a mark of a long one, and its suffixes for writers."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    return hashlib.sha256(encoded).hexdigest()[:16] + "".join(pathlib.PurePath(name).suffixes[-2:])[-_SUFFIXES:]


def _may_live(half: pathlib.Path, match: "re.Match[str]") -> bool:
    """Whether the process that writes there may still run."""
    if half.name in _own:
        return True
    if match[2] != _place()[1]:
        return time.time() - _last_change(half) < _FORGOTTEN
    process = int(match[3])
    return process != os.getpid() and _runs(process)


def _runs(process: int) -> bool:
    if os.name == "nt":  # there, this question would be Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs for someone else; or it cannot be known here
        pass
    return True


def _last_change(half: pathlib.Path) -> float:
    return max(path.lstat().st_mtime for path in (half, *half.rglob("*")))


@functools.cache
def _place() -> tuple[str, str]:
    """The name of this machine, and a mark of all processes that see each other's numbers, until it starts again."""
    machine = re.sub(r"[^\w-]", "-", socket.gethostname(), flags=re.ASCII)[:20] or "machine"
    facts = [machine]
    with contextlib.suppress(OSError):  # systems other than Linux
        facts += [pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return machine, hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]
