"""The scores of a validation, in the memory of a training step."""

import keras
import numpy as np

from tfseg.data.datasets import Dataset
from tfseg.evaluation import evaluate
from tfseg.losses import SegmentationLoss
from tfseg.metrics import SCORES
from tfseg.training.curves import PER_CLASS
from tfseg.training.runs import Row
from tfseg.types import Size

_MOST_PIXELS = 4_000_000  # that the model sees at once


def validate(
    model: keras.Model, dataset: Dataset, window: Size | None = None, loss: SegmentationLoss | None = None
) -> Row:
    """The loss and the scores of a model, and the IoU of each class, as numbers of a log's row.

    Args:
        model: the segmenter.
        dataset: `Dataset` to measure on.
        window: `(height, width)` in pixels of the window that slides over a photograph; None: the photographs are seen
            whole, and those above 4 million pixels through windows. A model of one size sees windows of that size.
        loss: loss of the logits, without auxiliary outputs; None: it is not measured.
    """
    height, width = model.input_shape[1:3]
    if window is None and None not in (height, width):
        window = height, width
    result = evaluate(model, dataset, window=window, most_pixels=_MOST_PIXELS, loss=loss)
    values = result.scores
    classes = zip(result.class_names, values["iou"], strict=True)
    row: Row = {} if result.loss is None or np.isnan(result.loss) else {"val_loss": result.loss}
    row |= {name: float(values[name]) for name in SCORES}
    return row | {f"{PER_CLASS}{name}": float(iou) for name, iou in classes if not np.isnan(iou)}
