"""The options of a network on a command line: checked before the network is built."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tfseg_cli.flag_types import nearest
from tfseg_cli.launch import UsageError

_EXPECTED = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", type(None): "None"}


def check_options(flag: flags.FlagHolder[dict[str, Any]], network: str) -> tuple[str, dict[str, Any]]:
    """Refuses options that a network does not have, or whose values have the wrong type. It loads the library.

    Args:
        flag: the flag of the options; None as its value is fine.
        network: a name of `tfseg.list_models()`, or of a decoder, whose options name the backbone.
    Returns: the full name of the network, and its options.
    Raises:
        UsageError: naming the first wrong option.
    """
    from tfseg.nets.registry import options_of, resolved

    options = flag.value or {}
    _check_backbone(flag, network)
    network, options = resolved(network, options)
    known = options_of(network)
    for option, value in options.items():
        if option == "num_classes":
            raise UsageError(f"--{flag.name}={option}={value}: the number of classes has a flag, --num_classes=")
        if option not in known:
            suggestion = nearest(option, known) or f". It has {', '.join(known)}"
            raise UsageError(f"--{flag.name}={option}={value}: {network} has no option {option!r}{suggestion}")
        if not is_of(value, known[option]):
            raise UsageError(f"--{flag.name}={option}={value}: expected {describe(known[option])}")
    return network, options


def _check_backbone(flag: flags.FlagHolder[dict[str, Any]], network: str) -> None:
    """Refuses a decoder without a backbone, or with one on which it does not go."""
    from tfseg import specs

    known = [backbone for head, backbone in specs.SEGMENTERS.values() if head == network]
    if not known:
        return
    backbone = (flag.value or {}).get("backbone")
    if backbone is None:
        raise UsageError(
            f"--{flag.name}=backbone= is missing: {network} reads a backbone, such as "
            f"--{flag.name}=backbone={known[0]}; `tfseg list backbones` prints their names"
        )
    if backbone not in known:
        suggestion = nearest(str(backbone), known) or ". `tfseg list backbones` prints the names"
        raise UsageError(f"--{flag.name}=backbone={backbone}: {network} reads no backbone of that name{suggestion}")


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value has a type; a whole number is also a `float`, and a list or a tuple is a `Sequence` or a `tuple`.

    Args:
        value: number, truth value, text, None, or a tuple or a list of these.
        kind: a type, as an annotation.
    """
    origin, parts = typing.get_origin(kind), [part for part in typing.get_args(kind) if part is not ...]
    if origin in (types.UnionType, typing.Union):
        return any(is_of(value, part) for part in parts)
    if origin in (Sequence, list, tuple):
        return isinstance(value, list | tuple) and all(any(is_of(item, part) for part in parts) for item in value)
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return not isinstance(kind, type) or isinstance(value, kind)


def describe(kind: Any) -> str:
    """What values of a type are, in words.

    Args:
        kind: a type, as an annotation.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(describe(part) for part in parts))
    if origin in (Sequence, list, tuple):
        return "several values in brackets, such as (6,12,18)"
    if origin is Mapping:
        return "a dictionary"
    return _EXPECTED.get(kind, "another value")
