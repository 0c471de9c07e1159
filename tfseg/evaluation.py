"""How good a segmenter is on a data set, as papers measure it: whole photographs, several sizes, or sliding windows."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfseg import drawing
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.loader import load, resize_pair
from tfseg.drawing.confusion import draw_matrix
from tfseg.drawing.legends import font_size, legend_entries
from tfseg.drawing.painting import painted
from tfseg.drawing.sheets import Tile, arrange
from tfseg.engines.runner import EngineRunner, checked_runner
from tfseg.losses import SegmentationLoss
from tfseg.mean_losses import MeanLoss
from tfseg.metrics import SCORES, Scores, confusion_matrix, scores
from tfseg.prediction.class_maps import class_map, score_blocks
from tfseg.prediction.model import check_images, preprocessing_of
from tfseg.progress import ProgressOption, track
from tfseg.types import Path, Preprocessing, Size
from tfseg.writing import atomic

if TYPE_CHECKING:
    from PIL import Image

_LARGE_WINDOW = 1024, 1024  # pixels of a large photograph that the model sees at once

__all__ = ["Evaluation", "class_map", "draw_confusion", "draw_pair", "evaluate", "write_confusion"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model scored on a data set. As text, it is the table that a paper prints.

    Attributes:
        dataset: data set that was measured.
        matrix: number of pixels by true class (row) and predicted class (column).
        accuracies: pixel accuracy of each photograph, in the order of the data set; NaN if all pixels are void.
        published: a score in percent to compare with, and what it was measured on; or None.
        loss: the loss, if one was measured.

    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("street", (pair,), tfseg.data.Labels(2), ("road", "car"))
        >>> evaluation = tfseg.evaluation.Evaluation(dataset, np.array([[3, 1], [0, 4]]), (0.875,))
        >>> evaluation.scores["mean_iou"]
        0.775
        >>> print(str(evaluation).splitlines()[1])
        road                       75.00     75.00      50.00
    """

    dataset: Dataset
    matrix: np.ndarray
    accuracies: tuple[float, ...]
    published: tuple[float, str] | None = None
    loss: float | None = None

    @property
    def scores(self) -> Scores:
        """The scores of the matrix, as `tfseg.metrics.scores` returns them."""
        return scores(self.matrix)

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, or their numbers if the data set does not name them."""
        return [str(name) for name in self.dataset.classes or range(self.dataset.num_classes)]

    def __str__(self) -> str:
        values = self.scores
        share = self.matrix.sum(axis=1) / max(1, self.matrix.sum())
        lines = [f"{'class':24}{'IoU':>8}{'accuracy':>10}{'of pixels':>11}"]
        for name, iou, accuracy, part in zip(self.class_names, values["iou"], values["accuracy"], share, strict=True):
            lines.append(f"{name:24}{_percent(iou):>8}{_percent(accuracy):>10}{_percent(part):>11}")
        lines += [f"{name.replace('_', ' '):24}{_percent(values[name]):>8}" for name in SCORES]
        if self.loss is not None:
            lines.append(f"{'loss':24}{self.loss:8.4f}")
        if self.published:
            lines.append(f"{'published mean iou':24}{self.published[0]:8.2f}  {self.published[1]}")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Writes everything as JSON; NaN as null.

        Args:
            path: where the JSON file is written.
        Raises:
            OSError: the file cannot be written.
        """
        values = self.scores
        content: dict[str, Any] = {
            "dataset": self.dataset.name,
            "photographs": len(self.accuracies),
            **{name: _plain(values[name]) for name in SCORES},
            **({} if self.loss is None else {"loss": _plain(self.loss)}),
            "classes": self.class_names if self.dataset.classes else list(range(self.dataset.num_classes)),
            "iou": [_plain(value) for value in values["iou"]],
            "accuracy": [_plain(value) for value in values["accuracy"]],
            "confusion_matrix": self.matrix.tolist(),
            "pixel_accuracies": {
                str(pair.image): _plain(value) for pair, value in zip(self.dataset.pairs, self.accuracies, strict=True)
            },
        }
        with atomic(path, overwrite=True) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1))

    def worst(self, count: int = 8) -> list[Pair]:
        """The pairs of lowest pixel accuracy, the worst first.

        Args:
            count: number of pairs.
        """
        order = np.argsort([1.0 if np.isnan(value) else value for value in self.accuracies], kind="stable")
        return [self.dataset.pairs[index] for index in order[:count]]


