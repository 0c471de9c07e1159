"""Which sizes of images a model takes."""

import keras
import numpy as np

from tfseg.layers.metadata import size_multiple


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
    return batch
