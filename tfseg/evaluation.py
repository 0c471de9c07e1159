"""How good a segmenter is on a data set, as papers measure it: whole photographs, several sizes, or sliding windows."""

import json
import pathlib
from typing import NamedTuple

import numpy as np

from tfseg import drawing
from tfseg.data.loader import load, resized
from tfseg.data.masks import VOID
from tfseg.metrics import SCORES, ConfusionMatrix, scores
from tfseg.prediction.model import logits_function, preprocessing_of
from tfseg.prediction.windows import slide, views
from tfseg.preprocessing import preprocess
from tfseg.writing import replacing


class Evaluation(NamedTuple):
    """What a model scored.

    Attributes:
        dataset: `tfseg.data.Dataset`.
        matrix: pixels by true class (row) and predicted one (column).
        accuracies: pixel accuracy of each photograph, in the data set's order; NaN where nothing counts.
        published: `(score, what it is of)` to compare with, or None.
    """

    dataset: object
    matrix: np.ndarray
    accuracies: tuple
    published: tuple | None = None

    @property
    def scores(self):
        return scores(self.matrix)

    def __str__(self):
        """The table that a paper prints, in percent."""
        found, names = self.scores, self.dataset.classes or range(self.dataset.num_classes)
        share = self.matrix.sum(axis=1) / max(1, self.matrix.sum())
        lines = [f"{'class':24}{'IoU':>8}{'accuracy':>10}{'of pixels':>11}"]
        for name, iou, accuracy, part in zip(names, found["iou"], found["accuracy"], share, strict=True):
            lines.append(f"{name!s:24}{_percent(iou):>8}{_percent(accuracy):>10}{_percent(part):>11}")
        lines += [f"{name.replace('_', ' '):24}{_percent(found[name]):>8}" for name in SCORES]
        if self.published:
            lines.append(f"{'published mean iou':24}{self.published[0]:8.2f}  {self.published[1]}")
        return "\n".join(lines)

    def save(self, path):
        """Writes all of it as JSON; NaN as null."""
        found = self.scores
        facts = {
            "dataset": self.dataset.name,
            "photographs": len(self.accuracies),
            **{name: _plain(found[name]) for name in SCORES},
            "classes": list(self.dataset.classes or range(self.dataset.num_classes)),
            "iou": [_plain(value) for value in found["iou"]],
            "accuracy": [_plain(value) for value in found["accuracy"]],
            "confusion_matrix": self.matrix.tolist(),
            "pixel_accuracies": {
                str(pair.image): _plain(value) for pair, value in zip(self.dataset.pairs, self.accuracies, strict=True)
            },
        }
        with replacing(pathlib.Path(path)) as half:
            half.write_text(json.dumps(facts, indent=1))

    def worst(self, count=8):
        """The pairs of lowest pixel accuracy, the worst first."""
        order = np.argsort([1.0 if np.isnan(value) else value for value in self.accuracies], kind="stable")
        return [self.dataset.pairs[index] for index in order[:count]]


def evaluate(
    model,
    dataset,
    *,
    scales=(1.0,),
    flip=False,
    window=None,
    overlap=1 / 3,
    preprocessing=None,
    shorter_side=None,
    track=iter,
    published=None,
):
    """Counts every pixel of a data set.

    Args:
        model: segmenter.
        dataset: `tfseg.data.Dataset`.
        scales, flip, window, overlap: as in `class_map`.
        preprocessing: as in `tfseg.predict`.
        shorter_side: pixels to which the shorter side of photographs and masks is resized first, as some protocols
            want; None: they stay.
        track: wraps the pairs, as `tfseg.progress.track`.
        published: `(score, what it is of)`, shown beside ours.
    Returns: `Evaluation`.
    Raises:
        ValueError: a pair that cannot be read, or a model of another number of classes.
    """
    counts, accuracies = ConfusionMatrix(dataset.num_classes), []
    for pair in track(dataset.pairs):
        image, mask = load(pair, dataset.labels)
        if shorter_side:
            image, mask = resized(image, mask, shorter_side)
        classes = class_map(
            model, image, scales=scales, flip=flip, window=window, overlap=overlap, preprocessing=preprocessing
        )
        if classes.max() >= dataset.num_classes:
            raise ValueError(
                f"The data set {dataset.name!r} has {dataset.num_classes} classes, the model {model.name!r} more: it "
                f"predicts {classes.max()}."
            )
        counts.update_classes(mask, classes)
        counted = mask != VOID
        accuracies.append(float((classes == mask)[counted].mean()) if counted.any() else float("nan"))
    return Evaluation(dataset, counts.matrix(), tuple(accuracies), published)


def class_map(model, image, *, scales=(1.0,), flip=False, window=None, overlap=1 / 3, preprocessing=None):
    """The class of every pixel of one photograph, by the mean of probabilities over sizes, mirror images and windows.

    Args:
        model: segmenter.
        image: uint8 `(height, width, 3)`, RGB.
        scales: factors of its sides at which the model sees it.
        flip: whether the model sees it mirrored too.
        window: `(height, width)` of what the model sees at once, slid over the photograph at every scale; None: all.
        overlap: of two windows side by side, as a share of their side.
        preprocessing: as in `tfseg.predict`.
    Returns: integers `(height, width)`.
    """
    logits = logits_function(model)

    def slid(images):
        height, width = images.shape[1:3]
        size = window or (height, width)
        # Photographs smaller than the window are seen on a ground of zeros, the mean colour.
        padded = np.pad(images, ((0, 0), (0, max(0, size[0] - height)), (0, max(0, size[1] - width)), (0, 0)))
        found = None
        for rows, columns, values in slide(logits, padded, size, overlap):
            if found is None:
                found = np.empty((*padded.shape[:3], values.shape[-1]), "float32")
            found[:, rows, columns] = values
        return found[:, :height, :width]

    pixels = preprocess(image, preprocessing or preprocessing_of(model))
    return views(slid, scales, flip)(pixels[None])[0].argmax(axis=-1)


def overlay(model, pair, dataset, **options):
    """The photograph of a pair under the model's classes, and under the true ones beside it: a PIL image."""
    from PIL import Image

    image, mask = load(pair, dataset.labels)
    found = class_map(model, image, **options).astype("uint8")
    known = np.where(mask == VOID, found, mask)
    pictures = [drawing.overlay(image, one, dataset.colors, dataset.classes) for one in (found, known)]
    sheet = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)), "white")
    sheet.paste(pictures[0], (0, 0))
    sheet.paste(pictures[1], (pictures[0].width, 0))
    return sheet


def draw_confusion(found, path):
    """Draws the confusion matrix of an `Evaluation`, each row in shares of its true class.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError('Drawing the confusion matrix needs matplotlib: pip install "tfseg[plots]".') from error
    names = [str(name) for name in found.dataset.classes or range(found.dataset.num_classes)]
    share = found.matrix / np.maximum(1, found.matrix.sum(axis=1, keepdims=True))
    side = 2.5 + 0.3 * len(names)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(share, vmin=0, vmax=1, cmap="viridis"), label="share of the true class")
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    with replacing(pathlib.Path(path)) as half:
        figure.savefig(half, dpi=120)


def _percent(value):
    return "-" if np.isnan(value) else f"{100 * value:.2f}"


def _plain(value):
    return None if np.isnan(value) else float(value)
