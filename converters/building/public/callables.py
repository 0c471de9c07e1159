"""What a user writes to say which code builds a network: `torchvision.models:resnet18(num_classes=5)`.

The arguments are plain values as Python writes them. They are read, and never run. The module is imported, which runs
its code: the user names it.
"""

import ast
import contextlib
import difflib
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.families.pytorch.public_torchvision import import_torchvision

_EXAMPLE = "\"timm:create_model('resnet18', num_classes=5)\""
FORM = f"module:callable, perhaps with arguments in parentheses: torchvision.models:resnet18, or {_EXAMPLE}"

_NAME = re.compile(r"\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*:\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*(\(.*\))?\s*", re.S)
# Arguments that make a callable download weights, where the file has them; and what says no to it.
_DOWNLOADS: dict[str, Any] = {
    "weights": None,
    "weights_backbone": None,
    "encoder_weights": None,
    "pretrained": False,
    "pretrained_backbone": False,
}


class PublicCallable(NamedTuple):
    """Code that builds a network.

    Attributes:
        text: what the user wrote, or the callable's own name.
        function: the callable.
        args: its positional arguments.
        kwargs: its keyword arguments.
        added: those among them that keep it from downloading weights.
    """

    text: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    added: Mapping[str, Any] = {}

    def build(self) -> Any:
        """The torch module that the callable makes.

        Raises:
            ConversionError: it raises, or makes something else.
        """
        import torch

        try:
            made = self.function(*self.args, **self.kwargs, **self.added)
        except Exception as error:  # whatever the code raises
            raise ConversionError(
                f"public={self.text!r} cannot be called: {type(error).__name__}: {_first_line(error)}. "
                f"{self._advice(error)}"
            ) from error
        if not isinstance(made, torch.nn.Module):
            kind = type(made).__name__
            inside = " A function that makes one is needed: write one that returns the network of it alone."
            raise ConversionError(
                f"public={self.text!r} makes no torch module. Expected a torch.nn.Module. Received: {kind}."
                + (inside if isinstance(made, list | tuple | dict) else "")
            )
        return made

    def with_arguments(self, **changes: Any) -> str:
        """The text that calls it with other keyword arguments.

        Args:
            **changes: arguments that are added or changed.
        """
        given = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in {**self.kwargs, **changes}.items())]
        return f"{self.text.partition('(')[0].strip()}({', '.join(given)})"

    def arguments(self) -> list[str]:
        """The names of its arguments."""
        try:
            return list(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):  # a callable of C
            return []

    def package(self) -> str:
        """The package that it is from, with its version where there is one."""
        name = (getattr(self.function, "__module__", None) or "").partition(".")[0]
        return with_version(name) if name else "its package"

    def _advice(self, error: Exception) -> str:
        try:
            inspect.signature(self.function).bind(*self.args, **self.kwargs, **self.added)
        except TypeError:
            return f"Its arguments are {self._signature()}. Give them in parentheses, as in {_EXAMPLE}."
        except ValueError:
            pass
        return f"Call it in Python to see where it fails. It is of {self.package()}."

    def _signature(self) -> str:
        try:
            return str(inspect.signature(self.function))[:200]
        except (TypeError, ValueError):
            return "unknown"


def find_callable(public: Any) -> PublicCallable:
    """The code that a user names.

    Args:
        public: text of the form `FORM`; or a callable without arguments, such as a class or `functools.partial`.
    Raises:
        ConversionError: a text of another form; a module that cannot be imported; a name that it lacks, or that is no
            callable.
    """
    import torch

    with contextlib.suppress(ImportError):
        import_torchvision()  # which most packages of networks import
    if isinstance(public, torch.nn.Module):
        raise ConversionError(
            f"public= takes what builds a network, and not a network: a callable, or text: {FORM}. Received: a "
            f"{type(public).__name__}. Load the weights into it, and convert it: converters.convert(module)."
        )
    if callable(public):
        name = f"{getattr(public, '__module__', '')}:{getattr(public, '__qualname__', type(public).__name__)}"
        return PublicCallable(name, public, added=_without_downloads(public, (), {}))
    match = _NAME.fullmatch(public) if isinstance(public, str) else None
    if match is None:
        raise ConversionError(f"public= expects {FORM}. Received: {public!r}")
    module, attribute, call = match.groups()
    args, kwargs = _arguments(public, call) if call else ((), {})
    function = _attribute(public, _imported(public, module), module, attribute)
    return PublicCallable(public, function, args, kwargs, _without_downloads(function, args, kwargs))


def with_version(package: str) -> str:
    """A package with its version, where it has one: "timm 1.0.31".

    Args:
        package: name of a module that is installed.
    """
    for name in importlib.metadata.packages_distributions().get(package, [package])[:1]:
        try:
            return f"{package} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            break
    return package


def _imported(public: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if not module.startswith(missing):
            why, advice = f"it needs {missing}, which is not installed", "Install the package that has it"
        elif missing == module.partition(".")[0]:
            why = f"there is no module {missing}"
            advice = f"Check its spelling, install the package that has it, or start Python where {missing}.py lies"
        else:
            root = with_version(module.partition(".")[0])
            why, advice = f"{root} has no module {missing}", "Another version of it may have it"
        raise ConversionError(f"public={public!r}: {why}. {advice}. Expected: {FORM}.") from error
    except Exception as error:  # the module's own code
        raise ConversionError(
            f"public={public!r}: importing {module} fails: {type(error).__name__}: {_first_line(error)}. Import it in "
            "Python to see where."
        ) from error


def _attribute(public: str, module: Any, name: str, attribute: str) -> Callable[..., Any]:
    value = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            near = _near(part, value)
            version = with_version(name.partition(".")[0])
            raise ConversionError(
                f"public={public!r}: {name} has no {attribute} ({version} is installed).{near} Expected: {FORM}."
            )
        value = getattr(value, part)
    if not callable(value):
        raise ConversionError(
            f"public={public!r} is no callable. Expected a function or a class that makes a torch module. Received: "
            f"{type(value).__name__}.{_near('', value)}"
        )
    return value


def _near(name: str, owner: Any) -> str:
    names = [text for text in dir(owner) if callable(getattr(owner, text, None)) and not text.startswith("_")]
    near = difflib.get_close_matches(name, names, 3, 0.5) if name else names[:3]
    return f" It has {', '.join(near)}." if near else ""


def _arguments(public: str, call: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The plain values in `(1, 'a', key=None)`."""
    try:
        node = ast.parse(f"f{call}", mode="eval").body
        if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("one pair of parentheses with arguments is expected")
        args = tuple(ast.literal_eval(argument) for argument in node.args)
        return args, {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ConversionError(
            f"public={public!r}: its arguments must be plain values as Python writes them: numbers, 'texts', None, "
            f"True, False, lists, tuples and dictionaries. {_first_line(error)}. In Python, give a callable instead: "
            "public=functools.partial(...)."
        ) from error


def _without_downloads(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that keep a callable from downloading weights, where it would by default."""
    try:
        parameters = inspect.signature(function).parameters
        given = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {}
    return {
        name: value
        for name, value in _DOWNLOADS.items()
        if name in parameters and name not in given and parameters[name].default not in (value, inspect.Parameter.empty)
    }


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300].rstrip(".")
