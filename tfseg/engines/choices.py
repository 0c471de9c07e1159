"""Which engine was fastest, kept between processes: a small JSON file in Keras's own directory."""

import contextlib
import dataclasses
import json
import os
import pathlib
from typing import Any

from tfseg.writing import atomic

_MOST = 500  # choices in the file; the oldest go


@dataclasses.dataclass(frozen=True)
class Choice:
    """The fastest engine for a model, a size of images, a precision and a machine.

    Attributes:
        name: name of the engine; None: the model as it is.
        seconds: name of an engine, or "as it is" -> median seconds of a batch.
        built: name of an engine -> seconds that it took to build.
        left_out: name of an engine -> why it was not measured.
    """

    name: str | None
    seconds: dict[str, float]
    built: dict[str, float]
    left_out: dict[str, str]


def path() -> pathlib.Path:
    """The file: "tfseg/engines.json" in `$KERAS_HOME` or `~/.keras`."""
    return pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras") / "tfseg" / "engines.json"


def read_choice(key: str, names: set[str]) -> Choice | None:
    """What was measured before; None if nothing was, or the file is damaged.

    Args:
        key: model, machine, precision and size as one text.
        names: names of the engines that can be chosen.
    """
    try:
        choice = Choice(**_content()[key])
        numbers = [*choice.seconds.values(), *choice.built.values()]
        known = choice.name is None or (choice.name in names and choice.name in choice.built)
        return choice if known and all(isinstance(number, float) for number in numbers) else None
    except (KeyError, TypeError, AttributeError):
        return None


def keep_choice(key: str, choice: Choice) -> None:
    """Adds a choice to the file. Where nothing can be written, the next process measures again.

    Args:
        key: model, machine, precision and size as one text.
        choice: what was measured.
    """
    content = _content()
    content.pop(key, None)
    content[key] = dataclasses.asdict(choice)
    newest = dict(list(content.items())[-_MOST:])
    with contextlib.suppress(OSError, ValueError):
        path().parent.mkdir(parents=True, exist_ok=True)
        with atomic(path(), overwrite=True) as unfinished:
            unfinished.write_text(json.dumps(newest, indent=1))


def _content() -> dict[str, Any]:
    try:
        content = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
