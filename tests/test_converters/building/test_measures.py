"""Sizes that depend on the image: what the traced sizes do not tell apart is no measure."""

import types

import pytest

from converters.building.laid import Laid
from converters.building.operations.measures import Measures

ODD = (97, 129, 161, 205)  # the traces of a map whose sides are always odd there
MIXED = (97, 128, 161, 206)


def searched(sizes, rule):
    """What the search finds for a size that is this function of a map's rows."""
    shapes = tuple((number, 3, size, 7 * number) for number, size in enumerate(sizes, 2))
    laid = Laid(object(), (0, 2, 3, 1), shapes)
    measures = Measures(types.SimpleNamespace(values={"image": laid}), laid)
    return measures.search(tuple(map(rule, sizes)))


@pytest.mark.parametrize("sizes", [ODD, MIXED])
@pytest.mark.parametrize(
    ("rule", "measure"),
    [
        pytest.param(lambda n: n // 2, [0, 1, 1, 0, 2], id="half, rounded down"),
        pytest.param(lambda n: -(-n // 2), [0, 1, 1, 1, 2], id="half, rounded up"),
        pytest.param(lambda n: 2 * n, [0, 1, 2], id="twice"),
        pytest.param(lambda n: 5, 5, id="a number"),
        pytest.param(lambda n: n, [0, 1], id="the size"),
    ],
)
def test_sizes_are_measures_of_an_axis(sizes, rule, measure):
    assert searched(sizes, rule) == measure


@pytest.mark.parametrize(
    ("rule", "measure"),
    [
        pytest.param(lambda n: n // 2 * 2, [0, 1, 1, 0, 2, 0, 2], id="even, rounded down"),
        pytest.param(lambda n: -(-n // 2) * 2, [0, 1, 1, 1, 2, 0, 2], id="even, rounded up"),
    ],
)
def test_a_multiple_is_a_measure_only_where_the_traces_tell_it_from_a_difference(rule, measure):
    """For odd sizes, the even number below may be one less: a size that is even would tell."""
    assert searched(MIXED, rule) == measure
    assert searched(ODD, rule) is None
