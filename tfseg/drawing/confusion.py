"""A confusion matrix as a picture: which class is taken for which, with precision and recall."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfseg.types import Array, Path
from tfseg.writing import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Up to so many classes, every cell has its number.
_MOST_NUMBERS = 30
# Up to so many, rows and columns have names.
_MOST_NAMES = 160
# Inches of a cell with its number, and without.
_CELL = 0.46, 0.16
_LONGEST_SIDE = 40.0
# The same scale to people who see colors otherwise, and in gray.
_SCALE = "cividis"
# Text is black on cells of a higher share.
_DARK = 0.55


def draw_matrix(matrix: Array, names: Sequence[str], path: Path, *, title: str = "") -> None:
    """Writes a confusion matrix as a PNG, each row as shares of its true class.

    To the right of each row are the number of its pixels and the recall of the class: the share that was found. Below
    each column are the number of pixels that were predicted and the precision: the share of them that is right.

    Args:
        matrix: `(classes, classes)`, number of pixels by true class (row) and predicted class (column).
        names: name of each class.
        path: where the PNG is written; an existing file is replaced.
        title: what was measured.
    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.colors import PowerNorm
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError('Drawing the confusion matrix needs matplotlib: pip install "tfseg[plots]".') from error
    matrix = np.asarray(matrix, "float64")
    count = len(names)
    right, true, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    numbered = count <= _MOST_NUMBERS
    cell = _CELL[not numbered]
    side = min(_LONGEST_SIDE, max(2.6, cell * count))
    longest = min(2.4, 0.085 * max(map(len, names)))  # inches that the names take
    figure = Figure(figsize=(side + longest + 3.2, side + longest + 1.9), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(1, true[:, None])
    # Of many classes the mistakes are spread so thin that a linear scale hides them.
    norm = PowerNorm(1 if numbered else 0.4, vmin=0, vmax=1)
    picture = axes.imshow(np.where(true[:, None] > 0, shares, np.nan), norm=norm, cmap=_SCALE)
    axes.set_facecolor("0.85")  # rows of classes that never occur
    size = 8 if numbered else max(2.5, min(7, 72 * side / count * 0.7))
    if count <= _MOST_NAMES:
        axes.set_xticks(range(count), names, rotation=90, fontsize=size)
        axes.set_yticks(range(count), names, fontsize=size)
    axes.tick_params(length=0)
    if numbered:
        _write_numbers(axes, shares, true)
    _write_margins(axes, right, true, predicted, size if count <= _MOST_NAMES else 0)
    accuracy = right.sum() / max(1, matrix.sum())
    axes.set_title(
        f"{title + ': ' if title else ''}confusion of {count} classes\n"
        f"{_pixels(matrix.sum())} pixels, {100 * accuracy:.1f} % right",
        fontsize=10,
        loc="left",
    )
    axes.set_ylabel("true class")
    axes.set_xlabel("predicted class")
    bar = figure.colorbar(picture, ax=axes, label="share of the true class (%)", shrink=0.6, aspect=25, pad=0.02)
    ticks = (0, 25, 50, 75, 100) if numbered else (0, 1, 5, 25, 50, 100)
    bar.set_ticks([tick / 100 for tick in ticks], labels=[str(tick) for tick in ticks])
    with atomic(path, overwrite=True) as unfinished:
        figure.savefig(unfinished, dpi=120, format="png")


def _write_numbers(axes: "Axes", shares: Array, true: Array) -> None:
    """The share of each cell in percent; nothing where it is zero."""
    for (row, column), share in np.ndenumerate(shares):
        if true[row] and share:
            text = "<1" if share < 0.005 else f"{100 * share:.0f}"
            color = "black" if share > _DARK else "white"
            weight = "bold" if row == column else "normal"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7.5, weight=weight)


def _write_margins(axes: "Axes", right: Array, true: Array, predicted: Array, size: float) -> None:
    """Pixels and recall to the right of each row, pixels and precision below each column."""
    if not size:
        return
    style: dict[str, Any] = {"fontsize": size, "color": "0.15"}
    rows = axes.secondary_yaxis("right")
    labels = [f"{_percent(correct, whole)}   {_pixels(whole)}" for correct, whole in zip(right, true, strict=True)]
    rows.set_yticks(range(len(true)), labels, **style)
    rows.set_ylabel("recall (%)   pixels of the class")
    columns = axes.secondary_xaxis("top")
    labels = [f"{_percent(correct, whole)}   {_pixels(whole)}" for correct, whole in zip(right, predicted, strict=True)]
    columns.set_xticks(range(len(predicted)), labels, rotation=90, **style)
    columns.set_xlabel("precision (%)   pixels predicted")
    for axis in (rows, columns):
        axis.tick_params(length=0)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}" if whole else "-"


def _pixels(count: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f}"
