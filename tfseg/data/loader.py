"""Reading of single pairs: checked, named in errors, and cached if they fit into memory."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import SupportsInt

import numpy as np

from tfseg.data.datasets import Dataset, Pair
from tfseg.data.findings import TOLD_IN_TRAINING, strange_about
from tfseg.data.labels import Labels
from tfseg.data.masks import read_mask
from tfseg.data.photographs import Photographs
from tfseg.types import Array, Size


class StrangePairWarning(UserWarning):
    """A photograph and a mask that can be read, and are strange anyway."""


_AS_USUAL = Photographs()
_CACHE_BYTES = 2e9  # size up to which the decoded images of a data set are kept in memory by default


def load(pair: Pair, labels: Labels, photographs: Photographs = _AS_USUAL) -> tuple[Array, Array]:
    """A photograph `(height, width, 3)`, uint8, and its mask `(height, width)`, of `labels.dtype`.

    An image that is read as it is stored has its own channels and type. Where it has no data, the mask is void.

    Args:
        pair: the `Pair` to read.
        labels: `Labels` of the mask.
        photographs: how the photograph is read.
    Raises:
        ValueError: an unreadable file, or two different sizes; the message names the file.
    """
    with _whole(pair.mask):
        mask = read_mask(pair.mask, labels)
    with _whole(pair.image):
        image = photographs.read(pair.image, mask.shape)
    if image.shape[:2] != mask.shape:
        raise ValueError(_other_size(pair, image.shape[:2], mask.shape))
    missing = photographs.missing(pair.image, image)
    if missing is not None:
        mask = np.where(missing, mask.dtype.type(labels.void_id), mask)
    return image, mask


@contextlib.contextmanager
def _whole(path: object) -> Iterator[None]:
    """A context in which a damaged file ends in a ValueError that names it."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:  # Pillow raises exceptions of many types on a damaged image
        reason = str(error).removeprefix(f"{path}: ") or type(error).__name__
        raise ValueError(f"{path}: not a whole picture ({reason}).") from error


def _other_size(pair: Pair, image: Size, mask: Size) -> str:
    said = (
        f"{pair.mask}: a mask has the size of its photograph. Received: {mask[1]}x{mask[0]}, and {pair.image.name} is "
        f"{image[1]}x{image[0]}. "
    )
    if image == mask[::-1]:
        return said + (
            "The mask has the size of the photograph on its side: the photograph's EXIF orientation was used for one "
            "of them alone. See exif= of tfseg.data.folder (--exif)."
        )
    return said + "Resize one of them (masks by their nearest pixel)."


def resize_pair(image: Array, mask: Array, shorter_side: int) -> tuple[Array, Array]:
    """A photograph and its mask, resized like torchvision does to a given shorter side.

    Args:
        image: uint8 `(height, width, 3)`; resized with Pillow's bilinear filter.
        mask: integers `(height, width)`; resized to the nearest pixel.
        shorter_side: shorter side of the result, in pixels.
    """
    from PIL import Image

    height, width = mask.shape
    shorter = min(height, width)
    if shorter == shorter_side:
        return image, mask
    size = int(shorter_side * width / shorter), int(shorter_side * height / shorter)
    return (
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)),
        np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)),
    )


class Loader:
    """A function that takes the index of a pair and returns its arrays: uint8 photographs, or float32 channels.

    Args:
        dataset: `Dataset` to read from.
        cache: whether pairs stay in memory; None: as many as 2 GB hold.
        skip_unreadable: whether an unreadable pair is replaced by the next one, with a warning.
    """

    def __init__(self, dataset: Dataset, *, cache: bool | None = None, skip_unreadable: bool = False) -> None:
        self._pairs, self._labels, self._photographs = dataset.pairs, dataset.labels, dataset.photographs
        self._dataset, self._skip_unreadable = dataset, skip_unreadable
        self._looked_at: set[int] = set()
        self._told: set[str] = set()
        self._unreadable: set[int] = set()
        self._cached: dict[int, tuple[Array, Array]] = {}
        self._room = {None: _CACHE_BYTES, True: float("inf"), False: 0.0}[cache]
        self._load_readable(0)  # a data set of which nothing can be read is refused before the first step

    def __call__(self, index: SupportsInt) -> tuple[Array, Array]:
        """The photograph and the mask of a pair; see `load`.

        Args:
            index: index of the pair in the data set.
        """
        index = int(index)
        if index in self._cached:
            return self._typed(self._cached[index])
        index, (image, mask) = self._load_readable(index)
        arrays = np.ascontiguousarray(image), np.ascontiguousarray(mask)
        size = sum(array.nbytes for array in arrays)
        if size <= self._room:
            self._room -= size
            self._cached[index] = arrays
        return self._typed(arrays)

    def _typed(self, arrays: tuple[Array, Array]) -> tuple[Array, Array]:
        """The arrays in the types of all pairs: files of 16 bits are kept as they are, in half the memory."""
        image, mask = arrays
        return (image if self._photographs.channels is None else image.astype("float32")), mask

    def _tell(self, index: int, image: Array, mask: Array) -> None:
        """Warns of what is strange about a pair, once of each kind; reading it has warned of the rest."""
        if index in self._looked_at:
            return
        self._looked_at.add(index)
        pair = self._pairs[index]
        for message in strange_about(pair, image, mask, self._dataset):
            if message in TOLD_IN_TRAINING and message not in self._told:
                self._told.add(message)
                warnings.warn(
                    f"{pair.image}: {message} (tfseg inspect-data lists all)", StrangePairWarning, stacklevel=2
                )

    def _load_readable(self, index: int) -> tuple[int, tuple[Array, Array]]:
        """The index and the arrays of the first readable pair from this index on."""
        for _ in self._pairs:
            try:
                if index not in self._unreadable:
                    arrays = self._cached.get(index) or load(self._pairs[index], self._labels, self._photographs)
                    self._tell(index, *arrays)
                    return index, arrays
            except ValueError as error:
                if not self._skip_unreadable:
                    raise
                self._unreadable.add(index)
                warnings.warn(f"skipped: {error}", RuntimeWarning, stacklevel=2)
            index = (index + 1) % len(self._pairs)
        raise ValueError(f"None of the {len(self._pairs)} pairs can be read.")
