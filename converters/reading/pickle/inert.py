"""What a pickle names: a short list of constructors, and inert stand-ins for everything else.

A pickle is a program that imports names and calls them. Here no name is ever imported. A name on the reader's list of
constructors builds data; a class off the list (`argparse.Namespace`) builds a `Placeholder`, so that the tensors beside
it can still be read; a function off the list has no place in a checkpoint, so the file is refused and the name given.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from converters.errors import ConversionError

Constructors = Mapping[tuple[str, str], Callable[..., Any]]
"""(module, name) in a pickle -> the function that builds data from the arguments there."""

# Attacks name these, checkpoints never do: they are refused even when nothing calls them.
_DANGEROUS = re.compile(
    r"""(os|posix|posixpath|nt|ntpath|sys|subprocess|commands|pty|signal|asyncio|concurrent  # processes
    |shutil|tempfile|socket|socketserver|urllib|urllib2|http|httplib|ftplib|smtplib|telnetlib|xmlrpc|requests|webbrowser
    |runpy|importlib|imp|zipimport|pkgutil|code|codeop|ctypes|_ctypes|cffi|fcntl|mmap|gc|inspect  # code and memory
    |pickle|cPickle|_pickle|dill|cloudpickle|marshal|shelve  # pickles in pickles
    |operator|_operator  # calls by another name
    |pdb|bdb|pydoc|doctest|timeit|profile|cProfile|trace|pip|ensurepip|venv|idlelib|lib2to3|distutils|setuptools
    )(\..*)?""",
    re.VERBOSE | re.DOTALL,
)
# Classes despite their small letters, common beside tensors.
_SMALL_CLASSES = frozenset(
    ("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone", "tzinfo")
) | {("collections", "deque"), ("functools", "partial"), ("builtins", "object")}
# Harmless to mention (a config that stores `float`), though not to call.
_MENTIONED = frozenset(("builtins", name) for name in ("bool", "bytes", "float", "int", "str", "type"))
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class Name:
    """A name that stands in a pickle and means nothing here.

    Args:
        module: name of a module.
        name: name within the module, with dots for one inside a class.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    def is_class(self) -> bool:
        """Whether the name is spelled as classes are."""
        last = self.name.rpartition(".")[2].lstrip("_")
        return last[:1].isupper() or (self.module, self.name) in _SMALL_CLASSES


class Placeholder:
    """An object of a foreign class: the name of the class, and the attributes the file gave it. Nothing else.

    Args:
        origin: full name of the class.
    """

    __slots__ = ("entries", "origin", "state")

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.state: dict[Any, Any] = {}
        self.entries: dict[Any, Any] = {}  # of a class that is a dictionary, such as a config's

    def build(self, state: object) -> None:
        """Takes the attributes.

        Args:
            state: attributes by name, or a pair of these and the values of __slots__, which are dropped.
        """
        if isinstance(state, tuple) and len(state) == 2:
            state = state[0]
        if isinstance(state, dict):
            self.state = state


class Constructor:
    """A name from which the reader can make data.

    Args:
        function: function that builds data from the arguments in the file.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


def resolve(module: str, name: str, constructors: Constructors) -> Constructor | Name:
    """What the pickle gets for `module.name`, which is never the object of that name.

    Args:
        module, name: the two parts of the name.
        constructors: names that build data.
    Raises: ConversionError for a name that no checkpoint has.
    """
    module = _PYTHON_2.get(module, module)
    function = constructors.get((module, name))
    if function is not None:
        return Constructor(function)
    unknown = Name(module, name)
    mentioned = unknown.is_class() or (module, name) in _MENTIONED
    if _DANGEROUS.fullmatch(module) or (module == "builtins" and not mentioned):
        raise ConversionError(_refusal(unknown))
    return unknown


def call(callee: object, args: tuple[Any, ...]) -> Any:
    """What the pickle gets for `callee(*args)`: data, or a `Placeholder` for an object of a foreign class.

    Args:
        callee: result of `resolve`, or what else the pickle calls.
        args: arguments in the pickle.
    Raises: ConversionError for a function that is not on the list of constructors.
    """
    if isinstance(callee, Constructor):
        return callee.function(*args)
    if not isinstance(callee, Name):
        raise ConversionError(f"the pickle calls a {type(callee).__name__}; the file is damaged or hostile.")
    if not callee.is_class():
        raise ConversionError(_refusal(callee))
    return Placeholder(str(callee))


def _refusal(name: Name) -> str:
    return (
        f"the pickle tries to run {ascii(str(name)[:200])[1:-1]}: refused, nothing was run. Expected tensors, arrays, "
        "plain containers and objects beside them. Received: a call that would run code when the file is loaded. Get "
        "the file from its publisher; if you wrote it yourself, save model.state_dict() alone."
    )
