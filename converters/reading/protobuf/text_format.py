"""Protocol buffers in their text format: nested fields of any names, read without a schema and without protobuf.

Reference: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import math
import re
from typing import NoReturn, Union

from converters.errors import ConversionError
from converters.reading import limits

_DEEPEST = 100  # protobuf's own limit
_LONGEST_RECEIVED = 60  # characters of a token that an error shows whole
_VALUE = 600  # bytes that a value may become: a message with its list under its name
_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\v\f]|\#[^\n]*)+)
  | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
  | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?)(?![\w.]))
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark>[{}<>\[\]:;,./-])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:([abfnrtv?'\"\\])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_LETTERS = dict(zip("abfnrtv?'\"\\", "\a\b\f\n\r\t\v?'\"\\", strict=True))
_NUMBERS = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
_CLOSING = {"{": "}", "<": ">"}


class Word(str):
    """A bare word: the name of a constant, or true or false."""

    __slots__ = ()


class Message(dict[str, list["FieldValue"]]):
    """Name -> the values of a field, in their order.

    Attributes:
        line: line in which the message opens.
    """

    line = 1


FieldValue = Union[str, int, float, Message]  # noqa: UP007  the message is named before it is there
"""A value of a field; a bare word is a `Word`."""


def parse(text: str) -> Message:
    """The fields of a text.

    Args:
        text: a message in the text format.
    Raises: ConversionError with line and column where the text breaks the syntax.
    """
    return _Parser(text).message(None, 1, 0)


class _Parser:
    """Reads tokens one ahead: `kind` and `token` are the one that comes next; at the end both are empty."""

    def __init__(self, text: str) -> None:
        self.text, self.start, self.stop = text, 0, 0
        self.kind = self.token = ""
        self.budget = limits.current(len(text))
        self.lines = self.counted = 0  # how many lines end before where
        self.advance()

    def advance(self) -> str:
        """Passes over the next token, and returns it."""
        passed = self.text[self.start : self.stop]
        self.start = self.stop
        while True:
            if self.start == len(self.text):
                self.kind = self.token = ""
                return passed
            match = _TOKEN.match(self.text, self.start)
            if match is None:
                self.fail("is no part of protobuf's text format", self.text[self.start : self.start + 20])
            if match.lastgroup != "space":
                self.kind, self.token, self.stop = match.lastgroup or "", match.group(), match.end()
                return passed
            self.start = self.stop = match.end()

    def line(self) -> int:
        """The line of the next token."""
        self.lines += self.text.count("\n", self.counted, self.start)
        self.counted = self.start
        return self.lines + 1

    def fail(self, what: str, received: str | None = None) -> NoReturn:
        """Raises the ConversionError for the next token."""
        column = self.start - self.text.rfind("\n", 0, self.start)
        if received is None:
            long = len(self.token) > _LONGEST_RECEIVED
            received = f"{self.token[:20]}... of {len(self.token)} characters" if long else self.token
        received = repr(received)
        if self.start == len(self.text):
            received, what = "the end of the file", f"{what}. It may be cut off: download it again"
        raise ConversionError(f"line {self.line()}, column {column}: {what}. Received: {received}.")

    def accept(self, *marks: str) -> str:
        """The next token, passed over if it is one of the marks; else ""."""
        return self.advance() if self.kind == "mark" and self.token in marks else ""

    def expect(self, *marks: str) -> str:
        """The next token, passed over; it must be one of the marks."""
        return self.accept(*marks) or self.fail(f"expected {' or '.join(map(repr, marks))}")

    def message(self, closing: str | None, line: int, depth: int) -> Message:
        """The fields up to the closing mark, or to the end of the text."""
        if depth > _DEEPEST:
            self.fail(f"messages lie more than {_DEEPEST} deep in each other")
        fields = Message()
        fields.line = line
        while not (closing and self.accept(closing)):
            if not self.kind and closing is None:
                return fields
            name = self.name(fields, closing)
            colon = self.accept(":")
            if self.kind == "mark" and self.token == "[":
                values = self.bracketed(depth)
            elif colon or self.token in _CLOSING:
                values = [self.value(depth)]
            else:
                self.fail(f"expected ':' or '{{' after the field {name}")
            fields.setdefault(name, []).extend(values)
            self.accept(",", ";")
        return fields

    def name(self, fields: Message, closing: str | None) -> str:
        """The name of a field; in brackets, that of an extension."""
        if self.kind == "word":
            return self.advance()
        if not self.accept("["):
            inside = f", or {closing!r} for the message that opens in line {fields.line}" if closing else ""
            self.fail(f"expected the name of a field{inside}")
        parts = []
        while not self.accept("]"):
            if self.kind != "word" and self.token not in (".", "/", "-"):
                self.fail("expected the name of an extension, or ']'")
            parts.append(self.advance())
        return f"[{''.join(parts)}]"

    def bracketed(self, depth: int) -> list[FieldValue]:
        """The values in brackets."""
        self.advance()
        values: list[FieldValue] = []
        while not self.accept("]"):
            if values:
                self.expect(",", "]")
            values.append(self.value(depth))
        return values

    def value(self, depth: int) -> FieldValue:
        """One value: a message, a text, a number or a word."""
        line = self.line()
        self.budget.charge(_VALUE)
        if opening := self.accept(*_CLOSING):
            return self.message(_CLOSING[opening], line, depth + 1)
        if self.kind == "string":
            return self.string()
        negative = self.accept("-")
        if self.kind == "number":
            number = self.number()
        elif self.kind == "word" and self.token.lower() in _NUMBERS:
            number = _NUMBERS[self.advance().lower()]
        elif self.kind == "word" and not negative:
            return Word(self.advance())
        else:
            self.fail("expected a value")
        return -number if negative else number

    def number(self) -> int | float:
        """The number here: hexadecimal, octal, decimal or with a fraction."""
        text = self.token
        number: int | float
        try:
            if text[:2] in ("0x", "0X"):
                number = int(text, 16)
            elif text.isdecimal():
                number = int(text, 8 if text[0] == "0" else 10)
            else:
                number = float(text.rstrip("fF"))
        except ValueError:
            self.fail("expected a number")
        if isinstance(number, int) and number >= 1 << 64:
            self.fail("expected a whole number of at most 64 bits")
        self.advance()
        return number

    def string(self) -> str:
        """The string here, with those that follow it."""
        parts = []
        while self.kind == "string":
            parts.append(_ESCAPE.sub(_unescaped, self.token[1:-1]))
            self.advance()
        # Octal and hexadecimal escapes are bytes; several of them may make one letter.
        return "".join(parts).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unescaped(escape: re.Match[str]) -> str:
    letter, octal, hexadecimal, *points = escape.groups()
    if letter:
        return _LETTERS[letter]
    if octal or hexadecimal:
        byte = int(octal, 8) if octal else int(hexadecimal, 16)
        return bytes([byte % 256]).decode("utf-8", "surrogateescape")
    point = int(points[0] or points[1], 16)
    return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else "\N{REPLACEMENT CHARACTER}"
