"""What goes wrong while a file is written becomes a `ConversionError`."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from helpers.paths import ROOT

from converters.errors import ConversionError
from converters.writing.files import atomic, check_target, conversion_errors
from tfseg.exporting.safetensors import write_safetensors


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path):
    with conversion_errors(path):
        write_safetensors(path, {"w": np.ones(1)})


def test_unusable_target_is_a_conversion_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path / "missing" / "x", "missing does not exist. Create it first"),
        (tmp_path / "file" / "x", "file does not exist"),
        (pathlib.Path(".."), "expected the name of a file"),
        (tmp_path / "file", r"file: exists already.*--overwrite \(overwrite=True\)"),
    ):
        for attempt in (write, check_target):
            with pytest.raises(ConversionError, match=message):
                attempt(path)
        with pytest.raises(ConversionError, match=message), atomic(path):
            pytest.fail("the body must not begin")
    assert names(tmp_path) == ["file"]


def test_error_of_the_system_is_a_conversion_error(tmp_path):
    with pytest.raises(ConversionError, match=r"cannot be written. Received: File name too long"):
        write(tmp_path / ("x" * 256))
    with pytest.raises(ConversionError, match=r"x: cannot be written. Received: No such file"), atomic(tmp_path / "x"):
        pass  # a body that writes nothing
    assert names(tmp_path) == []


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "x") as partial:
        partial.write_text(str(1 / 0))
    assert names(tmp_path) == []


@pytest.mark.full
def test_full_disk_leaves_the_old_file(tmp_path):
    """A real limit of the system in a process of its own: writing beyond it fails halfway, as on a full disk."""
    script = """
import resource, signal, sys, numpy
from converters.writing.files import conversion_errors
from tfseg.exporting.safetensors import write_safetensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with conversion_errors(sys.argv[1]):
        write_safetensors(sys.argv[1], {"w": numpy.ones(1_000_000)}, overwrite=True)
except ValueError as error:
    print(type(error).__name__, error)
"""
    (tmp_path / "x").write_text("old")
    run = [sys.executable, "-c", script, tmp_path / "x"]
    result = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "ConversionError" in result.stdout
    assert "x: cannot be written. Received: File too large. What was there before is unchanged." in result.stdout
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]
