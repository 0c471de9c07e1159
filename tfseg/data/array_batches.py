"""Batches for training as arrays, read by threads: for the backends that are not TensorFlow, which they do not need."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator

import numpy as np

from tfseg.data.array_augmentation import augment_arrays
from tfseg.data.augmentation import NO_AUGMENTATION, Augmentation, check_augmentation
from tfseg.data.datasets import Dataset
from tfseg.data.loader import Loader
from tfseg.data.pipeline import refuse_jitter
from tfseg.data.random_numbers import shuffled_index
from tfseg.preprocessing import fill_missing, preprocess
from tfseg.types import Array, Preprocessing

_BATCHES_AHEAD = 2


def array_batches(
    dataset: Dataset,
    batch_size: int,
    preprocessing: Preprocessing,
    *,
    augmentation: Augmentation = NO_AUGMENTATION,
    seed: int = 0,
    start: int = 0,
    steps: int | None = None,
    shuffle: bool = True,
    cache: bool | None = None,
    skip_unreadable: bool = False,
) -> Iterator[tuple[Array, Array]]:
    """Pairs of arrays `(images, masks)`: those of `batches` up to rounding, for the same seed and the same step.

    Args:
        dataset: `Dataset` to read from.
        batch_size: photographs per batch. A batch may reach into the next epoch; no batch is smaller.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
        augmentation: `Augmentation`; by default none.
        seed: seed of the order and of the augmentation.
        start: number of batches to leave out at the beginning.
        steps: number of batches, counted from `start`; None: no end.
        shuffle: True: a new order in every epoch; False: the order of the data set.
        cache: whether decoded images stay in memory; None: as many as 2 GB hold.
        skip_unreadable: True: replace an unreadable pair by the next one and warn once; False: stop with an error.
    Raises:
        ValueError: an impossible augmentation. While the batches are read: an unreadable pair; the message names it.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> augmentation = tfseg.data.Augmentation(crop=(64, 96))
        >>> images, masks = next(tfseg.data.array_batches(dataset, 2, "torch", augmentation=augmentation))
        >>> images.shape, masks.shape
        ((2, 64, 96, 3), (2, 64, 96))
    """
    check_augmentation(augmentation)
    refuse_jitter(dataset, augmentation)
    loader = Loader(dataset, cache=cache, skip_unreadable=skip_unreadable)
    count = len(dataset.pairs)

    def example(position: int) -> tuple[Array, Array]:
        epoch, index = divmod(position, count)
        image, mask = loader(shuffled_index(index, (seed, epoch), count - 1) if shuffle else index)
        if dataset.photographs.channels is not None:
            image = fill_missing(image, preprocessing)
        image, mask = augment_arrays(image, mask, augmentation, (seed, position), dataset.labels.void_id)
        return preprocess(image, preprocessing), mask

    return _read(example, batch_size, start, steps)


def _read(
    example: Callable[[int], tuple[Array, Array]], batch_size: int, start: int, steps: int | None
) -> Iterator[tuple[Array, Array]]:
    """The batches in order; threads read the next ones meanwhile."""
    last = float("inf") if steps is None else (start + steps) * batch_size
    position = start * batch_size
    waiting: collections.deque[concurrent.futures.Future[tuple[Array, Array]]] = collections.deque()
    threads = concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "tfseg_batches")
    try:
        while True:
            while position < last and len(waiting) < (_BATCHES_AHEAD + 1) * batch_size:
                waiting.append(threads.submit(example, position))
                position += 1
            if not waiting:
                return
            images, masks = zip(*(waiting.popleft().result() for _ in range(batch_size)), strict=True)
            yield np.stack(images), np.stack(masks)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
