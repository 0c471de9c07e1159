"""Images of any channels as people can look at them."""

import warnings

import numpy as np

from tfseg.types import Array


def as_photograph(image: Array) -> Array:
    """An image of any channels as people can look at it: uint8 `(height, width, 3)`.

    Photographs stay what they are. Of other images, the first three channels are shown, each from the darkest to the
    brightest hundredth of its values, and missing data is black. With fewer than three channels, the first is gray.

    Args:
        image: `(height, width, channels)`, with NaN for missing data.

    Example:
        >>> from tfseg.drawing import as_photograph
        >>> as_photograph(np.zeros((2, 3, 5), "uint16")).shape
        (2, 3, 3)
    """
    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return image
    shown = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    shown = shown.astype("float32")
    if np.isnan(shown).all():
        return np.zeros(shown.shape, "uint8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel without any data
        low, high = np.nanpercentile(shown, (1, 99), axis=(0, 1))
        scaled = 255 * (shown - low) / np.where(high > low, high - low, 1)
    return np.nan_to_num(scaled, nan=0).clip(0, 255).astype("uint8")
