"""Files of `torch.export.save`: recognized, and checked before torch reads them, because torch would run code in them.

torch evaluates the sizes and guards that stand in the file as text, calls operations by name and unpickles what is
marked as pickled. Only what torch itself writes for a network of tensors passes.

Reference: https://docs.pytorch.org/docs/stable/export.html#serialization
"""

import ast
import os
import re
from collections.abc import Iterator
from typing import Any

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.files import map_file, naming
from converters.reading.pytorch.expression_cost import cost_of
from converters.reading.zip_archive import Archive
from converters.types import Path

_MARKS = re.compile(r"([^/]+/)?(archive_format|serialized_exported_program\.json|models/\w+\.json)")
_COMPILED = re.compile(r"(.*/)?aotinductor/.*")
_JSON = re.compile(r"(.*/)?(models/[^/]+\.json|serialized_exported_program\.json)")
_CONFIG = re.compile(r"(.*/)?data/(weights|constants)/[^/]+_config\.json")
_TEXT = re.compile(f"({_JSON.pattern}|{_CONFIG.pattern})")
_PICKLED = re.compile(r".*\.pt")
_TARGETS = re.compile(r"torch\.ops\.(aten|prims|higher_order)\.\w+(\.\w+)?|_operator\.\w+|torch\.sym_\w+|math\.\w+")
_OPERATORS = frozenset(
    "getitem add sub mul floordiv truediv mod neg pow eq ne lt le gt ge and_ or_ xor not_ pos abs index".split()
)
_FUNCTIONS = frozenset(
    "Mod PythonMod FloorDiv CleanDiv CeilDiv CeilToInt FloorToInt IntTrueDiv FloatTrueDiv ToFloat Max Min Abs max min "
    "abs int float len Eq Ne Lt Le Gt Ge And Or Not Piecewise floor ceiling PowByNatural Pow Where Identity "
    "TruncToInt RoundToInt Symbol Integer Float Rational Add Mul Equality Unequality GreaterThan LessThan FloatPow "
    "TruncToFloat RoundDecimal OpaqueUnaryFn_sqrt OpaqueUnaryFn_log StrictGreaterThan StrictLessThan".split()
)
_MATH = frozenset("sqrt log log2 log10 exp ceil floor trunc pow sin cos tan tanh atan sinh cosh asin acos fabs".split())
_ATTRIBUTES = frozenset("size stride storage_offset dim shape".split())
_QUALIFIED = frozenset(
    "math.trunc math.ceil math.floor math.sqrt torch.sym_float torch.sym_int torch.sym_max torch.sym_min".split()
)
_NODES = (
    ast.Expression,
    ast.Compare,
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.Call,
    ast.Subscript,
    ast.Constant,
    ast.Attribute,
    ast.Name,
    ast.Tuple,
    ast.keyword,
    ast.expr_context,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
)
_TEXTS = re.compile(r"[A-Za-z]\w{0,80}|-?\d{1,40}(\.\d{1,40})?(e[-+]?\d{1,3})?")
_LENGTH = 2000  # characters of an expression
_MOST_EXPRESSIONS_TERMS = 200_000  # of all expressions of a file; torch expands about 100,000 a second


def is_exported_program(path: Path) -> bool:
    """Whether a path is a file of `torch.export.save`, whatever its suffix.

    Args:
        path: any path.
    """
    if not os.path.isfile(path):
        return False
    try:
        names = Archive(path, map_file(path)).names
    except (ConversionError, OSError):  # who reads it says what is wrong
        return False
    return any(map(_MARKS.fullmatch, names)) and not any(map(_COMPILED.fullmatch, names))


def check_exported_program(path: Path) -> Iterator[bytes]:
    """Refuses a file in which torch would run code. Gives the pickles in it, for torch's safe reader to check.

    Args:
        path: file that `is_exported_program` knows.
    Raises:
        ConversionError: naming what torch does not write for networks; a damaged file.
    """
    with naming(os.path.basename(path)):
        data = map_file(path)
        try:
            with limits.budget(len(data)):
                archive = Archive(path, data)
                texts = {name: archive.member(name).data().tobytes() for name in archive.names if _TEXT.fullmatch(name)}
                programs = [limits.parse_json(text) for name, text in texts.items() if _JSON.fullmatch(name)]
                configs = [limits.parse_json(text) for name, text in texts.items() if _CONFIG.fullmatch(name)]
                for program in programs:
                    _check_program(program)
                for config in configs:
                    _check_payload(config)
                pickles = [archive.member(name) for name in archive.names if _PICKLED.fullmatch(name)]
            for pickle in pickles:
                yield pickle.data().tobytes()
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            if isinstance(error, ConversionError):
                raise
            raise ConversionError(
                f"is a damaged file of torch.export. Export or download it again. Received: {str(error)[:200]}"
            ) from error


def _check_payload(config: Any) -> None:
    for key, entry in (config.get("config") or {}).items():
        plain = isinstance(entry, dict) and str(entry.get("path_name", "")).startswith(("weight_", "tensor_"))
        if not plain or entry.get("use_pickle"):
            raise ConversionError(
                f"keeps {key} as an object that only running code can open (a quantized or sparse tensor, or a "
                "class of its own). Expected plain tensors. Export the network in float32 without such objects."
            )


def _check_program(program: Any) -> None:
    terms = 0
    for key, value in _entries(program):
        if key == "target" and isinstance(value, str) and value and not _is_known_target(value):
            raise ConversionError(
                f"calls {value[:80]!r}. Expected operations of torch itself (torch.ops.aten): a Keras model has no "
                "counterpart for others, and they are not run here."
            )
        texts = [value] if key == "expr_str" else value or () if key == "guards_code" else ()
        for text in texts:
            terms += _checked_terms(text)
            if terms > _MOST_EXPRESSIONS_TERMS:
                raise _not_arithmetic(text)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _is_known_target(target: str) -> bool:
    if not _TARGETS.fullmatch(target):
        # Beside targets of calls, names of weights have this key: no dots that lead into packages of Python.
        return re.match(r"torch\b|_operator\b|math\b|#", target) is None
    package, _, name = target.rpartition(".")
    known = {"_operator": _OPERATORS, "math": _MATH}  # math.factorial may run for ever
    return package not in known or name in known[package]


def _checked_terms(text: Any) -> int:
    """The number of terms of a size or a guard; refuses one that is more than arithmetic with sizes."""
    try:
        if not isinstance(text, str) or len(text) > _LENGTH:
            raise SyntaxError
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        raise _not_arithmetic(text) from None
    for node in ast.walk(tree):
        known = isinstance(node, _NODES)
        if isinstance(node, ast.Attribute):
            known = node.attr in _ATTRIBUTES or ast.unparse(node) in _QUALIFIED
        elif isinstance(node, ast.Call):
            plain = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
            known = plain or isinstance(node.func, ast.Attribute)
        elif isinstance(node, ast.Name):
            known = not node.id.startswith("__")
        elif isinstance(node, ast.Constant):
            # sympy evaluates texts, too: a name or a number is all that one may be.
            known = isinstance(node.value, int | float | bool | None) or _TEXTS.fullmatch(str(node.value)) is not None
        if not known:
            raise _not_arithmetic(text)
    try:
        return cost_of(tree).terms
    except (OverflowError, RecursionError):
        raise _not_arithmetic(text) from None


def _not_arithmetic(text: Any) -> ConversionError:
    return ConversionError(
        "has a size or a guard that is more than arithmetic with sizes, which torch would run as code. Export the "
        f"network again with torch.export.save. Received: {str(text)[:120]!r}"
    )
