"""The kinds of flags that commands have: which texts each takes, and what it says about the others."""

import ast
import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags

flags.disclaim_key_flags()  # a flag belongs to the command that defines it with a function of this module


class InvalidValueError(ValueError):
    """A value that a flag does not take; the message says why."""


class Parser(flags.ArgumentParser):
    """Makes a value of a flag's text.

    Args:
        convert: text -> value; raises ValueError for a text that it does not take.
        expected: what the text should be, for errors.
    """

    def __init__(self, convert: Callable[[str], Any], expected: str) -> None:
        self.convert = convert
        self.expected = expected
        self.syntactic_help = ""

    def parse(self, argument: Any) -> Any:
        """The value of a text. A default that is no text stays as it is."""
        if not isinstance(argument, str):
            return argument
        try:
            return self.convert(argument)
        except InvalidValueError:
            raise
        except (ValueError, OverflowError):
            raise ValueError(f"expected {self.expected}") from None

    def flag_type(self) -> str:
        """What the help calls the value."""
        return self.expected


class Serializer(flags.ArgumentSerializer):
    """Writes a value as the text that gives it, for the help."""

    def serialize(self, value: Any) -> str:
        """The text of a value."""
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def integer(
    name: str, default: int | None, help_text: str, *, least: int | None = None, most: int | None = None
) -> flags.FlagHolder[int]:
    """Defines a flag for a whole number.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
        least: smallest number that it takes; None: any.
        most: largest number that it takes; None: any.
    """
    return define(name, default, help_text, _integer_parser(least, most))


def integers(
    name: str, default: Sequence[int], help_text: str, *, least: int | None = None, most: int | None = None
) -> flags.FlagHolder[list[int]]:
    """Defines a flag that may be repeated, with a whole number each time; the arguments are those of `integer`."""
    return define(name, list(default), help_text, _integer_parser(least, most), repeated=True)


