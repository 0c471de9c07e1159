"""Writes the page of the census: every public network of the table, and how far its Keras model is from it.

    PYTHONPATH=tests python -m helpers.census docs/public_networks.md [PATTERN ...]

Each network is drawn at random and converted, as in `tests/test_converters/building/test_public_networks.py`. Without
patterns, all networks are measured, which takes about an hour. With patterns such as "timm/.*", only those are; the
other rows of the page stay. The page is written again after each network. A network that is wrong gets no row, and
ends the command with exit code 1.
"""

import dataclasses
import gc
import pathlib
import re
import sys
import warnings

import keras
import numpy as np
from helpers.public_networks import NETWORKS, build_public_network, drawn

from converters import ConversionError
from converters.building.build import build_from_module

_HEAD = """# Public networks as Keras models

Each network is built by its package with random weights, all statistics far from their defaults, and converted by
`converters.convert(module)`. The difference is the largest one at two sizes that were not traced, by the largest value
of the output, in float32. This page is generated: `PYTHONPATH=tests python -m helpers.census docs/public_networks.md`.

"""
_COLUMNS = "| network | package | images | largest difference |\n|---|---|---|---|\n"
_ROW = re.compile(r"\| (\S+) \| (\S+) \| (.*?) \| (.*?) \|")
_TOLERANCE = 1e-5
_DOUBLE = 1e-9
_MISSING = "not measured"


@dataclasses.dataclass(frozen=True)
class CensusRow:
    """What became of one network.

    Attributes:
        images: images that the model takes.
        result: largest relative difference, or the refusal.
    """

    images: str
    result: str


def census_sizes(receipt):
    """Two sizes of images, not traced, that the converted network takes; from its receipt."""
    notes = " ".join(receipt.notes)
    if match := re.search(r"takes images of (\d+) x (\d+) pixels only", notes):
        return [(int(match[1]), int(match[2]))]
    if match := re.search(r"multiples of (\d+)", notes):
        step = max(int(match[1]), 32)
        return [(step * 3, step * 5), (step * 8, step * 4)]
    return [(115, 174), (210, 131)]


def largest_difference(model, module, size, seed):
    """The largest relative difference of all outputs, computed here and not by the converter."""
    import torch

    image = np.random.default_rng(seed).normal(size=(1, *size, model.inputs[0].shape[-1])).astype("float32")
    with torch.no_grad():
        reference = module(torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2))))
    pairs = list(zip(_flat(model(image, training=False)), _flat(reference), strict=True))
    assert pairs
    return max(
        _relative(np.asarray(result, "float64"), reference_part.double().numpy()) for result, reference_part in pairs
    )


def _relative(ours, reference_part):
    ours = ours.transpose(0, 3, 1, 2) if ours.ndim == 4 else ours
    assert ours.shape == reference_part.shape
    return float(np.abs(ours - reference_part).max() / np.abs(reference_part).max())


def _flat(result):
    """All tensors of a result, in order."""
    if hasattr(result, "shape"):
        return [result]
    values = result.values() if hasattr(result, "values") else result
    return [tensor for value in values if value is not None for tensor in _flat(value)]


def measured(network, seed=0):
    """The row of a network: exact, or refused; the model and the receipt too."""
    module = drawn(build_public_network(network), seed)
    try:
        model, receipt = build_from_module(module)
    except ConversionError as error:
        return CensusRow("", f"refused: {_short(error)}"), None, None
    sizes = census_sizes(receipt)
    worst = max(largest_difference(model, module, size, seed) for seed, size in enumerate(sizes, 1))
    if worst > _TOLERANCE and "in double precision" not in str(receipt.notes):
        try:  # a tolerance that single precision cannot meet asks for the comparison in double precision
            model, receipt = build_from_module(module, tolerance=_DOUBLE)
        except ConversionError as error:
            raise AssertionError(f"{network.package}/{network.name} is wrong: {worst:.2g} at {sizes}") from error
    words = " and ".join(f"{height} x {width}" for height, width in sizes)
    words = f"{words} only" if len(sizes) == 1 else words
    return CensusRow(words, f"{worst:.1e}"), model, receipt


def _short(error):
    text = re.sub(r" \(File .*", "", str(error)).replace("|", "/").replace("\n", " ")
    return text.partition("Received")[0][:160].strip()


def read_page(path):
    """`{(package, name): row}` of a page that was written before."""
    if not path.exists():
        return {}
    matches = (_ROW.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {(m[2], m[1]): CensusRow(m[3], m[4]) for m in matches if m and m[2] != "package" and m[4] != _MISSING}


def write_page(path, rows):
    """Writes the page: the counts, and all networks in the order of the table; those without a row are not measured."""
    done = [row for network in NETWORKS if (row := rows.get((network.package, network.name)))]
    refused = sum(row.result.startswith("refused") for row in done)
    exact = sum(not row.result.startswith("refused") and float(row.result) <= _TOLERANCE for row in done)
    words = (
        f"{len(done)} of {len(NETWORKS)} networks are measured: {exact} are equal to 1e-5 of the largest value, {refused} "
        f"{'is' if refused == 1 else 'are'} refused, {len(done) - exact - refused} differ by more in float32 and are equal in double precision."
    )
    lines = []
    for network in NETWORKS:
        row = rows.get((network.package, network.name), CensusRow("", _MISSING))
        lines.append(f"| {network.name} | {network.package} | {row.images} | {row.result} |")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{_HEAD}{words}\n\n{_COLUMNS}" + "\n".join(lines) + "\n", encoding="utf-8")


def main(page, *patterns):
    """Measures the networks whose "package/name" matches a pattern, and writes the page after each."""
    warnings.simplefilter("ignore")  # the packages' own, and torch.export's
    path, failures = pathlib.Path(page), []
    for network in NETWORKS:
        label = f"{network.package}/{network.name}"
        if patterns and not any(re.fullmatch(pattern, label) for pattern in patterns):
            continue
        try:
            row, *_ = measured(network)
        except Exception as error:  # a wrong network, or a package that cannot build it
            failures.append(label)
            print(f"{label}: {type(error).__name__}: {error}", flush=True)
            continue
        rows = read_page(path) | {(network.package, network.name): row}
        write_page(path, rows)
        print(f"{label}: {row.result}", flush=True)
        keras.backend.clear_session()
        gc.collect()
    if failures:
        raise SystemExit(f"{len(failures)} networks have no row: {', '.join(failures)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
