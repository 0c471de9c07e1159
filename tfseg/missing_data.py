"""Pixels without data: which they are, by what a file or its user says."""

import math
import pathlib
from typing import Literal

import numpy as np

from tfseg.georeference import TIFF_SUFFIXES, no_data_value, tiff_tags
from tfseg.types import Array, Path

NoData = float | Literal["none"] | None
"""The value of pixels without data; "none": there are no such pixels; None: what the file says."""


def check_no_data(no_data: object) -> None:
    """Raises ValueError unless something can be the value of pixels without data.

    Args:
        no_data: a number, which may be NaN; "none"; or None.
    """
    if (
        no_data is not None
        and no_data != "none"
        and (isinstance(no_data, bool) or not isinstance(no_data, int | float))
    ):
        raise ValueError(
            "no_data is the value of pixels without data, a number or float('nan'); or \"none\", if all have data; or "
            f"None, for what the files say. Received: {no_data!r}"
        )


def missing_values(values: Array, no_data: NoData, said: float | None, masked: Array | None) -> Array | None:
    """Which values have no data: booleans of the same shape; None if nothing says so.

    Args:
        values: numbers `(height, width, channels)`.
        no_data: what the user says.
        said: the value that the file says; None: it says nothing.
        masked: pixels `(height, width)` that a mask in the file leaves out; None: it has no mask.
    """
    if isinstance(no_data, str):
        return None
    everywhere = None if masked is None else np.broadcast_to(masked[..., None], values.shape)
    value = said if no_data is None else no_data
    if value is None:
        return everywhere
    missing = is_no_data(values, value)
    if value in _brightnesses(values.dtype):
        missing = np.broadcast_to(missing.all(axis=-1, keepdims=True), values.shape)
    return missing if everywhere is None else missing | everywhere


def _brightnesses(dtype: np.dtype) -> tuple[float, ...]:
    """Values that may stand for missing data, and that a camera writes as well."""
    return (0.0, float(np.iinfo(dtype).max)) if np.issubdtype(dtype, np.integer) else (0.0,)


def is_no_data(values: Array, no_data: float) -> Array:
    """Which values stand for missing data: booleans of the same shape.

    Args:
        values: numbers of any type.
        no_data: value that stands for missing data; it may be NaN.
    """
    if math.isnan(no_data):
        return np.isnan(values) if np.issubdtype(values.dtype, np.floating) else np.zeros(values.shape, bool)
    if np.issubdtype(values.dtype, np.floating):  # a file of 32 bits says its value with all digits of 64
        return values == values.dtype.type(no_data)
    return values == no_data


def missing_pixels(image: Array) -> Array | None:
    """Which pixels have no data in any channel: booleans `(..., height, width)`; None if all have some.

    Args:
        image: `(..., height, width, channels)`, with NaN for missing values.
    """
    if not np.issubdtype(image.dtype, np.floating):
        return None
    missing = np.isnan(image).all(axis=-1)
    return missing if missing.any() else None


def black_border(path: Path, pixels: Array, no_data: NoData = None) -> Array | None:
    """Which pixels of a photograph have no data: booleans `(height, width)`; None if all have.

    Args:
        path: path of the photograph.
        pixels: uint8 `(height, width, 3)`, as it was read.
        no_data: the value that all channels of a pixel without data have; None: what a TIFF of 8 bits says.
    """
    if isinstance(no_data, str):
        return None
    value = no_data
    if value is None and pathlib.Path(path).suffix.lower() in TIFF_SUFFIXES:
        tags = tiff_tags(path)
        bits = tags.get(258, 8)
        if set(bits if isinstance(bits, tuple) else (bits,)) == {8}:
            value = no_data_value(tags)
    if value is None:
        return None
    missing = (pixels == value).all(axis=-1)
    return missing if missing.any() else None
