"""What a data set is like, before hours are lost on it: what cannot be read, sizes, class frequencies, a picture."""

import collections
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tfseg import drawing
from tfseg.data.loader import load
from tfseg.data.masks import VOID
from tfseg.writing import replacing

_SHOWN = 10  # files that a report names


class Inspection(NamedTuple):
    """What was found in a data set.

    Attributes:
        dataset: `Dataset`.
        faults: `(pair, message)` of the pairs that cannot be used.
        sizes: `{(height, width): photographs}`.
        pixels: array, pixels a class; the last is void.
        images: array, photographs that have the class; the last is void.
    """

    dataset: object
    faults: tuple
    sizes: dict
    pixels: np.ndarray
    images: np.ndarray

    def __str__(self):
        total, good = len(self.dataset.pairs), len(self.dataset.pairs) - len(self.faults)
        heights, widths = ([size[axis] for size in self.sizes] or [0] for axis in (0, 1))
        lines = [
            f"{self.dataset.name}: {good} of {total} pairs can be used, {self.dataset.num_classes} classes",
            f"sizes: {len(self.sizes)}, {min(widths)}x{min(heights)} to {max(widths)}x{max(heights)}",
            f"{'class':24}{'of pixels':>12}{'in photographs':>16}",
        ]
        names = [*(self.dataset.classes or map(str, range(self.dataset.num_classes))), "void"]
        share = self.pixels / max(1, self.pixels.sum())
        for name, part, count in zip(names, share, self.images, strict=True):
            never = "  never there" if not count and name != "void" else ""
            lines.append(f"{name:24}{part:12.3%}{count:16d}{never}")
        lines += [f"cannot be used: {message}" for _, message in self.faults[:_SHOWN]]
        if len(self.faults) > _SHOWN:
            lines.append(f"... and {len(self.faults) - _SHOWN} more")
        return "\n".join(lines)


def inspect_dataset(dataset, *, track=iter):
    """Reads every pair once.

    Args:
        dataset: `Dataset`.
        track: wraps the pairs while they are gone through, as `tfseg.progress.track`.
    Returns: `Inspection`.
    """
    faults, sizes = [], collections.Counter()
    pixels, images = np.zeros((2, dataset.num_classes + 1), "int64")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        masks = pool.map(lambda one: _mask(one, dataset), dataset.pairs)
        for pair, (mask, fault) in zip(track(dataset.pairs), masks, strict=True):
            if fault:
                faults.append((pair, fault))
                continue
            sizes[mask.shape] += 1
            counts = np.bincount(np.where(mask == VOID, dataset.num_classes, mask).ravel(), minlength=len(pixels))
            pixels += counts
            images += counts > 0
    return Inspection(dataset, tuple(faults), dict(sizes), pixels, images)


def _mask(pair, dataset):
    try:
        return load(pair, dataset.labels)[1], None
    except (ValueError, OSError) as error:
        return None, str(error)


def contact_sheet(dataset, path, *, count=12, columns=3, width=320):
    """Writes a picture of some pairs, evenly chosen: the photograph beside its mask in colours; void is black.

    Args:
        dataset: `Dataset`.
        path: of the PNG.
        count: pairs shown.
        columns: pairs in a row.
        width: of each picture, in pixels.
    """
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(dataset.pairs) - 1, count).round().astype(int))
    tiles = []
    for index in chosen:
        try:
            image, mask = load(dataset.pairs[index], dataset.labels)
        except (ValueError, OSError):
            continue  # the report names it
        colors = drawing.color_table(dataset.colors, VOID + 1)
        colors[VOID] = 0
        height = max(1, round(width * mask.shape[0] / mask.shape[1]))
        photograph = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        painted = Image.fromarray(colors[mask]).resize((width, height), Image.Resampling.NEAREST)
        tiles.append(np.concatenate([np.asarray(photograph), np.asarray(painted)], axis=1))
    if not tiles:
        raise ValueError(f"{dataset.name}: none of the pairs chosen for the contact sheet can be read.")
    tall = max(tile.shape[0] for tile in tiles)
    tiles = [np.pad(tile, ((0, tall - tile.shape[0]), (0, 0), (0, 0))) for tile in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    with replacing(pathlib.Path(path)) as half:
        Image.fromarray(np.concatenate(rows)).save(half)
