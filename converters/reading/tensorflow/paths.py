"""Which files a TensorFlow checkpoint consists of, whichever part of it a path names.

A checkpoint of the second form (since TensorFlow 1.0) is `<prefix>.index`, a table of names and places, and
`<prefix>.data-00000-of-00001` or more; the prefix itself is no file. One of the first form is a single table with all
in it, or several: `<prefix>-00000-of-00002`. A directory has a text file `checkpoint` that names the newest one in it.

Reference: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/tensor_bundle/tensor_bundle.h
"""

import glob
import os
import re
from typing import NamedTuple, NoReturn

from converters.errors import ConversionError

_MAGIC = bytes.fromhex("57fb808b247547db")  # ends every table, of LevelDB's form
_STATE = re.compile(rb'model_checkpoint_path:\s*"([^"]+)"')
_PART = re.compile(r"(.+)\.(?:index|meta|data-\d{5}-of-\d{5})")
_TABLE = re.compile(r"(.+)-(?:\d{5}|\?{5})-of-\d{5}")  # with question marks: what TensorFlow's Saver returns


class CheckpointFiles(NamedTuple):
    """A checkpoint: the path or pattern that TensorFlow knows it by, its files, and those with the tensors' bytes."""

    name: str
    files: tuple[str, ...]
    data: tuple[str, ...] = ()


def find(path: str) -> CheckpointFiles | None:
    """The files of the checkpoint that a path means, or None if it means none.

    Args:
        path: prefix of a checkpoint, one of its files, its state file, or its directory.
    Raises: ConversionError naming the file that is missing.
    """
    if os.path.isdir(path):
        return _in_directory(path)
    part = _PART.fullmatch(path)
    prefix = part[1] if part else path
    if (part or not os.path.exists(path)) and (_shards(f"{prefix}.data") or _is_table(f"{prefix}.index")):
        return _bundle(prefix)
    table = _TABLE.fullmatch(path)
    if not os.path.exists(path):
        prefix = table[1] if table else path
        return _tables(prefix) if _shards(prefix) else None
    if _is_table(path):
        return _tables(table[1]) if table else CheckpointFiles(path, (path,))
    return _named_by(path) if os.path.isfile(path) and _STATE.match(_ends(path)[0]) else None


def _is_table(path: str) -> bool:
    return os.path.isfile(path) and _ends(path)[1] == _MAGIC


def _ends(path: str) -> tuple[bytes, bytes]:
    """The first bytes of a file and the last eight; both empty for a file that cannot be opened.

    `files.map_file` says why it cannot.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            file.seek(max(0, file.seek(0, os.SEEK_END) - len(_MAGIC)))
            return head, file.read()
    except OSError:
        return b"", b""


def _in_directory(directory: str) -> CheckpointFiles | None:
    state = os.path.join(directory, "checkpoint")
    if os.path.isfile(state):
        return _named_by(state)
    indices = glob.glob(os.path.join(glob.escape(directory), "*.index"))
    prefixes = sorted(index.removesuffix(".index") for index in indices)
    if len(prefixes) > 1:
        raise ConversionError(
            f"holds {len(prefixes)} checkpoints and no file `checkpoint` that names one of them. Give one: "
            f"{', '.join(prefixes[:5])}."
        )
    return _bundle(prefixes[0]) if prefixes else None


def _named_by(state: str) -> CheckpointFiles:
    """The checkpoint that a state file names: where it was written, or beside the state file after a move."""
    named = _STATE.match(_ends(state)[0])
    if not named:
        raise ConversionError("its file `checkpoint` names none. Expected model_checkpoint_path; give the checkpoint.")
    path, directory = os.fsdecode(named[1]), os.path.dirname(state)
    for place in (os.path.join(directory, path), os.path.join(directory, os.path.basename(path))):
        if place != state and (files := find(place)):
            return files
    raise ConversionError(f"its file `checkpoint` names {path!r}, and no such checkpoint is there or beside it.")


def _bundle(prefix: str) -> CheckpointFiles:
    index = f"{prefix}.index"
    if not os.path.exists(index):
        raise ConversionError(
            f"the file {os.path.basename(index)} is missing, which says what lies where in a TensorFlow checkpoint's "
            "data. Put it beside the data files."
        )
    data = _all(f"{prefix}.data") or _missing([f"{prefix}.data-00000-of-00001"])
    return CheckpointFiles(prefix, (index, *data), data)


def _tables(prefix: str) -> CheckpointFiles:
    files = _all(prefix)
    return CheckpointFiles(f"{prefix}-?????-of-{_count(files[0])}", files)


def _all(prefix: str) -> tuple[str, ...]:
    """All files of a checkpoint in several parts, whose names state how many there are; empty if no part is there.

    Raises: ConversionError naming those that are missing.
    """
    wanted: list[str] = []
    for count in sorted({_count(shard) for shard in _shards(prefix)}):
        wanted = [f"{prefix}-{index:05}-of-{count}" for index in range(int(count))]
        if all(map(os.path.exists, wanted)):
            break
    if missing := [path for path in wanted if not os.path.exists(path)]:
        _missing(missing)
    return tuple(wanted)


def _missing(paths: list[str]) -> NoReturn:
    names = ", ".join(os.path.basename(path) for path in paths[:5])
    raise ConversionError(f"files of the TensorFlow checkpoint are missing: {names}. Put them beside the others.")


def _shards(prefix: str) -> list[str]:
    paths = glob.glob(f"{glob.escape(prefix)}-*-of-*")
    return [path for path in paths if re.fullmatch(r"-\d{5}-of-\d{5}", path[len(prefix) :])]


def _count(shard: str) -> str:
    """The number of parts that the name of a part states, in five digits."""
    return shard[-5:]
