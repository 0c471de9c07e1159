"""Which sizes of images a model takes."""

import re
import weakref

import keras
import numpy as np

from tfseg.layers.metadata import size_multiple
from tfseg.types import Size

_SMALL = 256  # pixels: no network that is listed here needs more
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
            f"them, or slide a window over larger ones: window={expected_size} "
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
    enough = _large_enough.setdefault(model, [])
    if any(height <= size[0] and width <= size[1] for height, width in enough):
        return
    try:
        batch, *_, channels = model.input_shape
        model.compute_output_spec(keras.KerasTensor((batch or 1, *size, channels)))
    except ValueError as error:
        if _EMPTY.search(str(error)):
            raise ValueError(
                f"The model {model.name!r} takes larger images: of {size}, height and width, a map inside it has no "
                "pixels left. Enlarge them."
            ) from error
    except Exception:  # a layer of the user's own that says no shapes: its network is run as it is
        return
    enough.append(size)
