"""The curves of a run as an image: loss, scores, the best epoch, and the IoU of each class."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tfseg.types import Path
from tfseg.writing import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PER_CLASS = "iou "  # how the columns of single classes begin
_SCORE = "mean_iou"  # the score whose best epoch is kept
_MOST_CLASSES = 30  # classes with a plot of their own: of more, those of lowest IoU
_COLUMNS, _SMALL = 6, 1.35  # plots of classes in a row, and their height in inches
_NO_CURVES = {"epoch", "step", "seconds"}
# Told apart by people who see colors otherwise, and by their dashes.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", "--", "-.", ":")
_LABELS = {"loss": "training loss", "val_loss": "validation loss", "frequency_weighted_iou": "weighted IoU"}
_MARK = "0.45"  # gray of what marks the best epoch

Rows = Sequence[Mapping[str, float]]


def draw_curves(rows: Rows, path: Path, *, title: str = "") -> None:
    """Writes an image of a run, epoch by epoch; without matplotlib, nothing is written.

    Args:
        rows: rows of the run's log.
        path: where the image is written; an existing file is replaced.
        title: name of the run.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    best = _best(rows)
    classes = _classes(rows, best)
    lines = math.ceil(len(classes) / _COLUMNS)
    height = 4.4 + _SMALL * lines
    figure = Figure(figsize=(12, height))
    keys = _keys(rows)
    losses = [key for key in keys if key.endswith("loss")]
    scores = [key for key in keys if key not in losses and key != "learning_rate"]
    panels = [("loss", "training and validation" if "val_loss" in losses else "training", losses)]
    panels += [("score", "validation", scores)] if scores else []
    # Laid out by hand: matplotlib takes seconds to lay out a plot for every class, after every epoch.
    places = {"left": 0.05, "right": 0.88, "wspace": 0.48, "top": 1 - 0.75 / height, "bottom": 1 - 3.8 / height}
    plots = figure.subplots(1, len(panels), squeeze=False, gridspec_kw=places)[0]
    for axes, (what, part, shown) in zip(plots, panels, strict=True):
        _draw(axes, rows, shown)
        if best:
            axes.axvline(best["epoch"], color=_MARK, linestyle=":", label=f"best: epoch {best['epoch']:.0f}")
        axes.set_title(f"{what} ({part})", fontsize=10, loc="left")
        axes.set_xlabel("epoch", loc="right")
        if what == "score":
            axes.set_ylim(0, 1)
        # Outside: whatever the curves do, it hides none of them.
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    if classes:
        places = {"left": 0.03, "right": 0.985, "top": 1 - 4.9 / height, "bottom": 0.3 / height}
        places |= {"wspace": 0.16, "hspace": 0.55}
        small = figure.subplots(lines, _COLUMNS, squeeze=False, gridspec_kw=places).ravel()
        for axes in small[len(classes) :]:
            axes.set_axis_off()
        for axes, name in zip(small, classes, strict=False):
            _draw_class(axes, rows, name, best)
        known = len({key for row in rows for key in row if key.startswith(PER_CLASS)})
        which = "each class" if known == len(classes) else f"the {len(classes)} weakest of {known} classes"
        heading = f"IoU of {which} (validation), and the mean of all classes in gray"
        figure.text(0.03, 1 - 4.6 / height, heading, fontsize=10)
    figure.suptitle(_title(rows, title, best), fontsize=12, x=0.03, y=1 - 0.15 / height, ha="left", va="top")
    with atomic(path, overwrite=True) as partial:
        figure.savefig(partial, dpi=120, format="png")


def _keys(rows: Rows) -> list[str]:
    """The curves of a whole run, in the order of the log, the main score first."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in _NO_CURVES and not key.startswith(PER_CLASS))
    return sorted(keys, key=lambda key: key != _SCORE)


def _best(rows: Rows) -> Mapping[str, float] | None:
    """The first row of the highest mean IoU, whose state is `best.keras`; None without a validation."""
    scored = [row for row in rows if row.get(_SCORE, -1) >= 0]
    return max(scored, key=lambda row: row[_SCORE]) if scored else None


def _classes(rows: Rows, best: Mapping[str, float] | None) -> list[str]:
    """The names of the classes that have a plot, in the order of the classes."""
    names = list(dict.fromkeys(key for row in rows for key in row if key.startswith(PER_CLASS)))
    if len(names) > _MOST_CLASSES:
        worst = set(sorted(names, key=lambda name: (best or {}).get(name, math.inf))[:_MOST_CLASSES])
        names = [name for name in names if name in worst]
    return names


def _title(rows: Rows, title: str, best: Mapping[str, float] | None) -> str:
    parts = [title] if title else []
    if rows:
        epochs = round(rows[-1]["epoch"])
        parts.append(f"{epochs} epoch{'s' * (epochs != 1)}, {rows[-1]['step']:.0f} steps")
    if best:
        parts.append(f"best: epoch {best['epoch']:.0f}, mean IoU {100 * best[_SCORE]:.1f} %")
    return "   ".join(parts)


def _draw(axes: "Axes", rows: Rows, keys: Sequence[str]) -> None:
    """A line for each key."""
    for place, key in enumerate(keys):
        points = [(row["epoch"], row[key]) for row in rows if key in row]
        color, dash = _COLORS[place % len(_COLORS)], _DASHES[place % len(_DASHES)]
        label = _LABELS.get(key, key.replace("_", " ").replace("iou", "IoU"))
        axes.plot(*zip(*points, strict=True), dash, label=label, color=color, marker=".", markersize=4, linewidth=1.4)
    _whole_epochs(axes, rows)
    axes.grid(alpha=0.25)


def _draw_class(axes: "Axes", rows: Rows, key: str, best: Mapping[str, float] | None) -> None:
    """The IoU of one class over the mean of all, which is gray."""
    for name, color in ((_SCORE, "0.75"), (key, _COLORS[0])):
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 3 else None, color=color, linewidth=1.3)
    if best:
        axes.axvline(best["epoch"], color=_MARK, linestyle=":", linewidth=1)
    value = (best or {}).get(key)
    score = "" if value is None else f"  {100 * value:.0f} %"
    name = key.removeprefix(PER_CLASS)
    axes.set_title(f"{name if len(name) <= 18 else name[:17] + '…'}{score}", fontsize=8, loc="left", pad=2)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axes.tick_params(labelsize=7, length=2)
    axes.grid(alpha=0.2)
    _whole_epochs(axes, rows, most=4)


def _whole_epochs(axes: "Axes", rows: Rows, most: int = 10) -> None:
    """Ticks at whole epochs alone, with room for a run of a single one."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    margin = max(0.5, 0.02 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))
