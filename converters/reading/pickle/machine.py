"""A reader of pickles that cannot run anything.

It is a machine of its own and not a subclass of `pickle.Unpickler`. That one's BUILD sets attributes on whatever a file
points at, and it allocates as much as a damaged length says. This one knows lists, dictionaries, text, numbers and
calls of constructors (see `inert`). Every length is checked against the bytes that are there. The memo is a dictionary.
"""

import struct
import sys
import warnings
from collections.abc import Callable
from pickle import decode_long
from typing import Any

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.pickle import inert

# Bytes that objects take, at most. Without a limit, a few bytes that make one long list into sets again and again
# would fill the memory.
_ENTRY = 9  # of a list, a tuple or the stack
_OBJECT = 90  # a container, a number, a name, or the memo's entry for one
_NUMBER = 32
_ENTRY_OF_TEXT = 80  # of a dictionary
_KEYED = 300  # of a set or dictionary: the entry, and the object that stands for its key
_PENDING = 24  # of each item between a mark and its container, for a moment
_TEXTS = (str, bytes, bytearray)
# Python hashes texts with a secret; the hashes of numbers can be chosen to collide. Small ones do not collide much.
_HASHED = (str, bytes, bool, type(None))
_MOST_INTEGER = 1 << 20
_LINE = 256


def load(
    data: memoryview,
    position: int = 0,
    *,
    constructors: inert.Constructors | None = None,
    persistent: Callable[[Any], Any] | None = None,
) -> tuple[Any, int]:
    """One pickled object and the position after it.

    Dictionaries of any kind come back as `dict`, deques and foreign classes as `inert.Placeholder`.

    Args:
        data: bytes with the pickle.
        position: where the pickle begins; it is read up to the STOP opcode.
        constructors: names that build data, beside those of Python's containers.
        persistent: function of a persistent id (a storage of PyTorch); none are allowed without it.
    Raises: ConversionError for a truncated or damaged pickle, and for one that calls anything else.
    """
    machine = _Machine(data, position, {**_CONTAINERS, **(constructors or {})}, persistent)
    try:
        return machine.run(), machine.position
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(
            f"the pickle is damaged at byte {machine.position} ({type(error).__name__}). Download the file again."
        ) from error


_OPCODES: dict[int, tuple[Callable[..., None], list[Any]]] = {}


