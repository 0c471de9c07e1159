"""Small data sets on disk: smooth photographs, and masks of a few classes."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfseg import data


def save(
    path: pathlib.Path, array: np.ndarray, mode: str | None = None, palette: Sequence[int] | None = None
) -> pathlib.Path:
    """Writes an array as an image and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array, mode)
    if palette:
        image.putpalette(palette)
    image.save(path)
    return path


def photograph(seed: int = 0, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A smooth photograph, which JPEG hardly changes."""
    rows, columns = np.meshgrid(*(np.linspace(0, 3, length) for length in size), indexing="ij")
    waves = [np.sin(rows * (channel + 1) + seed) * np.cos(columns + channel) for channel in range(3)]
    return (127 + 120 * np.stack(waves, axis=-1)).astype("uint8")


def mask(seed: int = 0, size: tuple[int, int] = (24, 32), ids: Sequence[int] = (0, 1, 2, 255)) -> np.ndarray:
    """A mask whose pixels have random ids."""
    return np.random.default_rng(seed).choice(ids, size=size).astype("uint8")


def pairs(
    root: pathlib.Path,
    count: int = 3,
    *,
    images: str = "images",
    masks: str = "masks",
    suffix: str = ".png",
    ending: str = "",
    **options: Any,
) -> pathlib.Path:
    """Writes photographs p0, p1, ... and random masks (`options`: those of `mask`) and returns `root`."""
    for index in range(count):
        save(root / images / f"p{index}{suffix}", photograph(index))
        save(root / masks / f"p{index}{ending}.png", mask(index, **options))
    return root


def scenes(root: pathlib.Path, count: int = 4, size: tuple[int, int] = (24, 32)) -> data.Dataset:
    """A data set that can be learned: a dark half, a bright half, and a line of void between them."""
    for index in range(count):
        rows = np.arange(size[0])[:, None] + np.zeros(size[1], int)
        edge = 8 + 2 * index
        ids = np.where(rows < edge, 0, np.where(rows == edge, 255, 1)).astype("uint8")
        noise = np.random.default_rng(index).integers(0, 40, size=(*size, 3))
        save(root / "images" / f"s{index}.png", (noise + 150 * (ids != 0)[..., None]).astype("uint8"))
        save(root / "masks" / f"s{index}.png", ids)
    return data.folder(root, num_classes=2, classes=("dark", "bright"))
