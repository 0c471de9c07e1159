"""The preprocessing that a hub's configuration states, in the words of `tfseg.specs.PREPROCESSING`."""

import math
from collections.abc import Mapping
from typing import Any

from tfseg import specs


def stated_preprocessing(
    mean: object, std: object, *, divisor: float = 255.0, channel_order: str = "RGB"
) -> Mapping[str, Any] | None:
    """The known preprocessing with these numbers, or one of its own; None where three numbers each are not stated.

    Args:
        mean: mean of each channel, after the division.
        std: deviation of each channel.
        divisor: what pixels of 0..255 are divided by first.
        channel_order: "RGB" or "BGR", in which the numbers stand.
    """
    means, stds = _three(mean), _three(std)
    if means is None or stds is None or 0.0 in stds or divisor <= 0:
        return None
    stated = specs.ImagePreprocessing(channel_order=channel_order, divisor=float(divisor), mean=means, std=stds)
    return next((known for known in specs.PREPROCESSING.values() if _alike(known, stated)), stated)


def _three(values: object) -> tuple[float, ...] | None:
    if not isinstance(values, list | tuple) or len(values) != 3:
        return None
    numbers = tuple(float(value) for value in values if isinstance(value, int | float) and math.isfinite(value))
    return numbers if len(numbers) == 3 else None


def _alike(known: specs.ImagePreprocessing, stated: specs.ImagePreprocessing) -> bool:
    if known["channel_order"] != stated["channel_order"] or len(known["mean"]) != 3:
        return False
    numbers = [(known["divisor"], *known["mean"], *known["std"]), (stated["divisor"], *stated["mean"], *stated["std"])]
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(*numbers, strict=True))
