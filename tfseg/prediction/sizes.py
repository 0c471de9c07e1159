"""Which sizes of images a model takes."""

import bisect
import re
import weakref
from collections.abc import Sequence

import keras
import numpy as np

from tfseg.layers.metadata import size_multiple
from tfseg.types import Size

_SMALL = 256  # pixels: no network that is listed here needs more
_LARGE = 2048
_EMPTY = re.compile("Computed output size would be .*negative")  # Keras, of a pooling or a kernel
_large_enough: weakref.WeakKeyDictionary[keras.Model, list[Size]] = weakref.WeakKeyDictionary()


def checked_size(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    """The batch, or a ValueError: a function traced for any size would compute something, and not complain.

    Args:
        model: segmentation model.
        batch: preprocessed images.
    Raises:
        ValueError: the model does not take images of this size.
    """
    expected_size, size = model.input_shape[1:3], tuple(batch.shape[1:3])
    if any(expected not in (None, side) for expected, side in zip(expected_size, size, strict=True)):
        raise ValueError(
            f"The model {model.name!r} takes images of {expected_size}, height and width. Received: {size}. Resize "
            f"them, or slide a window over larger ones, at scale 1: window={expected_size} "
            f"(--window={','.join(map(str, expected_size))})"
        )
    multiple = size_multiple(model)
    if any(side % multiple for side in size):
        window = tuple(max(side // multiple, 1) * multiple for side in (512, 512))
        raise ValueError(
            f"The model {model.name!r} takes images whose sides are multiples of {multiple} pixels. Received: {size}. "
            f"Resize them, or slide a window over larger ones: window={window} "
            f"(--window={','.join(map(str, window))})"
        )
    if min(size) < _SMALL:
        _check_maps(model, (size[0], size[1]))
    return batch


def _check_maps(model: keras.Model, size: Size) -> None:
    """Refuses images of which some map has no pixels: what follows would compute with nothing, and not complain."""
    if not _fills_all_maps(model, size):
        raise ValueError(
            f"The model {model.name!r} takes larger images: of {size}, height and width, a map inside it has no "
            "pixels left. Enlarge them."
        )


def _fills_all_maps(model: keras.Model, size: Size) -> bool:
    enough = _large_enough.setdefault(model, [])
    if any(height <= size[0] and width <= size[1] for height, width in enough):
        return True
    try:
        batch, *_, channels = model.input_shape
        model.compute_output_spec(keras.KerasTensor((batch or 1, *size, channels)))
    except ValueError as error:
        if _EMPTY.search(str(error)):
            return False
    except Exception:  # a layer of the user's own that says no shapes: its network is run as it is
        return True
    enough.append(size)
    return True


def least_side(model: keras.Model) -> int:
    """The smallest height and width, in pixels, that leave every map inside a model with pixels.

    Args:
        model: segmentation model. One that takes a fixed size has been built at it: 1.
    """
    if None not in model.input_shape[1:3]:
        return 1
    height, width = model.input_shape[1:3]
    step = size_multiple(model)

    def suffices(number: int) -> bool:
        return _fills_all_maps(model, (height or number * step, width or number * step))

    most = max(_LARGE // step, 1)
    return step * (1 + bisect.bisect_left(range(1, most), True, key=suffices)) if not suffices(1) else 1


def sizes_like(model: keras.Model, sizes: Sequence[Size], fixed: tuple[int | None, int | None]) -> list[Size]:
    """Sizes near some given ones that a model takes: large enough, and multiples where it takes only those.

    Args:
        model: segmentation model.
        sizes: heights and widths, in pixels.
        fixed: the height and width that images must have; None where any is possible.
    """
    step = size_multiple(model)
    more = max(least_side(model) - min(map(min, sizes)), 0)
    near = [
        [known or -(-(side + more) // step) * step for side, known in zip(size, fixed, strict=True)] for size in sizes
    ]
    return list(dict.fromkeys((height, width) for height, width in near))
