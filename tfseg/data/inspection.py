"""Inspection of a data set before training: unreadable pairs, sizes, class frequencies."""

import collections
import dataclasses
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tfseg.data.channel_statistics import ChannelStatistics, channel_statistics
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.findings import (
    Finding,
    group,
    listed_twice,
    shared_photographs,
    strange_about,
    strange_channels,
    strange_classes,
)
from tfseg.data.loader import load
from tfseg.data.photographs import ExifWarning
from tfseg.deep_photographs import DarkPhotographWarning
from tfseg.preprocessing import stored_preprocessing
from tfseg.progress import ProgressOption, track
from tfseg.types import Array, Path, Size
from tfseg.writing import atomic

_MOST_LISTED = 10  # kinds of faults that a report lists


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """The result of `inspect_dataset`; its text is a report.

    Attributes:
        dataset: the inspected `Dataset`.
        faults: `(pair, message)` of each unusable pair.
        sizes: number of photographs of each `(height, width)`.
        pixel_counts: number of pixels of each class; the last entry is void.
        image_counts: number of photographs in which each class occurs; the last entry is void.
        findings: what is strange about pairs that can be used, and about the whole.
        statistics: mean and deviation of each channel, of the pixels that are not void; None if no pair can be used.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> print(str(tfseg.data.inspect_dataset(dataset)).splitlines()[0])
        streets: 1 of 1 pairs can be used, 11 classes
    """

    dataset: Dataset
    faults: tuple[tuple[Pair, str], ...]
    sizes: Mapping[Size, int]
    pixel_counts: Array
    image_counts: Array
    findings: tuple[Finding, ...] = ()
    statistics: ChannelStatistics | None = None

    @property
    def mean(self) -> list[float]:
        """Mean of each channel, of the pixels that are not void, as the images are read."""
        return [] if self.statistics is None else [_short(value) for value in self.statistics.mean]

    @property
    def std(self) -> list[float]:
        """Deviation of each channel; 1 for a channel that has one value throughout."""
        return [] if self.statistics is None else [_short(value) or 1.0 for value in self.statistics.std]

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The preprocessing that gives each channel the mean 0 and the deviation 1, for `tfseg.set_metadata`.

        Raises:
            ValueError: no pair can be used.
        """
        if self.dataset.photographs.channels is not None:
            return stored_preprocessing(self.mean, self.std)
        if self.statistics is None:
            raise ValueError(f"{self.dataset.name}: no pair can be used, so that nothing was measured.")
        return {"channel_order": "RGB", "divisor": 1.0, "mean": self.mean, "std": self.std}

    @property
    def spoils(self) -> bool:
        """Whether a training on this data would stop, or be in vain."""
        return bool(self.faults) or any(finding.spoils for finding in self.findings)

    @property
    def pixels(self) -> Array:
        """Alias of `pixel_counts`, the name until version 0.1."""
        return self.pixel_counts

    @property
    def images(self) -> Array:
        """Alias of `image_counts`, the name until version 0.1."""
        return self.image_counts

    def __str__(self) -> str:
        total, usable = len(self.dataset.pairs), len(self.dataset.pairs) - len(self.faults)
        heights, widths = ([size[axis] for size in self.sizes] or [0] for axis in (0, 1))
        lines = [
            f"{self.dataset.name}: {usable} of {total} pairs can be used, {self.dataset.num_classes} classes",
            f"sizes: {len(self.sizes)}, {min(widths)}x{min(heights)} to {max(widths)}x{max(heights)}",
            f"{'class':24}{'of pixels':>12}{'in photographs':>16}",
        ]
        names = [*(self.dataset.classes or map(str, range(self.dataset.num_classes))), "void"]
        shares = self.pixel_counts / max(1, self.pixel_counts.sum())
        for name, share, count in zip(names, shares, self.image_counts, strict=True):
            remark = "  never occurs" if not count and name != "void" else ""
            lines.append(f"{name:24}{share:12.3%}{count:16d}{remark}")
        if self.statistics is not None:
            lines.append(f"{len(self.mean)} channels: --mean={_listed(self.mean)} --std={_listed(self.std)}")
        lines += [f"cannot be used: {line}" for line in _by_kind(self.faults)]
        lines += [f"{'spoils a training' if each.spoils else 'note'}: {each}" for each in self.findings]
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Writes the figures as JSON, among them mean and deviation of the channels.

        Args:
            path: where the JSON file is written; an existing file is replaced.
        Raises:
            OSError: the file cannot be written.
        """
        sizes = [{"height": size[0], "width": size[1], "photographs": count} for size, count in self.sizes.items()]
        content = {
            "dataset": self.dataset.name,
            "pairs": len(self.dataset.pairs),
            "usable": len(self.dataset.pairs) - len(self.faults),
            "classes": list(self.dataset.classes or range(self.dataset.num_classes)),
            "sizes": sizes,
            "pixel_counts": self.pixel_counts.tolist(),
            "image_counts": self.image_counts.tolist(),
            "channels": len(self.mean),
            "mean": self.mean,
            "std": self.std,
            "faults": [message for _, message in self.faults],
            "findings": [{"message": str(finding), "spoils": finding.spoils} for finding in self.findings],
        }
        with atomic(path, overwrite=True) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _listed(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _by_kind(faults: tuple[tuple[Pair, str], ...]) -> list[str]:
    """One line for each kind of fault, the first of its kind in full."""
    kinds: dict[str, list[str]] = {}
    for pair, message in faults:
        kind = message
        for path in pair:
            kind = kind.replace(str(path), "").replace(getattr(path, "name", str(path)), "")
        kinds.setdefault(re.sub(r"\d+", "", kind), []).append(message)
    lines = [
        messages[0] + (f" And {len(messages) - 1} more like it." if len(messages) > 1 else "")
        for messages in kinds.values()
    ]
    more = len(lines) - _MOST_LISTED
    return [*lines[:_MOST_LISTED], *([f"... and {more} more kinds"] if more > 0 else [])]


def inspect_dataset(
    dataset: Dataset, *, others: Iterable[Dataset] = (), progress: ProgressOption = False
) -> Inspection:
    """The faults, sizes and class frequencies of a data set; every pair is read once.

    Args:
        dataset: `Dataset` to inspect.
        others: other splits, which should share no photograph with it.
        progress: True: show the progress on stderr; or a function `(done, total)`, see `tfseg.progress`.
    Returns: `Inspection`.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> inspection = tfseg.data.inspect_dataset(dataset)
        >>> inspection.sizes, inspection.faults, int(inspection.pixel_counts.sum())
        ({(360, 480): 1}, (), 172800)
    """
    faults: list[tuple[Pair, str]] = []
    strange: list[tuple[Pair, str]] = []
    sizes: collections.Counter[Size] = collections.Counter()
    statistics: ChannelStatistics | None = None
    pixel_counts, image_counts = np.zeros((2, dataset.num_classes + 1), "int64")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda pair: _examine(pair, dataset), dataset.pairs)
        for pair, result in zip(track(dataset.pairs, progress, unit="pairs"), results, strict=True):
            if isinstance(result, str):
                faults.append((pair, result))
                continue
            mask, messages, part = result
            statistics = part if statistics is None else statistics.merged(part)
            strange += [(pair, message) for message in messages]
            height, width = mask.shape
            sizes[height, width] += 1
            bins = np.where(mask == dataset.labels.void_id, dataset.num_classes, mask)
            counts = np.bincount(bins.ravel(), minlength=len(pixel_counts))
            pixel_counts += counts
            image_counts += counts > 0
    findings = [*strange_classes(dataset, image_counts.tolist(), sum(sizes.values())), *group(strange)]
    findings += [*strange_channels(statistics), *listed_twice(dataset)]
    for other in others:
        shared = shared_photographs(dataset, other)
        if shared:
            message = f"the photograph is in {other.name} too, so that a score there says nothing"
            findings.append(Finding(message, tuple(pair for pair, _ in shared), spoils=True))
    return Inspection(dataset, tuple(faults), dict(sizes), pixel_counts, image_counts, tuple(findings), statistics)


def _examine(pair: Pair, dataset: Dataset) -> tuple[Array, list[str], ChannelStatistics] | str:
    """The mask of a pair, what is strange about it, and the statistics of its channels; or why it cannot be used."""
    try:
        with warnings.catch_warnings():
            for category in (DarkPhotographWarning, ExifWarning):  # they are findings here
                warnings.simplefilter("ignore", category)
            image, mask = load(pair, dataset.labels, dataset.photographs)
        counted = mask != dataset.labels.void_id
        return mask, strange_about(pair, image, mask, dataset), channel_statistics(image, counted)
    except (ValueError, OSError) as error:
        return str(error)
