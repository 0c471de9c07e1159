"""The preprocessing that a hub's configuration states, in the words of `tfseg.specs.PREPROCESSING`."""

import math
from collections.abc import Mapping, Sequence
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
    if not (_three(mean) and _three(std)) or any(value == 0 for value in std) or divisor <= 0:  # type: ignore[attr-defined]
        return None
    stated = specs.ImagePreprocessing(
        channel_order=channel_order,
        divisor=float(divisor),
        mean=tuple(map(float, mean)),  # type: ignore[arg-type]
        std=tuple(map(float, std)),  # type: ignore[arg-type]
    )
    return next((known for known in specs.PREPROCESSING.values() if _alike(known, stated)), stated)


def _three(values: object) -> bool:
    return (
        isinstance(values, Sequence)
        and len(values) == 3
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _alike(known: specs.ImagePreprocessing, stated: specs.ImagePreprocessing) -> bool:
    if known["channel_order"] != stated["channel_order"] or len(known["mean"]) != 3:
        return False
    numbers = [(known["divisor"], *known["mean"], *known["std"]), (stated["divisor"], *stated["mean"], *stated["std"])]
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(*numbers, strict=True))
