"""A random share of a data set for validation."""

import dataclasses

import numpy as np

from tfseg.data.datasets import Dataset, Pair


def split_randomly(dataset: Dataset, val_share: float, *, seed: int = 0) -> tuple[Dataset, Dataset]:
    """The data set in two: for training, and a share for validation.

    Photographs in several directories are likely frames of several films, and neighbors among them are almost equal.
    Then whole directories are drawn, as many as come nearest to the share.

    Args:
        dataset: `Dataset` to divide.
        val_share: share of the pairs for validation, above 0 and below 1.
        seed: seed of the draw; equal seeds give equal shares.
    Returns: the pairs for training, and those for validation, each in the order of `dataset`.
    Raises:
        ValueError: a share outside its range, or one that leaves one of the two empty.
    Example:
        >>> pairs = tuple(tfseg.data.Pair(pathlib.Path(f"{index}.jpg"), pathlib.Path("m.png")) for index in range(10))
        >>> dataset = tfseg.data.Dataset("streets", pairs, tfseg.data.Labels(11))
        >>> tfseg.data.split_randomly(dataset, 0.2)
        (<Dataset 'streets, 80 %': 8 pairs, 11 classes>, <Dataset 'streets, 20 %': 2 pairs, 11 classes>)
    """
    if not 0 < val_share < 1:
        raise ValueError(f"val_share is above 0 and below 1. Received: {val_share!r}")
    directories: dict[str, list[Pair]] = {}
    for pair in dataset.pairs:
        directories.setdefault(str(pair.image.parent), []).append(pair)
    groups = list(directories.values()) if len(directories) > 1 else [[pair] for pair in dataset.pairs]
    wanted = val_share * len(dataset.pairs)
    drawn: set[Pair] = set()
    for index in np.random.default_rng(seed).permutation(len(groups)):
        if abs(len(drawn) + len(groups[index]) - wanted) < abs(len(drawn) - wanted):
            drawn.update(groups[index])
    parts = [tuple(pair for pair in dataset.pairs if (pair in drawn) == is_drawn) for is_drawn in (False, True)]
    if not all(parts):
        what = f"{len(groups)} directories" if len(directories) > 1 else f"{len(groups)} pairs"
        raise ValueError(f"{dataset.name}: val_share={val_share} of {what} leaves none for training or for validation.")
    names = [f"{dataset.name}, {share:.0%}".replace("%", " %") for share in (1 - val_share, val_share)]
    train, validation = (
        dataclasses.replace(dataset, name=name, pairs=part) for name, part in zip(names, parts, strict=True)
    )
    return train, validation