def number(
    name: str,
    default: float | None,
    help_text: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> flags.FlagHolder[float]:
    """Defines a flag for a finite number.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
        least: smallest number that it takes.
        above: number that its value exceeds.
        most: largest number that it takes.
        below: number that its value does not reach.
    """
    return define(name, default, help_text, _number_parser(least, above, most, below))


def numbers(
    name: str,
    default: Sequence[float] | None,
    help_text: str,
    *,
    above: float = -math.inf,
    word: str | None = None,
) -> flags.FlagHolder[tuple[float, ...]]:
    """Defines a flag for finite numbers with commas between them.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
        above: number that every value exceeds.
        word: a word that stands for no numbers.
    """
    parser = _number_parser(-math.inf, above, math.inf, math.inf)
    bound = f" above {above:g}" if above > -math.inf else ""
    expected = f"numbers{bound} with commas between them, such as 0.5,1,1.5" + (f", or {word}" if word else "")

    def convert(text: str) -> tuple[float, ...]:
        return () if word and text == word else tuple(map(parser.convert, text.split(",")))

    return define(name, default, help_text, Parser(convert, expected))


def whole_numbers(name: str, help_text: str) -> flags.FlagHolder[tuple[int, ...]]:
    """Defines a flag for whole numbers with commas between them; without the flag, None.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(text: str) -> tuple[int, ...]:
        return tuple(map(_integer_parser(None, None).convert, text.split(",")))

    return define(name, None, help_text, Parser(convert, "whole numbers with commas between them, such as 0,255"))


def no_data(name: str, help_text: str) -> flags.FlagHolder[float | str]:
    """Defines a flag for the value of pixels without data: a number, `nan`, or `none`; without the flag, None.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """
    parser = _number_parser(-math.inf, -math.inf, math.inf, math.inf)

    def convert(text: str) -> float | str:
        return text if text == "none" else math.nan if text == "nan" else parser.convert(text)

    return define(name, None, help_text, Parser(convert, "a number, nan, or none"))


def size(name: str, help_text: str, default: tuple[int, int] | None = None) -> flags.FlagHolder[tuple[int, int]]:
    """Defines a flag for a height and a width in pixels: `320,480`.

    Args:
        name: name of the flag.
        help_text: its meaning.
        default: its value without the flag.
    """

    def convert(text: str) -> tuple[int, int]:
        height, width = map(_integer_parser(1, 10**6).convert, text.split(","))
        return height, width

    return define(name, default, help_text, Parser(convert, "height,width in pixels, such as 320,480"))


def share(name: str, default: tuple[int, int], help_text: str) -> flags.FlagHolder[tuple[int, int]]:
    """Defines a flag for one of several shares: `0/4` to `3/4`.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
    """

    def convert(text: str) -> tuple[int, int]:
        index, count = map(_integer_parser(0, 10**9).convert, text.split("/"))
        if index >= count:
            raise ValueError
        return index, count

    return define(name, default, help_text, Parser(convert, "index/count with index from 0, such as 0/4 to 3/4"))


def choice(name: str, default: str | None, choices: Iterable[str], help_text: str) -> flags.FlagHolder[str]:
    """Defines a flag for one of several words.

    Args:
        name: name of the flag.
        default: its value without the flag.
        choices: the words.
        help_text: its meaning.
    """
    return define(name, default, help_text, _choice_parser(choices))


def choice_list(
    name: str, default: Sequence[str], choices: Iterable[str], help_text: str
) -> flags.FlagHolder[list[str]]:
    """Defines a flag that may be repeated, with one of several words each time; the arguments are those of `choice`."""
    return define(name, list(default), help_text, _choice_parser(choices), repeated=True)


def text(name: str, default: str | None, help_text: str, *, expected: str = "a text") -> flags.FlagHolder[str]:
    """Defines a flag for a text that is not empty.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
        expected: what the text should be, for errors.
    """
    return define(name, default, help_text, Parser(_filled, expected))


def texts(name: str, default: Sequence[str] | None, help_text: str) -> flags.FlagHolder[list[str]]:
    """Defines a flag for texts with commas between them; the arguments are those of `text`."""

    def convert(value: str) -> list[str]:
        return [_filled(part.strip()) for part in value.split(",")]

    return define(name, default, help_text, Parser(convert, "names with commas between them"))


def options(name: str, help_text: str) -> flags.FlagHolder[dict[str, Any]]:
    """Defines a flag for options of a Python function: `width=0.5,rates=(6,12)`. Its value is `{option: value}`.

    Values are numbers, truth values, None, tuples or lists of these, or else texts.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> dict[str, Any]:
        pairs = [part.partition("=") for part in re.split(r",(?![^(\[]*[)\]])", value)]
        result = {key.strip(): _literal(text.strip()) for key, _, text in pairs if text.strip()}
        if len(result) < len(pairs) or not all(key.isidentifier() for key in result):
            raise ValueError
        return result

    return define(name, None, help_text, Parser(convert, "name=value,... with each name once, such as width=0.5"))


def patterns(name: str, help_text: str) -> flags.FlagHolder[list[str]]:
    """Defines a flag that may be repeated, with a regular expression each time.

    Args:
        name: name of the flag.
        help_text: its meaning.
    """

    def convert(value: str) -> str:
        try:
            re.compile(_filled(value))
        except re.error as error:
            raise InvalidValueError(f"expected a regular expression: {error}") from None
        return value

    return define(name, [], help_text, Parser(convert, "a regular expression"), repeated=True)


def nearest(word: str, words: Iterable[str]) -> str:
    """The words most like another, as the end of a sentence: `. Did you mean fcn8s?`; empty if none is.

    Args:
        word: word that was given.
        words: words that exist.
    """
    matches = difflib.get_close_matches(word, list(words), n=3, cutoff=0.6)
    return f". Did you mean {' or '.join(matches)}?" if matches else ""


def _literal(text: str) -> Any:
    """The number, truth value or tuple that a text stands for, or the text itself."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError
    return value


def _integer_parser(least: int | None, most: int | None) -> Parser:
    expected = "a whole number" + _range(least, most)

    def convert(value: str) -> int:
        result = int(value)
        if (least is not None and result < least) or (most is not None and result > most):
            raise ValueError
        return result

    return Parser(convert, expected)


def _number_parser(least: float, above: float, most: float, below: float) -> Parser:
    def convert(value: str) -> float:
        result = float(value)
        if not (math.isfinite(result) and least <= result <= most and above < result < below):
            raise ValueError
        return result

    lower = f" of at least {least:g}" if least > -math.inf else f" above {above:g}" if above > -math.inf else ""
    upper = f" of at most {most:g}" if most < math.inf else f" below {below:g}" if below < math.inf else ""
    return Parser(convert, "a number" + " and".join(filter(None, (lower, upper))))


def _choice_parser(choices: Iterable[str]) -> Parser:
    words = list(choices)

    def convert(value: str) -> str:
        if value not in words:
            raise InvalidValueError(f"expected one of {', '.join(words)}{nearest(value, words)}")
        return value

    return Parser(convert, " | ".join(words))


def _range(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f" of at least {least}" if least is not None else f" of at most {most}" if most is not None else ""


def define(name: str, default: Any, help_text: str, parser: Parser, *, repeated: bool = False) -> flags.FlagHolder[Any]:
    """Defines a flag with a parser.

    Args:
        name: name of the flag.
        default: its value without the flag.
        help_text: its meaning.
        parser: makes the value of a text.
        repeated: whether it may be repeated; its value is then a list.
    """
    if repeated:
        return flags.DEFINE_multi(parser, Serializer(), name, default, help_text)
    return flags.DEFINE(parser, name, default, help_text, serializer=Serializer())
