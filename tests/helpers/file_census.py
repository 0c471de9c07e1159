"""Writes the page of public files: what opens from the file alone, how exactly, and which door opens the others.

    PYTHONPATH=tests python -m helpers.file_census docs/public_files.md [PATTERN ...]

Each file is written with random weights, and `converters.convert(path)` opens it. Where it is refused, the door that the
refusal names is opened and compared. Without patterns, all are tried, which takes about twenty minutes. With patterns
such as "smp/.*", only those are; the other rows of the page stay. The page is written again after each file. A file that
opens as another function gets no row, and ends the command with exit code 1.
"""

import gc
import pathlib
import re
import sys
import tempfile
import warnings
from typing import Any

import keras
from helpers.file_differences import first_output, worst_difference
from helpers.file_doors import door_of
from helpers.file_forms import PublicFile
from helpers.file_page import FileRow, read_page, refused_as, write_page
from helpers.framework_files import FrameworkFile
from helpers.public_files import FILES
from helpers.references import images, relative

import converters
from converters import ConversionError

_TOLERANCE = 1e-5


def measured(file: PublicFile | FrameworkFile) -> FileRow:
    """The row of a file: opened exactly, or refused.

    Args:
        file: row of the census.
    Raises: AssertionError if it opens as another function, or if its refusal names no door or one that does not open.
    """
    return _of_another_framework(file) if isinstance(file, FrameworkFile) else _of_torch(file)


def _of_torch(file: PublicFile) -> FileRow:
    module, content = file.make()
    with tempfile.TemporaryDirectory() as folder:
        path = file.save(module, content, pathlib.Path(folder))
        del content
        try:
            model, receipt = converters.convert(path, **file.options)
        except ConversionError as error:
            return _refused(file, error, module, path, pathlib.Path(folder))
    worst = worst_difference(file, model, module)
    _check(file, worst)
    return FileRow(f"{receipt.family}: {receipt.network}", f"{worst:.1e}")


def _refused(file: Any, error: ConversionError, module: Any, path: Any, folder: pathlib.Path) -> FileRow:
    """The row of a file that is refused; the door that its refusal names is tried."""
    door, difference = door_of(str(error)), ""
    if door.opens:
        worst = door.opens(file, module, path, folder)
        _check(file, worst)
        difference = f"{worst:.1e}"
    return FileRow("", difference, refused_as(str(error)), door.name)


def _of_another_framework(file: FrameworkFile) -> FileRow:
    opened, worst = "", 0.0
    for size in file.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path, compute = file.write(pathlib.Path(folder), size)
            try:
                model, receipt = converters.convert(path)
            except ConversionError as error:
                return _refused(file, error, None, path, pathlib.Path(folder))
            opened = f"{receipt.family}: {receipt.network}"
            pixels = images(*size)
            worst = max(worst, relative(keras.ops.convert_to_numpy(first_output(model(pixels))), compute(pixels)))
    _check(file, worst)
    return FileRow(opened, f"{worst:.1e}")


def _check(file: PublicFile | FrameworkFile, worst: float) -> None:
    assert worst <= _TOLERANCE, f"{file.package}/{file.name} is wrong: {worst:.2g}"


def main(page: str, *patterns: str) -> None:
    """Tries the files whose "package/name" matches a pattern, and writes the page after each.

    Args:
        page: path of the page.
        patterns: regular expressions; all files if there are none.
    """
    warnings.simplefilter("ignore")  # the packages' own
    path, failures = pathlib.Path(page), []
    for file in FILES:
        label = f"{file.package}/{file.name}"
        if patterns and not any(re.fullmatch(pattern, label) for pattern in patterns):
            continue
        try:
            row = measured(file)
        except Exception as error:  # a wrong file, or a package that cannot build it
            failures.append(label)
            print(f"{label}: {type(error).__name__}: {error}", flush=True)
            continue
        write_page(path, read_page(path) | {(file.package, file.name): row})
        print(f"{label}: {row.opened or row.refusal} {row.difference}", flush=True)
        keras.backend.clear_session()
        gc.collect()
    if failures:
        raise SystemExit(f"{len(failures)} files have no row: {', '.join(failures)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