def _opcode(*codes: tuple[Any, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a method of the machine for opcodes: (b"x",) or, with an argument for the method, (b"x", argument)."""

    def register(method: Callable[..., None]) -> Callable[..., None]:
        for code, *argument in codes:
            _OPCODES[code[0]] = (method, argument)
        return method

    return register


class _Machine:
    def __init__(
        self,
        data: memoryview,
        position: int,
        constructors: inert.Constructors,
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.data, self.position = data, position
        self.constructors, self.persistent = constructors, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.budget = limits.current(len(data))

    def run(self) -> Any:
        """The object on the stack at STOP."""
        while (code := self.take(1)[0]) != b"."[0]:
            if code not in _OPCODES:
                raise ConversionError(
                    f"the pickle is damaged: unknown opcode {bytes([code])!r} before byte {self.position}."
                )
            method, argument = _OPCODES[code]
            self.budget.charge(_ENTRY)
            method(self, *argument)
        return self.stack.pop()

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self.position + count
        if end > len(self.data):
            raise ConversionError(
                f"the file is truncated: its pickle continues to byte {end} or beyond. Received: {len(self.data)} "
                "bytes. Download it again."
            )
        taken = self.data[self.position : end].tobytes()
        self.position = end
        return taken

    def number(self, layout: str) -> Any:
        """The next number, in a layout of `struct`."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> bytes:
        """The next bytes, up to the end of the line."""
        length = _LINE
        while True:
            piece = self.data[self.position : self.position + length].tobytes()
            end = piece.find(b"\n")
            if end >= 0:
                self.position += end + 1
                return piece[:end]
            if len(piece) < length:
                self.take(len(piece) + 1)  # there is no end
            length *= 2

    def since_mark(self) -> list[Any]:
        """The objects since the last mark, taken off the stack."""
        start = self.marks.pop()
        self.budget.check(_PENDING * (len(self.stack) - start))
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push(self, text: str | bytes | bytearray) -> None:
        """Puts a text on the stack."""
        self.budget.charge(sys.getsizeof(text))
        self.stack.append(text)

    # Numbers and text

    @_opcode((b"N", None), (b"\x88", True), (b"\x89", False))
    def constant(self, value: object) -> None:
        self.stack.append(value)

    @_opcode((b"]", list), (b"}", dict), (b")", tuple), (b"\x8f", set))
    def empty(self, kind: type) -> None:
        self.budget.charge(_OBJECT if kind is not set else _KEYED)
        self.stack.append(kind())

    @_opcode((b"K", "<B"), (b"M", "<H"), (b"J", "<i"), (b"G", ">d"))
    def binary_number(self, layout: str) -> None:
        self.budget.charge(_NUMBER)
        self.stack.append(self.number(layout))

    @_opcode((b"\x8a", "<B"), (b"\x8b", "<I"))
    def long(self, layout: str) -> None:
        self.budget.charge(_OBJECT)
        self.stack.append(decode_long(self.take(self.number(layout))))

    @_opcode((b"I", int), (b"L", int), (b"F", float))
    def text_number(self, kind: type) -> None:
        line = self.line()
        self.budget.charge(_OBJECT)
        self.stack.append(line == b"01" if line in (b"00", b"01") else kind(line.rstrip(b"L")))

    @_opcode((b"X", "<I"), (b"\x8c", "<B"), (b"\x8d", "<Q"))
    def text(self, layout: str) -> None:
        self.push(self.take(self.number(layout)).decode("utf-8", "surrogatepass"))

    @_opcode((b"B", "<I"), (b"C", "<B"), (b"\x8e", "<Q"))
    def raw_bytes(self, layout: str) -> None:
        self.push(self.take(self.number(layout)))

    @_opcode((b"\x96", "<Q"))
    def byte_array(self, layout: str) -> None:
        self.push(bytearray(self.take(self.number(layout))))

    @_opcode((b"T", "<I"), (b"U", "<B"))
    def python_2_text(self, layout: str) -> None:
        # These are names, or the raw bytes of arrays; latin-1 keeps both.
        self.push(self.take(self.number(layout)).decode("latin-1"))

    @_opcode((b"S",))
    def quoted_text(self) -> None:
        line = self.line().strip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise ValueError("a text without its quotes")
        with warnings.catch_warnings(action="ignore"):  # unknown escapes, a typing error only in source
            self.push(line[1:-1].decode("unicode-escape"))

    @_opcode((b"V",))
    def unicode_line(self) -> None:
        self.push(self.line().decode("raw-unicode-escape"))

    # The stack and the memo

    @_opcode((b"\x80", 1), (b"\x95", 8))
    def skip(self, count: int) -> None:  # the protocol number; the length of a frame
        self.take(count)

    @_opcode((b"(",))
    def mark(self) -> None:
        self.budget.charge(_NUMBER)
        self.marks.append(len(self.stack))

    @_opcode((b"0",))
    def pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    @_opcode((b"1",))
    def pop_mark(self) -> None:
        self.since_mark()

    @_opcode((b"2",))
    def duplicate(self) -> None:
        self.stack.append(self.stack[-1])

    @_opcode((b"q", "<B"), (b"r", "<I"))
    def put(self, layout: str) -> None:
        self.remember(self.number(layout))

    @_opcode((b"p",))
    def put_line(self) -> None:
        self.remember(int(self.line()))

    @_opcode((b"\x94",))
    def memoize(self) -> None:
        self.remember(len(self.memo))

    def remember(self, place: int) -> None:
        """Puts what is on the stack into the memo."""
        if place not in self.memo:
            self.budget.charge(_OBJECT)
        if abs(place) > 1 << 32:
            raise ValueError("a place of the memo that no program counts to")
        self.memo[place] = self.stack[-1]

    @_opcode((b"h", "<B"), (b"j", "<I"))
    def get(self, layout: str) -> None:
        self.stack.append(self.memo[self.number(layout)])

    @_opcode((b"g",))
    def get_line(self) -> None:
        self.stack.append(self.memo[int(self.line())])

    # Containers

    @_opcode((b"\x85", 1), (b"\x86", 2), (b"\x87", 3))
    def short_tuple(self, count: int) -> None:
        self.budget.charge(_OBJECT)
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise IndexError("an empty stack")
        self.stack[-count:] = [items]

    @_opcode((b"t", tuple), (b"l", list))
    def sequence(self, kind: type) -> None:
        items = self.since_mark()
        self.budget.charge(_OBJECT + _ENTRY * len(items))
        self.stack.append(kind(items))

    @_opcode((b"\x91",))
    def frozen_set(self) -> None:
        items = self.since_mark()
        self.budget.charge(_KEYED * (1 + len(items)))
        self.stack.append(frozenset(map(_key, items)))

    @_opcode((b"d",))
    def dictionary(self) -> None:
        items = self.since_mark()
        self.budget.charge(_OBJECT)
        self.stack.append({})
        self.fill(items)

    @_opcode((b"a",))
    def append(self) -> None:
        self.extend([self.stack.pop()])

    @_opcode((b"e",), (b"\x90",))
    def appends(self) -> None:
        self.extend(self.since_mark())

    @_opcode((b"s",))
    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.fill([key, value])

    @_opcode((b"u",))
    def set_items(self) -> None:
        self.fill(self.since_mark())

    def extend(self, items: list[Any]) -> None:
        """Adds items to the list or set on the stack."""
        target = self.stack[-1]
        self.budget.charge((_KEYED if isinstance(target, set) else _ENTRY) * len(items))
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(map(_key, items))
        elif not isinstance(target, inert.Placeholder):  # a subclass of list keeps its name only
            raise TypeError(f"items for a {type(target).__name__}")

    def fill(self, items: list[Any]) -> None:
        """Adds keys and values to the dictionary on the stack."""
        target = self.stack[-1]
        if len(items) % 2:
            raise ValueError("a key without a value")
        if isinstance(target, inert.Placeholder):
            target = target.entries
        if not isinstance(target, dict):
            raise TypeError(f"items for a {type(target).__name__}")
        self.budget.charge(sum(_ENTRY_OF_TEXT if isinstance(key, str) else _KEYED for key in items[::2]))
        target.update((_key(key), value) for key, value in zip(items[::2], items[1::2], strict=True))

    # Names and calls

    @_opcode((b"c",))
    def name(self) -> None:
        module, name = self.line().decode(), self.line().decode()
        self.stack.append(inert.resolve(module, name, self.constructors))

    @_opcode((b"\x93",))
    def name_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError("a name that is not text")
        self.stack.append(inert.resolve(module, name, self.constructors))

    @_opcode((b"R",), (b"\x81",))
    def call_with_tuple(self) -> None:
        args, callee = self.stack.pop(), self.stack.pop()
        self.call(callee, args)

    @_opcode((b"\x92",))
    def call_with_keywords(self) -> None:
        _keywords, args, callee = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.call(callee, args)

    @_opcode((b"o",))
    def call_since_mark(self) -> None:
        callee, *args = self.since_mark()
        self.call(callee, tuple(args))

    @_opcode((b"i",))
    def call_named(self) -> None:
        args = tuple(self.since_mark())
        self.name()
        self.call(self.stack.pop(), args)

    def call(self, callee: object, args: object) -> None:
        """Puts the result of a call on the stack, within the limit of work."""
        if type(args) is not tuple:
            raise TypeError("a call without a tuple of arguments")
        self.budget.charge(_OBJECT + sum(map(_unfolded, args)))
        self.stack.append(inert.call(callee, args))

    @_opcode((b"b",))
    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        # Attributes that someone set on a dictionary or a tensor (`_metadata` of a state_dict) are left out.
        if hasattr(target, "build"):
            target.build(state)

    @_opcode((b"Q",))
    def persistent_object(self) -> None:
        self.persist(self.stack.pop())

    @_opcode((b"P",))
    def persistent_line(self) -> None:
        self.persist(self.line().decode())

    def persist(self, identity: object) -> None:
        """Puts the object of a persistent id on the stack."""
        if self.persistent is None:
            raise ConversionError("the pickle refers to data outside itself. Save it with torch.save or numpy.savez.")
        self.stack.append(self.persistent(identity))


def _key(key: Any) -> Any:
    """The key itself, if it is a scalar; else a key that is compared by identity.

    Hashing tuples of tuples that share their items takes exponential time, and numbers that collide quadratic time.
    Only text keys matter here.
    """
    if isinstance(key, _HASHED) or (type(key) is int and -_MOST_INTEGER < key < _MOST_INTEGER):
        return key
    return inert.Placeholder(type(key).__name__)


def _unfolded(argument: object) -> int:
    """Bytes of what a constructor may make of an argument."""
    if isinstance(argument, _TEXTS):
        return len(argument)
    return _KEYED * len(argument) if isinstance(argument, list | tuple | dict | set | frozenset) else 0


def _dictionary(items: Any = (), *_: object) -> dict[Any, Any]:
    pairs = items.items() if isinstance(items, dict) else items
    return {_key(key): value for key, value in pairs}


def _byte_array(content: Any = b"", encoding: str = "latin-1") -> bytearray:
    return bytearray(_encode(content, encoding))


def _encode(text: object, encoding: str = "utf-8") -> bytes:
    """The bytes of a text; protocol 2 writes raw bytes as text in latin-1."""
    if isinstance(text, bytes | bytearray):
        return bytes(text)
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise TypeError("an encoding that is not used for data")
    return text.encode(encoding)


def _reconstructor(kind: object, *_: object) -> Any:
    """An object of a plain class, as protocols 0 and 1 write it."""
    return inert.call(kind, ())


_CONTAINERS: inert.Constructors = {
    ("builtins", "list"): lambda items=(): list(items),
    ("builtins", "tuple"): lambda items=(): tuple(items),
    ("builtins", "set"): lambda items=(): set(map(_key, items)),
    ("builtins", "frozenset"): lambda items=(): frozenset(map(_key, items)),
    ("builtins", "dict"): _dictionary,
    ("builtins", "bytearray"): _byte_array,
    ("builtins", "complex"): lambda real=0.0, imaginary=0.0: complex(float(real), float(imaginary)),
    ("builtins", "slice"): lambda *_: inert.Placeholder("builtins.slice"),
    ("builtins", "range"): lambda *_: inert.Placeholder("builtins.range"),
    ("collections", "OrderedDict"): _dictionary,
    ("collections", "Counter"): _dictionary,
    ("collections", "defaultdict"): lambda factory=None, items=(): _dictionary(items),
    ("_codecs", "encode"): _encode,
    ("copyreg", "_reconstructor"): _reconstructor,
}