def evaluate(
    model: keras.Model,
    dataset: Dataset,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
    most_pixels: int | None = None,
    preprocessing: Preprocessing | None = None,
    shorter_side: int | None = None,
    progress: ProgressOption = False,
    published: tuple[float, str] | None = None,
    engine: EngineRunner | str | None = None,
    explain: bool = False,
    loss: SegmentationLoss | None = None,
) -> Evaluation:
    """The scores of a model over all pixels of a data set.

    Args:
        model: segmentation model.
        dataset: photographs and masks to measure on.
        scales: factors by which the sides of a photograph are resized; the probabilities at all scales are averaged.
        flip: whether the model sees the mirrored photograph, too.
        window: `(height, width)` in pixels of the window that slides over a photograph, see `class_map`.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        most_pixels: photographs of more pixels are seen through windows of 1024x1024, if `window` is None; None: all
            photographs are seen whole.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it; by default, the one that
            the model carries.
        shorter_side: pixels to which the shorter side of photographs and masks is resized first, as some protocols
            want; None keeps their sizes.
        progress: True shows on stderr how many photographs are done, how fast, and the time left. A function is called
            with the numbers of photographs done and in all.
        published: a score in percent to show below the scores, and what it was measured on.
        engine: what computes the logits: a name, the result of `tfseg.compile`, or None for the model itself, see
            `tfseg.predict`.
        explain: whether to print which engine computes, and why.
        loss: a loss of `tfseg.losses` that is measured, too, see `tfseg.mean_losses`. It takes logits, so the model
            sees every photograph once: at scale 1, not mirrored.
    Raises:
        ValueError: a pair cannot be read; the model predicts a class that the data set does not have; the engine is
            not installed; or a loss is wanted of several views.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("street", (pair,), tfseg.data.Labels(11))
        >>> evaluation = tfseg.evaluation.evaluate(model, dataset)
        >>> evaluation.scores["pixel_accuracy"] > 0.8
        True
    """
    if loss is not None and (tuple(scales) != (1.0,) or flip):
        raise ValueError(f"A loss takes the logits of one view. Received: scales={tuple(scales)}, flip={flip}")
    measured = None if loss is None else MeanLoss(loss)
    preprocessing = preprocessing or preprocessing_of(model)
    check_images(model, preprocessing, dataset.photographs.channels, dataset.name)
    runner = checked_runner(model, engine, explain=explain)
    matrix, accuracies = np.zeros((dataset.num_classes,) * 2, "int64"), []
    for pair in track(dataset.pairs, progress, unit="photographs"):
        image, mask = load(pair, dataset.labels, dataset.photographs)
        if shorter_side:
            image, mask = resize_pair(image, mask, shorter_side)
        is_large = most_pixels is not None and mask.size > most_pixels
        seen = window or (_LARGE_WINDOW if is_large else None)
        how: dict[str, Any] = {"scales": scales, "flip": flip, "window": seen, "overlap": overlap, "engine": runner}
        classes = np.empty(mask.shape, "int32")
        for rows, columns, values in score_blocks(model, image, **how, preprocessing=preprocessing):
            classes[rows, columns] = values.argmax(axis=-1)
            if measured:
                measured.update(mask[rows, columns], values)
        if measured:
            measured.end_photograph()
        if classes.max() >= dataset.num_classes:
            raise ValueError(
                f"The data set {dataset.name!r} has {dataset.num_classes} classes, the model {model.name!r} more. "
                f"Received: class {classes.max()} in a prediction."
            )
        matrix += confusion_matrix(mask, classes, dataset.num_classes, dataset.labels.void_id)
        counted = mask != dataset.labels.void_id
        accuracies.append(float((classes == mask)[counted].mean()) if counted.any() else float("nan"))
    mean = measured.result() if measured else None
    return Evaluation(dataset, matrix, tuple(accuracies), published, mean)


