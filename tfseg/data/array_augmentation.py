"""Augmentation of arrays: the changes that `tfseg.data.augmentation` makes of tensors, without TensorFlow."""

import numpy as np

from tfseg.data.augmentation import Augmentation
from tfseg.data.labels import VOID
from tfseg.data.random_numbers import Seed, fold_in, split, uniform
from tfseg.types import Array, Size

_GRAY = 0.299, 0.587, 0.114  # shares of red, green and blue in brightness


def augment_arrays(
    image: Array, mask: Array, augmentation: Augmentation, seed: Seed, void_id: int = VOID
) -> tuple[Array, Array]:
    """One photograph and its mask with the same random changes, equal to those of `augment` up to rounding.

    Args:
        image: array `(height, width, channels)`.
        mask: array `(height, width)` of whole numbers.
        augmentation: the `Augmentation` to apply.
        seed: two integers; equal seeds give equal changes.
        void_id: the id of ignored pixels.
    Returns: the image as float32, and the mask in its type.
    """
    seeds = split(seed, 4)
    image = image.astype("float32")
    if augmentation.scale != (1, 1):
        low, high = np.log(augmentation.scale)
        factor = np.exp(uniform(seeds[0], 1, low, high)[0])
        sides = np.maximum(1, np.round(factor * np.array(mask.shape, "float32")).astype(int))
        size = int(sides[0]), int(sides[1])
        image, mask = _resized(image, size), _nearest(mask, size)
    if augmentation.rotate:
        angle = uniform(fold_in(seeds[3], 1), 1, -1.0, 1.0)[0] * np.float32(augmentation.rotate)
        image, mask = rotated_arrays(image, mask, angle, void_id)
    if augmentation.jitter:
        image = _jitter_colors(image, augmentation.jitter, seeds[1])
    if augmentation.crop:
        image, mask = _random_crop(image, mask, augmentation.crop, seeds[2], void_id)
    if augmentation.flip and uniform(seeds[3])[0] < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image, mask


def rotated_arrays(image: Array, mask: Array, degrees: float, void_id: int) -> tuple[Array, Array]:
    """Both turned around their center, against the clock; what comes from outside is void, and of the mean color.

    Args:
        image: float32 array `(height, width, channels)`.
        mask: array `(height, width)` of whole numbers.
        degrees: the angle.
        void_id: the id of ignored pixels.
    Returns: arrays of the same shapes and types.
    """
    height, width = mask.shape
    angle = np.float32(degrees) * np.float32(np.pi / 180)
    sine, cosine = np.sin(angle), np.cos(angle)
    bottom, right = np.float32(height - 1), np.float32(width - 1)
    x, y = np.arange(width, dtype="float32")[None], np.arange(height, dtype="float32")[:, None]
    # The place in the photograph that each place of the result shows.
    columns = cosine * x - sine * y + (right - cosine * right + sine * bottom) / 2
    rows = sine * x + cosine * y + (bottom - sine * right - cosine * bottom) / 2
    near_row, near_column = (np.floor(place + np.float32(0.5)).astype(int) for place in (rows, columns))
    inside = (near_row >= 0) & (near_row < height) & (near_column >= 0) & (near_column < width)
    classes = mask[near_row.clip(0, height - 1), near_column.clip(0, width - 1)]
    mean = image.mean(axis=(0, 1))
    return _interpolated(image - mean, rows, columns) + mean, np.where(inside, classes, mask.dtype.type(void_id))


def _interpolated(image: Array, rows: Array, columns: Array) -> Array:
    """The image at places between its pixels; beyond its border, it is 0."""
    height, width = image.shape[:2]
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    top, left = np.floor(rows), np.floor(columns)
    down, along = (rows - top)[..., None], (columns - left)[..., None]
    result = np.zeros_like(image)
    for row_step, row_share in ((0, 1 - down), (1, down)):
        for column_step, column_share in ((0, 1 - along), (1, along)):
            row = (top.astype(int) + row_step + 1).clip(0, height + 1)
            column = (left.astype(int) + column_step + 1).clip(0, width + 1)
            result += row_share * column_share * framed[row, column]
    return result


def _resized(image: Array, size: Size) -> Array:
    """The image in another size; a smaller one is the mean of what its pixels cover."""
    from PIL import Image

    height, width = size
    channels = [Image.fromarray(np.ascontiguousarray(image[..., index])) for index in range(image.shape[-1])]
    return np.stack([np.asarray(each.resize((width, height), Image.Resampling.BILINEAR)) for each in channels], -1)


def _nearest(mask: Array, size: Size) -> Array:
    """The mask in another size."""
    places = []
    for length, new in zip(mask.shape, size, strict=True):
        centers = (np.arange(new, dtype="float32") + np.float32(0.5)) * (np.float32(length) / np.float32(new))
        places.append(np.minimum(np.floor(centers).astype(int), length - 1))
    return mask[np.ix_(*places)]


def _random_crop(image: Array, mask: Array, crop: Size, seed: Seed, void_id: int) -> tuple[Array, Array]:
    missing = [max(side - length, 0) for side, length in zip(crop, mask.shape, strict=True)]
    if any(missing):
        padding = [(each // 2, each - each // 2) for each in missing]
        mean = image.mean(axis=(0, 1))
        image = np.pad(image - mean, (*padding, (0, 0))) + mean
        mask = np.pad(mask, padding, constant_values=void_id)
    room = np.array([length - side + 1 for length, side in zip(mask.shape, crop, strict=True)], "float32")
    top, left = (uniform(seed, 2) * room).astype(int)
    rows, columns = slice(top, top + crop[0]), slice(left, left + crop[1])
    return image[rows, columns], mask[rows, columns]


def _jitter_colors(image: Array, strength: float, seed: Seed) -> Array:
    """Changes brightness, contrast and saturation, each by a random factor around 1."""
    brightness, contrast, saturation = uniform(seed, 3, 1 - strength, 1 + strength)
    image = image * brightness
    middle = image.mean()
    image = (image - middle) * contrast + middle
    gray = (image * np.array(_GRAY, "float32")).sum(axis=-1, keepdims=True)
    return np.clip((image - gray) * saturation + gray, 0, 255)
