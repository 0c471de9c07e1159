"""Writes the page of public files: what opens from the file alone, how exactly, and which door opens the others.

    PYTHONPATH=tests python -m helpers.file_census docs/public_files.md [PATTERN ...]

Each file is written with random weights, and `converters.convert(path)` opens it. Without patterns, all are tried, which
takes about twenty minutes. With patterns such as "smp/.*", only those are; the other rows of the page stay. The page is
written again after each file. A file that opens as another function gets no row, and ends the command with exit code 1.
"""

import dataclasses
import gc
import pathlib
import re
import sys
import tempfile
import warnings

import keras
import numpy as np
from helpers.framework_files import FrameworkFile
from helpers.public_files import FILES
from helpers.references import images, relative

import converters
from converters import ConversionError

_HEAD = """# Public files

Each file holds a public network with random weights, alone or as its trainers and users wrap it. `tfseg convert` opens it
with no code of its package. The difference is the largest one at two sizes of images, by the largest value of the output,
in float32. What is refused says what it is and which door opens it. This page is generated:
`PYTHONPATH=tests python -m helpers.file_census docs/public_files.md`.

"""
_COLUMNS = "| file | package | opens as | largest difference, or the refusal |\n|---|---|---|---|\n"
_ROW = re.compile(r"\| (.+?) \| (.+?) \| (.*?) \| (.*?) \|")
_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class FileRow:
    """What became of one file.

    Attributes:
        opened: family and network; empty where it is refused.
        result: largest relative difference, or what the refusal says.
    """

    opened: str
    result: str


def measured(file):
    """The row of a file: opened exactly, or refused."""
    if isinstance(file, FrameworkFile):
        return _measured_elsewhere(file)
    module, content = file.make()
    with tempfile.TemporaryDirectory() as folder:
        path = file.save(module, content, pathlib.Path(folder))
        del content
        try:
            model, receipt = converters.convert(path, **file.options)
        except ConversionError as error:
            return FileRow("", _refusal(str(error)))
    worst = max(difference(model, module, size, file) for size in file.sizes)
    assert worst <= _TOLERANCE, f"{file.package}/{file.name} is wrong: {worst:.2g}"
    return FileRow(f"{receipt.family}: {receipt.network}", f"{worst:.1e}")


def _measured_elsewhere(file):
    """The row of a file that another framework computes."""
    opened, worst = "", 0.0
    for size in file.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path, compute = file.write(pathlib.Path(folder), size)
            try:
                model, receipt = converters.convert(path)
            except ConversionError as error:
                return FileRow("", _refusal(str(error)))
            opened = f"{receipt.family}: {receipt.network}"
            pixels = images(*size)
            worst = max(worst, relative(keras.ops.convert_to_numpy(_first(model(pixels))), compute(pixels)))
    assert worst <= _TOLERANCE, f"{file.package}/{file.name} is wrong: {worst:.2g}"
    return FileRow(opened, f"{worst:.1e}")


def difference(model, module, size, file):
    """The relative difference at a size; at one that the module takes."""
    import torch

    for height, width in (size, tuple(64 * max(1, side // 64) for side in size)):
        pixels = images(height, width, channels=file.channels)
        with torch.no_grad():
            try:
                reference = module(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
            except Exception:  # the module takes multiples of its strides only
                continue
        break
    else:
        raise ValueError(f"{size}: the network takes neither this size nor multiples of 64")
    reference = _first(reference).double().numpy()
    result = np.asarray(_first(model(pixels, training=False)), "float64")
    if result.ndim == 4:
        result = result.transpose(0, 3, 1, 2)
        result = result if file.after is None else file.after(result)
    if result.ndim == 4 and reference.ndim == 2:  # a trunk without a head gives its map; the module, its average
        result = result.mean((2, 3))
    if reference.ndim == 4 and result.shape != reference.shape:
        return relative(*_at_one_size(result, reference))
    return relative(result, reference)


def _first(result):
    """The main output."""
    while not hasattr(result, "shape"):
        result = next(iter(result.values())) if hasattr(result, "values") else result[0]
    return result


def _at_one_size(result, reference):
    """Logits of the image's size and those of the last map: enlarged as the library's own processor does."""
    import torch

    larger = torch.nn.functional.interpolate(
        torch.from_numpy(reference), size=result.shape[2:], mode="bilinear", align_corners=False
    )
    return result, larger.numpy()


def _refusal(text):
    text = re.sub(r"Received: .*?\. (?=[A-Z`])", "", text.replace("|", "/").replace("\n", " "))
    return f"refused: {text.partition(' is ')[2][:300].strip()}"


def read_page(path):
    """`{(package, name): row}` of a page that was written before."""
    if not path.exists():
        return {}
    matches = (_ROW.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {(m[2], m[1]): FileRow(m[3], m[4]) for m in matches if m and m[2] not in ("package", "---")}


def write_page(path, rows):
    """Writes the page: the counts, what opens, and what is refused."""
    known = [(file, row) for file in FILES if (row := rows.get((file.package, file.name)))]
    lines = [f"| {file.name} | {file.package} | {row.opened} | {row.result} |" for file, row in known]
    opened = sum(bool(row.opened) for _, row in known)
    words = f"{len(known)} of {len(FILES)} files are tried: {opened} open exactly, {len(known) - opened} are refused."
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{_HEAD}{words}\n\n{_COLUMNS}" + "\n".join(lines) + "\n", encoding="utf-8")


def main(page, *patterns):
    """Tries the files whose "package/name" matches a pattern, and writes the page after each."""
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
        print(f"{label}: {row.opened} {row.result}", flush=True)
        keras.backend.clear_session()
        gc.collect()
    if failures:
        raise SystemExit(f"{len(failures)} files have no row: {', '.join(failures)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
