"""Numbers that a program computes from the size of the image, found again: the simplest expression that gives them.

A program that was traced says the number at each traced size. Python computes it in double precision, so that an
expression that agrees at all of them, to the last digits, is the one. The comparison at other sizes is the proof.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.building.builder import Builder
from converters.building.graph import Sizes
from converters.building.operations.measures import Measures
from tfseg.layers.formulas import Formula

_LEAST = 3  # traced sizes that tell an expression
_DOUBLE, _SINGLE = 1e-13, 2e-7  # relative differences of numbers that were rounded in either precision
_MOST_AXES, _MOST_PAIRED = 24, 12
_STEPS = (2, 4, 8, 16, 32)
_POWERS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
_LARGEST_INTEGER = 10**6


class _Term(NamedTuple):
    """An expression of sizes.

    Attributes:
        formula: the expression.
        values: its value at each traced size.
    """

    formula: Formula
    values: np.ndarray


def formula(b: Builder, measures: Measures, value: Any) -> Formula:
    """The expression that a number is; the number itself where no size decides it.

    Args:
        b: the model under construction.
        measures: inputs of the layer that computes it.
        value: number, or its value at each traced size.
    Raises:
        RefusedStep: no simple expression of the network's sizes has these values.
    """
    if isinstance(value, int | float):
        return value
    values = np.array(value.values, "float64")
    sides = tuple(map(int, value.values))
    if isinstance(value, Sizes) and (measured := measures.search(sides)) is not None:
        return measured
    if len(set(values)) >= _LEAST and np.isfinite(values).all():
        for candidate in _candidates(measures, values, isinstance(value, Sizes)):
            return candidate
    words = "/".join(f"{number:.7g}" for number in value.values)
    raise b.refusal(
        f"computes with {words}, which the size of the image decides in a way that was not understood; for one size, "
        "give an image (example=), or export the file for it"
    )


def _candidates(measures: Measures, values: np.ndarray, whole: bool) -> Iterator[Formula]:
    """Expressions that have these values, the simplest ones first; of integers, those that are integers."""
    terms = list(_terms(measures))
    if whole:
        for term in terms:
            yield from _scaled(term, values, _DOUBLE, whole=True)
        return
    is_single = bool((values == values.astype("float32")).all())
    for near in (_DOUBLE, _SINGLE) if is_single else (_DOUBLE,):
        yield from _near(terms, values, near)


def _near(terms: Sequence[_Term], values: np.ndarray, near: float) -> Iterator[Formula]:
    positive = [term for term in terms if (term.values > 0).all()]
    curved = [_powered(term, power) for term, power in itertools.product(positive, _POWERS[1:])]
    curved += [_Term(["log", term.formula], np.log(term.values)) for term in positive if (term.values > 1).all()]
    for term in terms:
        yield from _scaled(term, values, near)
    for term in terms:
        yield from _shifted(term, values, near)
    for term in curved:
        yield from _scaled(term, values, near)
    yield from _products(positive, values, near)
    for term in curved:
        yield from _shifted(term, values, near)


def _terms(measures: Measures) -> Iterator[_Term]:
    """Whole numbers that sizes give: themselves, and what two of them give; many also plus and minus 1."""
    axes: dict[tuple[int, ...], _Axis] = {}
    for axis in measures.axes(few=True):
        axes.setdefault(axis.sizes, _Axis(measures, axis))
        for step in _STEPS:
            axes.setdefault(tuple(size // step for size in axis.sizes), _Axis(measures, axis, (1, 0, step)))
            axes.setdefault(tuple(-(-size // step) for size in axis.sizes), _Axis(measures, axis, (1, step - 1, step)))
    for axis in measures.axes():
        if axis.sizes not in axes or axes[axis.sizes].rest:
            axes[axis.sizes] = _Axis(measures, axis)
    known = sorted(axes.items(), key=lambda item: bool(item[1].rest))[:_MOST_AXES]
    sizes = [_Term(axis, np.array(sides, "float64")) for sides, axis in known]
    yield from _neighbors(sizes)
    pairs = list(itertools.combinations(sizes[:_MOST_PAIRED], 2))
    yield from _neighbors(_Term(["*", x.formula, y.formula], x.values * y.values) for x, y in pairs)
    for name, function in (("min", np.minimum), ("max", np.maximum)):
        extremes = [_Term([name, x.formula, y.formula], function(x.values, y.values)) for x, y in pairs]
        known_sides = {tuple(size.values) for size in sizes}
        yield from _neighbors(term for term in extremes if tuple(term.values) not in known_sides)
    yield from (_Term(["+", x.formula, y.formula], x.values + y.values) for x, y in pairs)
    for x, y in pairs:
        squares = [["*", size.formula, size.formula] for size in (x, y)]
        yield _Term(["+", *squares], x.values**2 + y.values**2)


class _Axis(list[Any]):
    """The size of an axis as a part of expressions, which becomes a measure when one of them is chosen."""

    def __init__(self, measures: Measures, axis: Any, rest: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.measures, self.axis, self.rest = measures, axis, rest


def _chosen(expression: Formula) -> Formula:
    """The expression with measures for axes."""
    if isinstance(expression, _Axis):
        return expression.measures.of(expression.axis, *expression.rest)
    return [_chosen(part) for part in expression] if isinstance(expression, list) else expression


def _neighbors(terms: Any) -> Iterator[_Term]:
    for term in terms:
        yield term
        yield _Term(["-", term.formula, 1], term.values - 1)
        yield _Term(["+", term.formula, 1], term.values + 1)


def _powered(term: _Term, power: float) -> _Term:
    if power == 1:
        return term
    return _Term(["/", 1, term.formula] if power == -1 else ["power", term.formula, power], term.values**power)


def _agree(values: np.ndarray, others: np.ndarray, near: float) -> bool:
    return bool((np.abs(values - others) <= near * np.abs(others)).all())


def _scaled(term: _Term, values: np.ndarray, near: float, whole: bool = False) -> Iterator[Formula]:
    """The term times a number."""
    factor = float(values[0] / term.values[0]) if term.values[0] else 0.0
    if not factor or not _agree(term.values * factor, values, near):
        return
    factor, divisor = (_simple(part, near * abs(part)) for part in (factor, 1 / factor))
    if isinstance(factor, int):
        yield _chosen(_times(term.formula, factor))
    elif whole:
        return
    elif not isinstance(divisor, int):
        yield _chosen(_times(term.formula, factor))
    else:
        yield _chosen(["/", term.formula, divisor])


def _times(expression: Formula, factor: float) -> Formula:
    if factor == 1:
        return expression
    if isinstance(expression, list) and expression[:2] == ["/", 1]:
        return ["/", factor, expression[2]]
    return ["*", expression, factor]


def _shifted(term: _Term, values: np.ndarray, near: float) -> Iterator[Formula]:
    """The term times a number, plus another one."""
    spread = np.ptp(term.values)
    if spread <= 1e-3 * np.abs(term.values).max():
        return
    low, high = int(term.values.argmin()), int(term.values.argmax())
    factor = float((values[high] - values[low]) / spread)
    if not factor:
        return
    factor = _simple(factor, near * abs(factor))
    rest = _simple(float(values[low] - factor * term.values[low]), near * float(np.abs(values).max()))
    close = near * max(float(np.abs(values).max()), abs(rest))
    if (np.abs(term.values * factor + rest - values) <= close).all():
        yield _chosen(["+", _times(term.formula, factor), rest])


def _products(terms: Sequence[_Term], values: np.ndarray, near: float) -> Iterator[Formula]:
    """A number times powers of two terms, of which the first is a size."""
    if not (values != 0).all() or len(set(np.sign(values))) > 1:
        return
    goal, logs = (np.log(np.abs(numbers)) for numbers in (values, np.array([term.values for term in terms])))
    goal, logs = goal - goal[0], logs - logs[:, :1]
    for index, term in enumerate(terms[: 3 * _MOST_AXES]):
        for first, second in itertools.product(_POWERS, _POWERS):
            rests = np.abs(first * logs[index] + second * logs - goal).max(-1)
            for other in np.flatnonzero(rests <= 8 * near).tolist():
                left, right = _powered(term, first), _powered(terms[other], second)
                joined = (
                    ["/", left.formula, terms[other].formula] if second == -1 else ["*", left.formula, right.formula]
                )
                yield from _scaled(_Term(joined, left.values * right.values), values, 8 * near)


def _simple(value: float, near: float) -> float:
    """The number, or the integer that it is."""
    if not math.isfinite(value) or abs(value) > _LARGEST_INTEGER:
        return value
    return round(value) if abs(value - round(value)) <= 4 * near else value
