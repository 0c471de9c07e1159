"""How many requests share a run."""

from tfseg.serving.pace import Pace


def _serve(pace, seconds, runs, waiting=100, kind="kind"):
    """The numbers that are chosen where a run of `number` requests takes `seconds(number)`."""
    numbers = []
    for _ in range(runs):
        number = pace.number(kind, waiting)
        numbers.append(number)
        pace.note(kind, number, images=number, seconds=seconds(number))
    return numbers


def test_larger_runs_are_kept_where_they_gain():
    numbers = _serve(Pace(12), lambda number: 1 + number, 100)
    assert set(numbers) == {1, 2, 4, 8, 12}
    assert set(numbers[20:]) == {12}


def test_larger_runs_are_given_up_where_they_lose():
    numbers = _serve(Pace(8), lambda number: number**1.1, 100)
    assert set(numbers[6:]) == {1}
    assert 4 not in numbers


def test_the_best_number_lies_between():
    numbers = _serve(Pace(8), lambda number: 1 + number if number <= 2 else number * 3, 100)
    assert set(numbers[9:]) == {2}
    assert 8 not in numbers


def test_a_first_run_that_prepares_does_not_decide():
    times = iter([9.0, 1.0, 1.0, 9.0, 1.0, 1.0, 9.0, 1.0, 1.0])
    assert set(_serve(Pace(4), lambda number: next(times, 1.0), 30)[9:]) == {4}


def test_no_more_share_a_run_than_wait_or_may():
    pace = Pace(8)
    assert set(_serve(pace, lambda number: 1, 50, waiting=3)) == {1, 2}
    assert set(_serve(pace, lambda number: 1, 50, waiting=5)) == {4}
    assert set(_serve(Pace(1), lambda number: 1, 9)) == {1}


def test_kinds_are_known_apart_and_not_for_ever():
    pace = Pace(2)
    _serve(pace, lambda number: 1, 9)
    assert (pace.number("kind", 9), pace.number("other", 9)) == (2, 1)
    for kind in range(100):
        _serve(pace, lambda number: 1, 3, kind=kind)
    assert pace.number("kind", 9) == 1
