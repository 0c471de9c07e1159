"""How a network sees a photograph: whole, at several sizes, mirrored, or through windows that slide over it.

`see` is a function from a batch `(batch, height, width, channels)` to logits of the same height and width.
"""

from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from tfseg.types import Size

See = Callable[[np.ndarray], np.ndarray]
"""A function from a batch of images to logits of the same height and width, `(batch, height, width, num_classes)`."""

Block = tuple[slice, slice, np.ndarray]
"""Rows and columns of an image, and their values `(batch, rows, columns, num_classes)`."""


def views(see: See, scales: Sequence[float] = (1.0,), flip: bool = False) -> See:
    """A function like `see`: the mean of its probabilities over several sizes and mirror images.

    Args:
        see: function from a batch to logits.
        scales: factors by which the sides of the images are resized.
        flip: whether the mirrored image is seen, too.
    Returns: `see` itself, with its logits, if there is one view of scale 1.
    Raises:
        ValueError: there is no scale, or one is not above 0.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales are numbers above 0, as (0.5, 1.0). Received: {tuple(scales)}")
    if tuple(scales) == (1.0,) and not flip:
        return see

    def mean(images: np.ndarray) -> np.ndarray:
        height, width = images.shape[1:3]
        total = np.zeros((), "float32")
        for scale in scales:
            scaled = _resized(images, (max(1, round(height * scale)), max(1, round(width * scale))))
            for step in (1, -1)[: 1 + flip]:
                logits = see(np.ascontiguousarray(scaled[:, :, ::step]))[:, :, ::step]
                total = total + _resized(softmax(logits), (height, width))
        return total / (len(scales) * (1 + flip))

    return mean


def slide(see: See, images: np.ndarray, window: Size, overlap: float, *, taper: bool = False) -> Iterator[Block]:
    """What `see` computes in windows that slide over the images, averaged where they overlap, block by block.

    However large the images are, memory holds one window and the rows that two rows of windows share.

    Args:
        see: function from a batch to logits.
        images: images `(batch, height, width, channels)`.
        window: `(height, width)` in pixels, cut to the size of the images.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        taper: whether a window counts less near its border, where the network has seen less. Otherwise all of it counts
            the same, as published scores are measured.
    Returns: iterator of blocks `(rows, columns, values)`, which cover every pixel once, in reading order.
    Raises:
        ValueError: an invalid window or overlap.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap is at least 0 and below 1. Received: {overlap}")
    if len(window) != 2 or min(window) < 1:
        raise ValueError(f"A window is (height, width) in pixels. Received: {tuple(window)}")
    height, width = images.shape[1:3]
    return _blocks(see, images, (min(window[0], height), min(window[1], width)), overlap, taper)


def _blocks(see: See, images: np.ndarray, window: Size, overlap: float, taper: bool) -> Iterator[Block]:
    height, width = images.shape[1:3]
    tops, lefts = places(height, window[0], overlap), places(width, window[1], overlap)
    down, across = (window_weights(side, overlap, taper) for side in window)
    weights = down[:, None, None] * across[:, None]
    down_sums, across_sums = _sums(tops, down, height)[:, None, None], _sums(lefts, across, width)[:, None]
    above = None  # rows of the windows above that the windows of this row see, too
    for top, lower in zip(tops, [*tops[1:], height], strict=True):
        below = beside = None
        for left, right in zip(lefts, [*lefts[1:], width], strict=True):
            values = weights * see(images[:, top : top + window[0], left : left + window[1]])
            shared = 0 if beside is None else beside.shape[2]
            if beside is not None:
                values[:, :, :shared] += beside
            if above is not None:  # `beside` has added the columns before
                values[:, : above.shape[1], shared:] += above[:, :, left + shared : left + window[1]]
            if below is None:
                below = np.empty((len(values), top + window[0] - lower, width, values.shape[-1]), "float32")
            below[:, :, left:right] = values[:, lower - top :, : right - left]
            beside = values[:, :, right - left :]
            rows, columns = slice(top, lower), slice(left, right)
            yield (
                rows,
                columns,
                values[:, : lower - top, : right - left] / (down_sums[rows] * across_sums[columns]),
            )
        above = below


def places(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along one axis: evenly spaced, the last one at the end.

    Args:
        length: side of the image, in pixels.
        window: side of the window, in pixels.
        overlap: how much of its side a window shares with the next one.
    """
    step = max(1, int(window * (1 - overlap)))
    count = -(-(length - window) // step) + 1
    return [round(index * (length - window) / max(1, count - 1)) for index in range(count)]


def window_weights(side: int, overlap: float, taper: bool) -> np.ndarray:
    """How much each pixel along a side of a window counts, float32 `(side,)`.

    Args:
        side: side of the window, in pixels.
        overlap: how much of its side a window shares with the next one.
        taper: whether the weights rise over the overlap at both ends; otherwise they are 1.
    """
    if not taper:
        return np.ones(side, "float32")
    rise = np.arange(1, side + 1, dtype="float32") / (int(side * overlap) + 1)
    return np.minimum(1, np.minimum(rise, rise[::-1]))


def _sums(starts: list[int], weights: np.ndarray, length: int) -> np.ndarray:
    """The sum of the weights of all windows, at each pixel of an axis."""
    total = np.zeros(length, "float32")
    for start in starts:
        total[start : start + len(weights)] += weights
    return total


def _resized(images: np.ndarray, size: Size) -> np.ndarray:
    if images.shape[1:3] == size:
        return images
    return keras.ops.convert_to_numpy(keras.ops.image.resize(images, size, data_format="channels_last"))


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities of the classes, float32.

    Args:
        logits: scores of the classes, in the last axis.
    """
    logits = logits.astype("float32", copy=False)  # 16-bit floats are too coarse for a sum
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)
