"""Imports torch before tensorflow, orders the files, and prints the measured parity at the end."""

import collections
import contextlib
import gc
import os

import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: more threads would wait for each other, busily
    for threads in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(threads, "1")

with contextlib.suppress(ImportError):
    import torch  # noqa: F401  (after tensorflow, its import can crash)
    import triton  # noqa: F401  (the same; only PyTorch's packages for CUDA have it)

# With `make test` a free worker takes the next file. With these first, no long file is left for the end.
FIRST = """test_train test_readme test_dilated_nets test_registry test_saved_nets test_backends test_dilate_random test_export
test_export_weights test_dilate test_dilate_applications test_save test_optimize test_train_command
test_convert_command test_stated_functions test_statements test_build_from_module test_docstrings""".split()
MEASURED = "relative difference from "


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in FIRST)
    _leave_variants_to_the_full_run(items)


def _leave_variants_to_the_full_run(items):
    """Marks the variants of a test as full that `make test` leaves out.

    `quick_variants("a", "b")` keeps these, `quick_variants(2)` the first two, `quick_variants(every=3)` each third.
    """
    seen = collections.Counter()
    for item in items:
        mark = item.get_closest_marker("quick_variants")
        if mark is None or item.get_closest_marker("full"):
            continue
        test = item.nodeid.partition("[")[0]
        number = seen[test]
        seen[test] += 1
        if every := mark.kwargs.get("every"):
            is_quick = number % every == 0
        elif isinstance(mark.args[0], str):
            is_quick = item.callspec.id in mark.args
        else:
            is_quick = number < mark.args[0]
        if not is_quick:
            item.add_marker("full")


def pytest_collection_finish():
    """Takes what was imported out of the garbage collector, which would search it after every few layers."""
    gc.freeze()


@pytest.fixture(autouse=True)
def trusted_files(request):
    """Files in HDF5 are read in this process: a child for each of hundreds takes minutes; `child_process` tests that."""
    if request.node.get_closest_marker("child_process"):
        yield
        return
    from converters.reading import limits

    with limits.allowing(trusted=True):
        yield


@pytest.fixture
def record(request, record_property):
    """`record(name, difference)`: the summary prints the largest difference of each name, under the module's `PUBLIC`."""
    return lambda name, difference: record_property(MEASURED + request.module.PUBLIC, (name, difference))


def pytest_terminal_summary(terminalreporter):
    worst = collections.defaultdict(dict)
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report in reports:
        for title, value in report.user_properties:
            if title.startswith(MEASURED):
                name, difference = value
                worst[title][name] = max(worst[title].get(name, 0.0), difference)
    for title, differences in worst.items():
        terminalreporter.section(f"Largest {title}, of any layer at any size")
        for name, difference in differences.items():
            terminalreporter.write_line(f"  {name:40} {difference:.1e}")
