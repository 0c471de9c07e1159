"""The flags of commands for files and directories: what must exist, what can be written; `~` is the home directory."""

import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from tfseg_cli.flag_types import InvalidValueError, Parser, define

flags.disclaim_key_flags()  # a flag belongs to the command that defines it with a function of this module


def existing_file(name: str, help_text: str) -> flags.FlagHolder[str]:
    """Defines a flag for a file that exists; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> str:
        return _existing(value, "a file", pathlib.Path.is_file)

    return define(name, None, help_text, Parser(convert, "a file"))


def existing_directory(name: str, help_text: str) -> flags.FlagHolder[str]:
    """Defines a flag for a directory that exists; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> str:
        return _existing(value, "a directory", pathlib.Path.is_dir)

    return define(name, None, help_text, Parser(convert, "a directory"))


def _existing(value: str, wanted: str, is_there: Callable[[pathlib.Path], bool]) -> str:
    path = expanded(value)
    if not is_there(path):
        raise InvalidValueError(f"expected {wanted}. There is {_what_is(path)} there")
    return str(path)


def _what_is(path: pathlib.Path) -> str:
    if path.is_dir():
        return "a directory"
    return "a file" if path.is_file() else "nothing"


def exported_folder(name: str, help_text: str) -> flags.FlagHolder[str]:
    """Defines a flag for a folder with a SavedModel that `tfseg export` wrote; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> str:
        path = expanded(value)
        if not path.is_dir():
            raise InvalidValueError(f"expected a folder that `tfseg export` wrote. There is {_what_is(path)} there")
        if not (path / "metadata.json").is_file():
            raise InvalidValueError("expected a folder that `tfseg export` wrote. It has no metadata.json")
        if not any(entry.name.isdigit() and entry.is_dir() for entry in path.iterdir()):
            raise InvalidValueError("it has no SavedModel. Export the model with --format=saved_model")
        return str(path)

    return define(name, None, help_text, Parser(convert, "a folder that `tfseg export` wrote"))


def path_patterns(name: str, help_text: str) -> flags.FlagHolder[list[str]]:
    """Defines a flag that may be repeated, with a path or a pattern of paths each time; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> str:
        return str(expanded(value))

    return define(name, [], help_text, Parser(convert, "a file, a directory or a pattern"), repeated=True)


def split(name: str, default: str | None, help_text: str) -> flags.FlagHolder[str]:
    """Defines a flag for a split of a data set: its name, the path of its list, or an empty text for all of a folder.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> str:
        return str(expanded(value)) if value.strip() else ""

    return define(name, default, help_text, Parser(convert, "a name, or a file with a list"))


def output_file(
    name: str, help_text: str, *, suffixes: Sequence[str] = (), elsewhere: Mapping[str, str] | None = None
) -> flags.FlagHolder[str]:
    """Defines a flag for a file to write, in a directory that exists; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
        suffixes: endings that it takes; none: any. An empty one stands for a directory, whose name has no suffix.
        elsewhere: further endings -> which command writes such files.
    """

    def convert(value: str) -> str:
        path = expanded(value)
        if (
            suffixes
            and not ("" in suffixes and not path.suffix)
            and not path.name.endswith(tuple(filter(None, suffixes)))
        ):
            endings = " or ".join(filter(None, suffixes)) + (
                ", or a directory without a suffix" if "" in suffixes else ""
            )
            advice = (elsewhere or {}).get(path.suffix)
            raise InvalidValueError(f"expected a name that ends in {endings}" + (f". {advice}" if advice else ""))
        if path.is_dir() and (path.suffix or "" not in suffixes):
            raise InvalidValueError("expected a file to write. There is a directory there")
        check_parent(path)
        check_writable(path)
        return str(path)

    return define(name, None, help_text, Parser(convert, "a file to write"))


def output_directory(name: str, help_text: str, *, new: bool = False) -> flags.FlagHolder[str]:
    """Defines a flag for a directory to write to; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
        new: whether it must not exist.
    """

    def convert(value: str) -> str:
        path = expanded(value)
        if path.exists() and not path.is_dir():
            raise InvalidValueError("expected a directory. There is a file there")
        if new and path.exists():
            raise InvalidValueError("expected a new directory. It exists: remove it or choose another one")
        if new:
            check_parent(path)
        check_writable(path)
        return str(path)

    return define(name, None, help_text, Parser(convert, "a directory to write to"))


def model_sources(name: str, help_text: str) -> flags.FlagHolder[list[str]]:
    """Defines a flag for files, URLs or names of published files, with commas between them; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> list[str]:
        return [source(part) for part in value.split(",")] if not expanded(value).exists() else [str(expanded(value))]

    return define(name, None, help_text, Parser(convert, "files, URLs or published names"))


