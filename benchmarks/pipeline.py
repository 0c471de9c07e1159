"""The speed of the input pipeline alone: photographs per second, augmented as for training, read from disk and cached.

    python benchmarks/pipeline.py [directory with images/ and masks/]

Without a directory it makes 64 photographs of 480x360 pixels, JPEG, and their masks.
"""

import pathlib
import sys
import tempfile
import time

import numpy as np

from tfseg import data

AUGMENTATION = data.Augmentation(crop=(256, 256), jitter=0.2)
BATCH, SECONDS = 8, 10


def write_data_set(root: pathlib.Path) -> None:
    """Writes 64 photographs and masks."""
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(64):
        coarse = Image.fromarray(random.integers(0, 256, (36, 48, 3)).astype("uint8"))
        for name in ("images", "masks"):
            (root / name).mkdir(exist_ok=True)
        coarse.resize((480, 360), Image.Resampling.BICUBIC).save(root / "images" / f"{index}.jpg", quality=95)
        Image.fromarray(random.integers(0, 11, (360, 480)).astype("uint8")).save(root / "masks" / f"{index}.png")


def main(root: str) -> None:
    """Measures both ways of reading."""
    dataset = data.folder(root, num_classes=11, void=range(11, 256))
    for name, cache in (("from disk", False), ("cached", True)):
        batches = iter(data.batches(dataset, BATCH, "torch", augmentation=AUGMENTATION, cache=cache))
        for _ in range(2 * len(dataset.pairs) // BATCH):
            next(batches)
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < SECONDS:
            next(batches)
            count += BATCH
        print(f"{name:12}{count / (time.perf_counter() - begin):8.1f} photographs per second")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as directory:
            write_data_set(pathlib.Path(directory))
            main(directory)
