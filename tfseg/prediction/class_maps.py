"""The class of every pixel as published scores are measured: at several sizes, mirrored, or by sliding windows."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfseg.engines.runner import EngineRunner, runner_of
from tfseg.prediction.model import check_channels, logits_function, preprocessing_of
from tfseg.prediction.windows import Block, slide, views
from tfseg.preprocessing import preprocess
from tfseg.types import Preprocessing, Size


def class_map(
    model: keras.Model,
    image: np.ndarray,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
    preprocessing: Preprocessing | None = None,
    engine: EngineRunner | str | None = None,
) -> np.ndarray:
    """The class of every pixel of one photograph, as published scores are measured.

    It differs from `tfseg.predict` in its windows. They slide over the photograph at each scale, a smaller photograph
    is padded to their size, and all pixels of a window count the same.

    Args:
        model: segmentation model.
        image: photograph, uint8 `(height, width, 3)`, RGB; or an image of the model's channels, as it is stored.
        scales: factors by which the sides of the photograph are resized; the probabilities at all scales are averaged.
        flip: whether the model sees the mirrored photograph, too.
        window: `(height, width)` in pixels of what the model sees at once; None for the whole photograph.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it; by default, the one that
            the model carries.
        engine: what computes the logits, see `tfseg.predict`.
    Returns: integers `(height, width)`.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> tfseg.evaluation.class_map(model, tfseg.read_image("street.png")).shape
        (360, 480)
    """
    classes = np.empty(image.shape[:2], "int32")
    how: dict[str, Any] = {"scales": scales, "flip": flip, "window": window, "overlap": overlap}
    for rows, columns, scores in score_blocks(model, image, **how, preprocessing=preprocessing, engine=engine):
        classes[rows, columns] = scores.argmax(axis=-1)
    return classes


def score_blocks(
    model: keras.Model,
    image: np.ndarray,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
    preprocessing: Preprocessing | None = None,
    engine: EngineRunner | str | None = None,
) -> Iterator[Block]:
    """The scores of which `class_map` takes the largest, in blocks that cover every pixel once.

    Of several scales, or with `flip`, the scores are mean probabilities, and otherwise logits. Windows that see a
    photograph once come block by block: memory holds the logits of one row of windows.

    Args:
        model: segmentation model.
        image: photograph, uint8 `(height, width, 3)`, RGB; or an image of the model's channels, as it is stored.
        scales: factors by which the sides of the photograph are resized.
        flip: whether the model sees the mirrored photograph, too.
        window: `(height, width)` in pixels of what the model sees at once; None for the whole photograph.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it; by default, the one that
            the model carries.
        engine: what computes the logits, see `tfseg.predict`.
    Returns: iterator of rows, columns, and scores `(rows, columns, num_classes)`.
    """
    logits = logits_function(model, runner_of(model, engine))
    preprocessing = preprocessing or preprocessing_of(model)
    check_channels(model, preprocessing)
    prepared = preprocess(image, preprocessing)[None]
    height, width = prepared.shape[1:3]
    if window and tuple(scales) == (1.0,) and not flip:  # without the logits of all pixels at once
        for rows, columns, values in slide(logits, _padded(prepared, window), window, overlap):
            rows, columns = slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))
            yield rows, columns, values[0, : rows.stop - rows.start, : columns.stop - columns.start]
        return

    def slid(images: np.ndarray) -> np.ndarray:
        rows_of_images, columns_of_images = images.shape[1:3]
        size = window or (rows_of_images, columns_of_images)
        padded, result = _padded(images, size), None
        for rows, columns, values in slide(logits, padded, size, overlap):
            if result is None:
                result = np.empty((*padded.shape[:3], values.shape[-1]), "float32")
            result[:, rows, columns] = values
        assert result is not None  # there is at least one block
        return result[:, :rows_of_images, :columns_of_images]

    yield slice(0, height), slice(0, width), views(slid, scales, flip)(prepared)[0]


def _padded(images: np.ndarray, window: Size) -> np.ndarray:
    """Images that are at least as large as a window: padded with zeros, the mean color."""
    missing = max(0, window[0] - images.shape[1]), max(0, window[1] - images.shape[2])
    return np.pad(images, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else images
