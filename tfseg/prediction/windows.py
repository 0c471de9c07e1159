"""What a network sees of a photograph: all of it, several sizes of it, its mirror image, or windows slid over it.

`see` is a function of a batch `(batch, height, width, channels)`, array to array: logits of the same height and width.
"""

import keras
import numpy as np


def views(see, scales=(1.0,), flip=False):
    """A function like `see`: the mean of its probabilities over sizes and mirror images.

    Args:
        see: function of a batch.
        scales: factors of the sides.
        flip: whether the mirror image is seen too.
    Returns: `see` itself, with its logits, where there is one view, of scale 1.
    Raises:
        ValueError: no scale, or one that is not above 0.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales are numbers above 0, as (0.5, 1.0). Received: {tuple(scales)}")
    if tuple(scales) == (1.0,) and not flip:
        return see

    def mean(images):
        size, total = images.shape[1:3], 0.0
        for scale in scales:
            scaled = _resized(images, tuple(max(1, round(side * scale)) for side in size))
            for step in (1, -1)[: 1 + flip]:
                found = see(np.ascontiguousarray(scaled[:, :, ::step]))[:, :, ::step]
                total = total + _resized(_softmax(found), size)
        return total / (len(scales) * (1 + flip))

    return mean


def slide(see, images, window, overlap, *, taper=False):
    """What `see` finds in windows slid over the images, averaged where they overlap, block by block.

    Holds no more than one window and the rows that two rows of windows share, however large the images are.

    Args:
        see: function of a batch.
        images: `(batch, height, width, channels)`.
        window: `(height, width)`, cut to the images' own.
        overlap: of two windows side by side, as a share of their side: at least 0, below 1.
        taper: whether a window counts less towards its border, which has seen less around it; otherwise all of it
            counts alike, as published scores are measured.
    Returns: iterator of `(rows, columns, values)`: two slices, and values `(batch, rows, columns, num_classes)`. The
        blocks cover every pixel once, in reading order.
    Raises:
        ValueError: a window or an overlap that is none.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap is at least 0 and below 1. Received: {overlap}")
    if len(window) != 2 or min(window) < 1:
        raise ValueError(f"A window is (height, width), pixels. Received: {tuple(window)}")
    return _blocks(see, images, [min(sides) for sides in zip(window, images.shape[1:3], strict=True)], overlap, taper)


def _blocks(see, images, window, overlap, taper):
    height, width = images.shape[1:3]
    tops, lefts = places(height, window[0], overlap), places(width, window[1], overlap)
    down, across = (_weights(side, overlap, taper) for side in window)
    weights = down[:, None, None] * across[:, None]
    down_share, across_share = _sums(tops, down, height)[:, None, None], _sums(lefts, across, width)[:, None]
    above = None  # of the windows above, the rows that those of this row see too
    for top, lower in zip(tops, [*tops[1:], height], strict=True):
        below = beside = None
        for left, right in zip(lefts, [*lefts[1:], width], strict=True):
            found = weights * see(images[:, top : top + window[0], left : left + window[1]])
            known = 0 if beside is None else beside.shape[2]
            if known:
                found[:, :, :known] += beside
            if above is not None:  # the columns before have it from `beside`
                found[:, : above.shape[1], known:] += above[:, :, left + known : left + window[1]]
            if below is None:
                below = np.empty((len(found), top + window[0] - lower, width, found.shape[-1]), "float32")
            below[:, :, left:right] = found[:, lower - top :, : right - left]
            beside = found[:, :, right - left :]
            rows, columns = slice(top, lower), slice(left, right)
            share = down_share[rows] * across_share[columns]
            yield rows, columns, found[:, : lower - top, : right - left] / share
        above = below


def places(length, window, overlap):
    """Where windows begin: evenly, the last one at the end."""
    step = max(1, int(window * (1 - overlap)))
    count = -(-(length - window) // step) + 1
    return [round(index * (length - window) / max(1, count - 1)) for index in range(count)]


def _weights(side, overlap, taper):
    """float32 `(side,)`: 1, and a rise over the overlap at both ends if they taper."""
    if not taper:
        return np.ones(side, "float32")
    rise = np.arange(1, side + 1, dtype="float32") / (int(side * overlap) + 1)
    return np.minimum(1, np.minimum(rise, rise[::-1]))


def _sums(starts, weights, length):
    total = np.zeros(length, "float32")
    for start in starts:
        total[start : start + len(weights)] += weights
    return total


def _resized(images, size):
    if images.shape[1:3] == tuple(size):
        return images
    return keras.ops.convert_to_numpy(keras.ops.image.resize(images, size, data_format="channels_last"))


def _softmax(logits):
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)
