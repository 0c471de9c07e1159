"""What the config.json of transformers says of the classes."""

import re
from collections.abc import Mapping
from typing import Any


def num_classes(config: Mapping[str, Any]) -> int | None:
    """The number of classes; None where nothing states it.

    Args:
        config: content of the file.
    """
    names = config.get("id2label")
    return len(names) or None if isinstance(names, Mapping) else None


def class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in their order; empty where they have none but their numbers.

    Args:
        config: content of the file.
    """
    names = config.get("id2label")
    if not isinstance(names, Mapping):
        return ()
    listed = [names.get(str(index)) for index in range(len(names))]
    if not all(isinstance(name, str) for name in listed) or all(re.fullmatch(r"LABEL_\d+", str(n)) for n in listed):
        return ()
    return tuple(map(str, listed))
