"""One pair at a time from disk: checked, named when it cannot be read, and kept in memory where there is room."""

import warnings

import numpy as np

from tfseg.data.masks import read_mask
from tfseg.images import read_image

_ROOM = 2e9  # bytes of decoded pictures that may stay in memory


def load(pair, labels):
    """A photograph `(height, width, 3)` and its mask `(height, width)`, uint8.

    Raises:
        ValueError: one of them cannot be read, or their sizes differ; the message names the file.
    """
    try:
        image, mask = read_image(pair.image), read_mask(pair.mask, labels)
    except ValueError:
        raise
    except Exception as error:  # Pillow raises nearly anything on a damaged picture
        path = next((path for path in pair if str(path) in str(error)), " or ".join(map(str, pair)))
        raise ValueError(f"{path}: not a whole picture ({error}).") from error
    if image.shape[:2] != mask.shape:
        height, width = mask.shape
        raise ValueError(
            f"{pair.mask}: a mask has the size of its photograph. Received: {width}x{height}, and {pair.image.name} is "
            f"{image.shape[1]}x{image.shape[0]}. Resize one of them (masks by their nearest pixel)."
        )
    return image, mask


def resized(image, mask, shorter_side):
    """Both with a shorter side of so many pixels: photographs by Pillow's bilinear rule, masks by the nearest pixel."""
    from PIL import Image

    height, width = mask.shape
    shorter = min(height, width)
    if shorter == shorter_side:
        return image, mask
    size = [int(shorter_side * side / shorter) for side in (width, height)]
    rules = (Image.Resampling.BILINEAR, Image.Resampling.NEAREST)
    return tuple(
        np.asarray(Image.fromarray(one).resize(size, rule)) for one, rule in zip((image, mask), rules, strict=True)
    )


class Loader:
    """Index -> pair of arrays.

    Args:
        dataset: `Dataset`.
        cache: whether pairs stay in memory; None: if all of them, taken as large as the first, take less than 2 GB.
        skip_unreadable: whether a pair that cannot be read is passed over for the next, with a warning.
    """

    def __init__(self, dataset, *, cache=None, skip_unreadable=False):
        self._pairs, self._labels = dataset.pairs, dataset.labels
        self._skip, self._bad = skip_unreadable, set()
        self._kept = {}
        if cache is None:
            _, first = self._readable(0)
            cache = len(self._pairs) * sum(array.nbytes for array in first) <= _ROOM
        self._cache = cache

    def __call__(self, index):
        index = int(index)
        if index in self._kept:
            return self._kept[index]
        index, arrays = self._readable(index)
        arrays = tuple(np.ascontiguousarray(array) for array in arrays)
        if self._cache:
            self._kept[index] = arrays
        return arrays

    def _readable(self, index):
        """The first pair from this index on that can be read, and which it is."""
        for _ in self._pairs:
            try:
                if index not in self._bad:
                    return index, self._kept.get(index) or load(self._pairs[index], self._labels)
            except ValueError as error:
                if not self._skip:
                    raise
                self._bad.add(index)
                warnings.warn(f"skipped: {error}", RuntimeWarning, stacklevel=2)
            index = (index + 1) % len(self._pairs)
        raise ValueError(f"None of the {len(self._pairs)} pairs can be read.")