def model_source(name: str, help_text: str) -> flags.FlagHolder[str]:
    """Defines a flag for a file, a folder, a URL or the name of a published file; `~` is the home directory.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """
    return define(name, None, help_text, Parser(source, "a file, a folder, a URL or a published name"))


def public_code(name: str = "public") -> flags.FlagHolder[str]:
    """Defines a flag for code that builds the network of a file of weights.

    Args:
        name: name of the flag.
    """

    def convert(value: str) -> str:
        if not re.fullmatch(r"\s*[A-Za-z_][\w.]*\s*:\s*[A-Za-z_][\w.]*\s*(\(.*\))?\s*", value, re.S):
            raise InvalidValueError("expected module:callable, perhaps with arguments in parentheses")
        return value.strip()

    help_text = (
        "Code that builds the network of a file that no family fits: module:callable, such as "
        "torchvision.models:densenet121 or \"timm:create_model('resnet18', num_classes=5)\". The module is imported, "
        "which runs its code; nothing of the file runs."
    )
    return define(name, None, help_text, Parser(convert, "module:callable"))


def source(value: str) -> str:
    """A path that exists, a URL, or the name of a published file.

    Args:
        value: text of one of these.
    Raises:
        InvalidValueError: there is no such file, and no published file of that name.
    """
    path = expanded(value)
    if path.exists():
        return str(path)
    if re.match(r"[a-z][a-z0-9+.-]*://.", value):
        return value
    if path.parent.is_dir() and any(sibling.name.startswith(f"{path.name}.") for sibling in path.parent.iterdir()):
        return str(path)  # the prefix of a TensorFlow checkpoint
    from converters.downloads.published import find  # loads neither Keras nor TensorFlow

    if find(value):
        return value
    raise InvalidValueError("there is no such file, and no published file has this name (`tfseg list` prints them)")


def expanded(value: str) -> pathlib.Path:
    """The path of a text, with `~` as the home directory.

    Args:
        value: text of a path.
    Raises:
        InvalidValueError: an empty text, or one that no file can have as its name.
    """
    if not value.strip() or "\0" in value:
        raise InvalidValueError("expected a path. Received an empty one")
    path = pathlib.Path(os.path.expanduser(value))
    try:
        path.exists()
    except OSError as error:  # a name that is too long
        raise InvalidValueError(f"expected a path: {error.strerror}") from None
    return path


def check_parent(path: pathlib.Path) -> None:
    """Refuses a path whose directory does not exist.

    Args:
        path: path to write to.
    Raises:
        InvalidValueError: no such directory.
    """
    if not path.parent.is_dir():
        raise InvalidValueError(f"the directory {path.parent} does not exist. Create it first")


def check_writable(path: pathlib.Path) -> None:
    """Refuses a path that cannot be made, because what exists of it is a file, or may not be written to.

    Args:
        path: path to write to.
    Raises:
        InvalidValueError: it cannot be written.
    """
    existing = path if path.is_dir() else next(parent for parent in path.parents if os.path.lexists(parent))
    if not existing.is_dir():
        raise InvalidValueError(f"{existing} is a file, not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InvalidValueError(f"writing to the directory {existing} is not allowed")
