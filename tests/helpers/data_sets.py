"""Small data sets on disk: smooth photographs, and masks of a few classes."""

import numpy as np
from PIL import Image

from tfseg import data


def save(path, array, mode=None, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array, mode)
    if palette:
        image.putpalette(palette)
    image.save(path)
    return path


def photograph(seed=0, size=(24, 32)):
    """Smooth, so that JPEG keeps it."""
    rows, columns = np.meshgrid(*(np.linspace(0, 3, one) for one in size), indexing="ij")
    waves = [np.sin(rows * (channel + 1) + seed) * np.cos(columns + channel) for channel in range(3)]
    return (127 + 120 * np.stack(waves, axis=-1)).astype("uint8")


def mask(seed=0, size=(24, 32), ids=(0, 1, 2, 255)):
    return np.random.default_rng(seed).choice(ids, size=size).astype("uint8")


def pairs(root, count=3, *, images="images", masks="masks", suffix=".png", ending="", **options):
    for index in range(count):
        save(root / images / f"p{index}{suffix}", photograph(index))
        save(root / masks / f"p{index}{ending}.png", mask(index, **options))
    return root


def scenes(root, count=4, size=(24, 32)):
    """Photographs whose classes can be seen: dark and bright halves, and void between them."""
    for index in range(count):
        rows = np.arange(size[0])[:, None] + np.zeros(size[1], int)
        edge = 8 + 2 * index
        ids = np.where(rows < edge, 0, np.where(rows == edge, 255, 1)).astype("uint8")
        noise = np.random.default_rng(index).integers(0, 40, size=(*size, 3))
        save(root / "images" / f"s{index}.png", (noise + 150 * (ids != 0)[..., None]).astype("uint8"))
        save(root / "masks" / f"s{index}.png", ids)
    return data.folder(root, num_classes=2, classes=("dark", "bright"))
