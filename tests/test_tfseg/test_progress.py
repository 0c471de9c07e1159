"""What a long run says about itself, on a terminal and in a log file."""

import io

import pytest

from tfseg.progress import ProgressLine, as_progress, reported, reporting, track


class Stream(io.StringIO):
    """A stream that is a terminal, or a file."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: terminal


def written(counts, terminal, unit="images", **options):
    """What a `ProgressLine` writes that is called with each count; four seconds pass before each."""
    stream, seconds = Stream(terminal), iter(range(0, 1000, 4))
    line = ProgressLine(unit, stream=stream, seconds=10, clock=lambda: next(seconds), **options)
    for done, total in counts:
        line(done, total)
    return stream.getvalue()


def test_a_log_file_gets_a_line_every_few_seconds():
    assert written([(done, 7) for done in range(8)], terminal=False).splitlines() == [
        "3/7 images, 0.25/s, 0:00:16 left",
        "6/7 images, 0.25/s, 0:00:04 left",
        "7/7 images, 0.25/s, 0:00:00 left",
    ]


def test_a_log_file_has_no_bar():
    assert not set("#━█=\r\x1b") & set(written([(done, 7) for done in range(8)], terminal=False))


def test_a_terminal_gets_one_bar_that_redraws_itself():
    text = written([(done, 3) for done in range(4)], terminal=True)
    assert text.count("━" * 24) >= 2 or text.count("━") > 3 * 20
    assert "1/3 images, 0.25/s, 0:00:08 left" in text
    assert "3/3 images" in text
    assert text.count("\n") == 1  # of the end
    assert "\x1b[?25h" in text.rpartition("3/3")[2]  # the cursor is shown again


def test_a_short_run_leaves_no_line_in_a_log_where_that_is_wanted():
    assert written([(0, 2), (1, 2), (2, 2)], terminal=False, brief=True) == ""
    assert "4/4 images" in written([(done, 4) for done in range(5)], terminal=False, brief=True)
    assert "2/2 images" in written([(0, 2), (2, 2)], terminal=True, brief=True)


@pytest.mark.parametrize("terminal", [True, False])
def test_no_items_write_nothing(terminal):
    assert written([(0, 0)], terminal) == ""


def test_bytes_are_shown_as_megabytes():
    text = written([(0, 40_000_000), (10_000_000, 40_000_000)], True, "bytes")
    assert "10/40 MB, 2.5 MB/s, 0:00:12 left" in text


def test_an_unknown_total_has_neither_bar_nor_time_left():
    assert "10 MB, 2.5 MB/s" in written([(0, None), (10_000_000, None)], True, "bytes")


def test_a_second_run_starts_its_own_clock():
    last = written([(0, 1), (1, 1), (0, 2), (1, 2), (2, 2)], terminal=False).splitlines()[-1]
    assert last == "2/2 images, 0.25/s, 0:00:00 left"


def test_a_resumed_run_counts_its_speed_from_where_it_resumed():
    assert "6/8 steps, 0.25/s, 0:00:08 left" in written([(5, 8), (6, 8)], True, "steps")


def test_track_calls_a_function_with_every_count():
    counts = []
    assert list(track("abc", lambda *count: counts.append(count))) == ["a", "b", "c"]
    assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]
    counts.clear()
    assert list(track(iter("ab"), lambda *count: counts.append(count))) == ["a", "b"]
    assert counts == [(0, None), (1, None), (2, None)]


def test_track_ends_the_line_of_a_terminal_when_it_is_interrupted():
    stream, seconds = Stream(terminal=True), iter(range(9))
    items = track("abc", ProgressLine(stream=stream, clock=lambda: next(seconds)))
    next(items)
    next(items)
    items.close()
    assert "1/3 images" in stream.getvalue()
    assert "\n" in stream.getvalue().rpartition("left")[2]


@pytest.mark.parametrize("nothing", [False, None])
def test_false_and_none_show_nothing(nothing, capsys):
    assert list(track("abc", nothing)) == ["a", "b", "c"]
    as_progress(nothing)(1, 1)
    assert capsys.readouterr().err == ""


def test_true_shows_a_line_on_stderr(capsys):
    list(track("ab", True, unit="pairs"))
    assert "2/2 pairs, " in capsys.readouterr().err


@pytest.mark.parametrize("value", ["yes", 3.5, []])
def test_other_values_of_progress_are_refused(value):
    with pytest.raises(ValueError, match=r"progress is True, False, or a function"):
        as_progress(value)


def test_what_is_deep_inside_reports_to_who_asked(capsys):
    counts = []

    def deep():
        with reported("bytes") as report:
            report(5, 10)

    deep()
    with reporting(lambda *count: counts.append(count)):
        deep()
        with reporting(None):
            deep()
    deep()
    assert counts == [(5, 10)]
    assert capsys.readouterr().err == ""
