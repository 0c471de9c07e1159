"""The photograph and the masks of a report, inside the page."""

import base64
import html
import io
from typing import TYPE_CHECKING

import keras
import numpy as np

from converters.proof.compare import ModelComparison
from tfseg import drawing
from tfseg.layers.metadata import metadata
from tfseg.prediction.probabilities import void_of

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_SIDE = 720  # pixels: the page is sent by mail


def show_pictures(model: keras.Model | None, comparison: ModelComparison | None, image: np.ndarray | None) -> str:
    """The figures of a report: photograph, mask of the model, mask of the reference, pixels that differ.

    Args:
        model: model that gives the mask and the names and colors of classes.
        comparison: comparison, which may hold the masks of both.
        image: photograph, uint8 `(height, width, 3)`.
    """
    from PIL import Image

    masks = comparison.classes if comparison is not None else None
    mine = masks[0] if masks else _predicted(model, image)
    if image is None and mine is None:
        return ""
    figures = []
    photograph = None if image is None else Image.fromarray(drawing.as_photograph(image))
    if photograph is not None:
        photograph.thumbnail((_MOST_SIDE, _MOST_SIDE))
        figures.append(_figure(photograph, "photograph"))
    if mine is not None:
        facts = metadata(model) if model is not None else None
        colors, names = (facts["colors"], facts["classes"]) if facts else (None, None)
        canvas = photograph or Image.new("RGB", mine.shape[::-1], (128, 128, 128))
        void = void_of(len(names or ()))
        for classes, title in zip(masks or (mine,), ("the model", "the reference"), strict=False):
            picture = drawing.overlay(canvas, _sized(classes, canvas.size), colors, names, void=void)
            figures.append(_figure(picture, f"classes of {title}"))
    if masks:
        differs = masks[0] != masks[1]
        picture = Image.fromarray(np.where(differs, 255, 0).astype("uint8"))
        share = f"{differs.sum()} of {differs.size} pixels have another class (white)"
        figures.append(_figure(picture.resize(canvas.size, Image.Resampling.NEAREST).convert("RGB"), share))
    return f'<div class="pictures">{"".join(figures)}</div>'


def _predicted(model: keras.Model | None, image: np.ndarray | None) -> np.ndarray | None:
    """The classes of a segmenter that says how its images are prepared; None for other models."""
    if model is None or image is None or not metadata(model)["preprocessing"]:
        return None
    output = model.outputs[0]
    is_map = len(output.shape) == 4 and (output.shape[-1] or 0) > 1
    if len(model.inputs) != 1 or not is_map or model.inputs[0].shape[-1] != image.shape[-1]:
        return None
    from tfseg.prediction.model import predict

    try:
        classes: np.ndarray = predict(model, image)
    except ValueError:  # the model takes other sizes; the report says the rest
        return None
    return classes


def _sized(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Every n-th pixel, so that the map has a picture's size."""
    rows = (np.arange(size[1]) + 0.5) * classes.shape[0] / size[1]
    columns = (np.arange(size[0]) + 0.5) * classes.shape[1] / size[0]
    shown: np.ndarray = classes[rows.astype(int)[:, None], columns.astype(int)]
    return shown


def _figure(picture: "Image", caption: str) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    text = html.escape(caption)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption>{text}</figcaption></figure>'
