"""How much work an expression of sizes can be: torch computes with it when it opens a file, and expands its products.

`2**2**2**2**2**2` is a number that fits no memory, and `(a + b)**60 * (c + d)**60` has 3,721 terms. So each part gets
bounds of the digits of its value, and of the terms that it has without brackets.
"""

import ast
import math
from typing import NamedTuple

_NAME_BITS = 64
_LARGEST_POWER = 64
_MOST_BITS, _MOST_TERMS, _MOST_DEPTH = 4096, 1000, 60
# The functions whose value is as large as their largest argument, or smaller, are all others.
_SUMS, _PRODUCTS = frozenset(("Add",)), frozenset(("Mul",))
_POWERS = frozenset("Pow PowByNatural FloatPow".split())
_DIVISIONS = frozenset("FloorDiv CleanDiv CeilDiv IntTrueDiv FloatTrueDiv Rational".split())
# sympy compares each pair of arguments of these: 24 take it a second.
_COMPARED = frozenset("Max Min max min Piecewise".split())
_MOST_COMPARED = 24
# Further arguments of these say how many digits a number gets.
_DIGITS = frozenset("RoundDecimal Float Integer".split())
_MOST_DIGITS = 64


class Cost(NamedTuple):
    """Bounds of an expression.

    Attributes:
        bits: length of its value.
        terms: number of terms without brackets; for a whole expression, with what comparisons cost.
    """

    bits: int
    terms: int


def cost_of(tree: ast.AST) -> Cost:
    """Bounds of an expression, whose nodes are known to be arithmetic.

    Args:
        tree: the parsed expression.
    Raises:
        OverflowError: an expression that is more work than any size of a network.
    """
    compared = sum(len(node.args) for node in ast.walk(tree) if isinstance(node, ast.Call) and _compares(node.func))
    cost = _cost(tree, 0)
    if cost.terms > _MOST_TERMS or compared > _MOST_COMPARED:
        raise OverflowError
    return cost._replace(terms=cost.terms + compared**3 // 8)


def _compares(function: ast.AST) -> bool:
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    return name in _COMPARED or name in ("sym_max", "sym_min")


def _cost(node: ast.AST, depth: int) -> Cost:
    if depth > _MOST_DEPTH:
        raise OverflowError
    if isinstance(node, ast.Constant):
        return Cost(_constant_bits(node.value), 1)
    if isinstance(node, ast.Name):
        return Cost(_NAME_BITS, 1)
    if isinstance(node, ast.BinOp):
        cost = _of_operator(node, depth)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        cost = _of_function(node, node.func.id, depth)
    else:
        parts = [_cost(part, depth + 1) for part in ast.iter_child_nodes(node)]
        terms = sum(part.terms for part in parts) if isinstance(node, ast.Compare) else _largest(parts).terms
        cost = Cost(_largest(parts).bits, terms)
    if cost.bits > _MOST_BITS or cost.terms > _MOST_TERMS:
        raise OverflowError
    return cost


def _of_operator(node: ast.BinOp, depth: int) -> Cost:
    if any(_is_sequence(side) for side in (node.left, node.right)):  # (1,) * 10**9
        raise OverflowError
    if isinstance(node.op, ast.Pow):
        return _power(node.left, node.right, depth)
    left, right = _cost(node.left, depth + 1), _cost(node.right, depth + 1)
    if isinstance(node.op, ast.Add | ast.Sub):
        return _sum([left, right])
    if isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv | ast.Mod):
        return _product([left, right])
    if isinstance(node.op, ast.BitAnd | ast.BitOr):
        return _sum([left, right])
    raise OverflowError


def _of_function(node: ast.Call, name: str, depth: int) -> Cost:
    if name in _POWERS and len(node.args) == 2:
        return _power(node.args[0], node.args[1], depth)
    if name in _DIGITS and not all(map(_is_small, [*node.args[1:], *(word.value for word in node.keywords)])):
        raise OverflowError
    parts = [_cost(part, depth + 1) for part in (*node.args, *(word.value for word in node.keywords))]
    if name in _SUMS:
        return _sum(parts)
    if name in _PRODUCTS | _DIVISIONS:
        return _product(parts)
    return _largest(parts)


def _power(base: ast.AST, exponent: ast.AST, depth: int) -> Cost:
    """The base is multiplied with itself, as often as the exponent, a number, says."""
    times = _number(exponent)
    if times is None or not abs(times) <= _LARGEST_POWER:
        raise OverflowError
    cost, times = _cost(base, depth + 1), math.ceil(abs(times))
    # A sum of n terms to the power of k has at most C(n + k - 1, k).
    return Cost(cost.bits * max(times, 1), math.comb(cost.terms + times - 1, times))


def _number(node: ast.AST) -> float | None:
    """The number that an exponent is; None for what is computed."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _number(node.operand)
        return None if number is None else -number
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        try:
            return float(node.value)
        except ValueError:  # a name
            return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        first = _number(node.args[0])
        if node.func.id in ("Integer", "Float"):
            return first
        second = _number(node.args[1]) if node.func.id == "Rational" and len(node.args) == 2 else None
        return first / second if first is not None and second else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):  # 1/2
        first, second = _number(node.left), _number(node.right)
        return first / second if first is not None and second else None
    return None


def _constant_bits(value: object) -> int:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:  # a name
            return _NAME_BITS
    if isinstance(value, float):
        return _MOST_BITS + 1 if math.isinf(value) else max(_NAME_BITS, math.frexp(value)[1], -math.frexp(value)[1])
    return value.bit_length() if isinstance(value, int) else 1


def _is_small(node: ast.AST) -> bool:
    number = _number(node)
    return number is not None and abs(number) <= _MOST_DIGITS


def _is_sequence(node: ast.AST) -> bool:
    return isinstance(node, ast.Tuple) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _largest(parts: list[Cost]) -> Cost:
    return Cost(max((part.bits for part in parts), default=1), max((part.terms for part in parts), default=1))


def _sum(parts: list[Cost]) -> Cost:
    return Cost(_largest(parts).bits + len(parts), sum(part.terms for part in parts))


def _product(parts: list[Cost]) -> Cost:
    return Cost(sum(part.bits for part in parts), math.prod(part.terms for part in parts))
