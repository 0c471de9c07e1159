"""What is strange about single pairs and whole data sets: told before hours of training are lost on it."""

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from tfseg.data.channel_statistics import ChannelStatistics
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.labels import first_few
from tfseg.left_out import BANDS, PAGES, left_out
from tfseg.types import Array

_MOST_LISTED = 3


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something strange about a data set.

    Attributes:
        message: what it is, and what to do.
        pairs: the pairs that have it; empty: the data set as a whole.
        spoils: whether a training on this data is in vain.
    Example:
        >>> str(tfseg.data.Finding("nothing but void"))
        'nothing but void'
    """

    message: str
    pairs: tuple[Pair, ...] = ()
    spoils: bool = False

    def __str__(self) -> str:
        if not self.pairs:
            return self.message
        names = first_few([pair.image.name for pair in self.pairs][:_MOST_LISTED])
        more = ", ..." if len(self.pairs) > _MOST_LISTED else ""
        return f"{len(self.pairs)} pairs: {self.message} ({names}{more})"


ALL_VOID = "the mask is void throughout, so that the pair teaches nothing"
ITSELF = "the photograph is its own mask: a mask lies among the photographs"
DARK = (
    "the photograph has 16 bits per channel and uses fewer, so that it is almost black: say how many, such as "
    "image_bits=12 (--image_bits=12), or read it as it is stored: channels=3 (--channels=3)"
)
_ALL_BANDS = f"{BANDS}; to use it: channels=4 (--channels=4)"
_SPOILING = (ITSELF, DARK)
TOLD_IN_TRAINING = (ALL_VOID, ITSELF, _ALL_BANDS, PAGES)  # of the others, reading a photograph warns


def strange_about(pair: Pair, image: Array, mask: Array, dataset: Dataset) -> list[str]:
    """What is strange about a pair that can be read.

    Args:
        pair: the pair.
        image: its photograph as it is read.
        mask: its mask as it is read.
        dataset: the data set that it belongs to.
    Raises:
        OSError: a file that cannot be read.
    """
    messages = [ALL_VOID] if (mask == dataset.labels.void_id).all() else []
    if dataset.photographs.channels is None:
        messages += _strange_photograph(pair, image, dataset)
    messages.append(dataset.photographs.doubt(pair.image, mask.shape))
    if _is_own_mask(pair, image):
        messages.append(ITSELF)
    return [message for message in messages if message]


def _strange_photograph(pair: Pair, image: Array, dataset: Dataset) -> list[str]:
    from tfseg.deep_photographs import is_dark, is_deep
    from tfseg.picture_formats import open_picture

    messages = []
    with open_picture(pair.image) as picture:
        if is_deep(picture) and dataset.photographs.bits is None and is_dark(image):
            messages.append(DARK)
        messages += [_ALL_BANDS if message == BANDS else message for message in left_out(picture)]
    return messages


def _is_own_mask(pair: Pair, image: Array) -> bool:
    """Whether photograph and mask are one picture: a mask was copied among the photographs."""
    from tfseg.data.masks import raw_values

    if not isinstance(pair.mask, pathlib.Path) or pair.mask.suffix.lower() == ".mat":
        return False
    if pair.image.stat().st_size == pair.mask.stat().st_size and pair.image.read_bytes() == pair.mask.read_bytes():
        return True
    gray = image[..., 0]
    if image.dtype != np.uint8 or not (image == gray[..., None]).all() or len(np.unique(gray)) == 1:
        return False
    values = raw_values(pair.mask)
    return values is not None and np.array_equal(values, gray)


def group(messages: Iterable[tuple[Pair, str]]) -> tuple[Finding, ...]:
    """One finding for each message, with all of its pairs.

    Args:
        messages: pairs, each with what is strange about it.
    """
    pairs: dict[str, list[Pair]] = {}
    for pair, message in messages:
        pairs.setdefault(message, []).append(pair)
    return tuple(Finding(message, tuple(of), spoils=message in _SPOILING) for message, of in pairs.items())


def strange_classes(dataset: Dataset, image_counts: Sequence[int], usable: int) -> list[Finding]:
    """What the classes of a data set say: nothing to learn.

    Args:
        dataset: the data set.
        image_counts: number of photographs in which each class occurs; the last entry is void.
        usable: number of pairs that could be read.
    """
    *classes, void = image_counts
    present = [index for index, count in enumerate(classes) if count]
    if not usable:
        return []
    if not present:
        return [Finding("all masks are void throughout: there is nothing to learn", spoils=True)]
    if len(present) == 1 and void:
        return [
            Finding(
                f"class {present[0]} is the only one that occurs, beside void: the values that are ignored are likely "
                "a class; see mask_values= (--mask_values) and void= (--void)",
                spoils=True,
            )
        ]
    if len(present) == 1:
        return [Finding(f"class {present[0]} is the only one that occurs: there is nothing to learn", spoils=True)]
    return []


def listed_twice(dataset: Dataset) -> list[Finding]:
    """Photographs that a list names more than once.

    Args:
        dataset: the data set.
    """
    counts = collections.Counter(pair.image for pair in dataset.pairs)
    pairs = {pair.image: pair for pair in dataset.pairs if counts[pair.image] > 1}
    return (
        [Finding("the photograph is listed more than once, and counts so often", tuple(pairs.values()))]
        if pairs
        else []
    )


def strange_channels(statistics: ChannelStatistics | None) -> list[Finding]:
    """What the channels of a data set say: one that never changes.

    Args:
        statistics: statistics of all images together; None if no pair can be used.
    """
    if statistics is None:
        return []
    constant = [number for number, value in enumerate(statistics.std, 1) if not value]
    return [Finding(f"channel {number} has one value throughout, which teaches nothing") for number in constant]


def shared_photographs(first: Dataset, second: Dataset) -> list[tuple[Pair, Pair]]:
    """Pairs of two splits that have the same photograph: the same file, or a copy of it.

    Args:
        first: a data set.
        second: another one.

    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        >>> len(tfseg.data.shared_photographs(dataset, dataset))
        1
    """
    sizes = [
        {pair.image.stat().st_size for pair in dataset.pairs if pair.image.exists()} for dataset in (first, second)
    ]
    both = sizes[0] & sizes[1]  # only files of one size can be equal, so that few are read
    known = {mark: pair for pair in second.pairs if (mark := _mark(pair.image, both))}
    return [(pair, known[mark]) for pair in first.pairs if (mark := _mark(pair.image, both)) in known]


def _mark(path: pathlib.Path, sizes: set[int]) -> str:
    """A digest of a file of one of some sizes; "" for others."""
    if not path.exists() or path.stat().st_size not in sizes:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
