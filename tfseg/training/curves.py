"""The curves of a run as an image."""

from collections.abc import Mapping, Sequence

from tfseg.types import Path
from tfseg.writing import atomic


def draw_curves(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Writes an image of loss and scores over the steps; without matplotlib, nothing is written.

    Args:
        rows: rows of the run's log.
        path: where the image is written; an existing file is replaced.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    keys = {key for row in rows for key in row if not key.startswith("iou ")}  # a curve per class would be too many
    for key in sorted(keys - {"epoch", "step", "seconds", "learning_rate"}):
        points = [(row["step"], row[key]) for row in rows if key in row]
        (left if key.endswith("loss") else right).plot(*zip(*points, strict=True), label=key, marker=".")
    for axes, title in ((left, "loss"), (right, "validation")):
        axes.set_xlabel("step")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with atomic(path, overwrite=True) as partial:
        figure.savefig(partial, dpi=120)