def draw_pair(model: keras.Model, pair: Pair, dataset: Dataset, **options: Any) -> "Image.Image":
    """A Pillow image: a photograph under the predicted classes, and beside it under the true ones; void is hatched.

    Args:
        model: segmentation model.
        pair: photograph and mask.
        dataset: data set that the pair is from.
        **options: options of `class_map`.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("street", (pair,), tfseg.data.Labels(11))
        >>> picture = tfseg.evaluation.draw_pair(model, pair, dataset)
        >>> picture.width >= 2 * 480, picture.height > 360
        (True, True)
    """
    image, mask = load(pair, dataset.labels, dataset.photographs)
    predicted = class_map(model, image, **options)
    void = dataset.num_classes
    true = np.where(mask == dataset.labels.void_id, void, mask)
    shown, table = drawing.as_photograph(image), drawing.color_table(dataset.colors, void + 1)
    counts = np.bincount(np.stack([predicted, true]).ravel(), minlength=void + 1)
    counted = true != void
    share = f": {100 * (predicted == true)[counted].mean():.1f} % of the pixels are right" if counted.any() else ""
    tiles = [
        Tile(painted(shown, classes, table, alpha=drawing.ALPHA, outlines=True, void=void), caption)
        for classes, caption in ((predicted, f"predicted{share}"), (true, "true"))
    ]
    em = font_size(mask.shape[::-1])
    legend = legend_entries(counts, table, dataset.classes, void=void, shares=False)
    return arrange(tiles, legend, columns=2, em=em, title=pair.image.name, gap=max(2, em // 4))


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draws the confusion matrix of an evaluation, each row as shares of its true class.

    Beside it are the pixels, precision and recall of each class. Up to 30 classes, every cell has its number.

    Args:
        evaluation: result of `evaluate`.
        path: where the PNG is written.
    Raises:
        ValueError: matplotlib is not installed.

    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("street", (pair,), tfseg.data.Labels(2), ("road", "car"))
        >>> evaluation = tfseg.evaluation.Evaluation(dataset, np.array([[3, 1], [0, 4]]), (0.875,))
        >>> tfseg.evaluation.draw_confusion(evaluation, "confusion.png")
        >>> tfseg.read_image("confusion.png").shape[-1]
        3
    """
    draw_matrix(evaluation.matrix, evaluation.class_names, path, title=evaluation.dataset.name)


def write_confusion(evaluation: Evaluation, path: Path) -> None:
    """Writes the confusion matrix of an evaluation as CSV: a row for each true class, numbers of pixels.

    Args:
        evaluation: result of `evaluate`.
        path: where the CSV file is written.
    Raises:
        OSError: the file cannot be written.

    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> dataset = tfseg.data.Dataset("street", (pair,), tfseg.data.Labels(2), ("road", "car"))
        >>> evaluation = tfseg.evaluation.Evaluation(dataset, np.array([[3, 1], [0, 4]]), (0.875,))
        >>> tfseg.evaluation.write_confusion(evaluation, "confusion.csv")
        >>> pathlib.Path("confusion.csv").read_text().splitlines()
        ['true,road,car', 'road,3,1', 'car,0,4']
    """
    names = evaluation.class_names
    with atomic(path, overwrite=True) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["true", *names])
        writer.writerows([name, *map(int, row)] for name, row in zip(names, evaluation.matrix, strict=True))


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.2f}"


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
