"""The curves of a run: whole epochs, the best one marked, and a plot for each class."""

import pytest

figures = pytest.importorskip("matplotlib.figure")

from tfseg.training import curves  # noqa: E402


def drawn(rows, path, monkeypatch, **options):
    """The figure, as matplotlib knows it."""
    kept = []
    savefig = figures.Figure.savefig
    monkeypatch.setattr(
        figures.Figure,
        "savefig",
        lambda figure, *args, **kwargs: (kept.append(figure), savefig(figure, *args, **kwargs)),
    )
    curves.draw_curves(rows, path, **options)
    return kept[0]


def row(epoch, mean=None, **classes):
    scores = {} if mean is None else {"mean_iou": mean, "pixel_accuracy": 0.9}
    return {"epoch": epoch, "step": 10 * epoch, "loss": 1 / epoch, "seconds": 1.0, "learning_rate": 0.1, **scores} | {
        f"iou {name}": value for name, value in classes.items()
    }


def titles(axes):
    return [each.get_title(loc="left") for each in axes if each.get_title(loc="left")]


def test_a_run_is_told_epoch_by_epoch(tmp_path, monkeypatch):
    rows = [row(1, 0.25, road=0.5, car=0.1), row(2, 0.75, road=0.9, car=0.6), row(3, 0.5, road=0.8, car=0.2)]
    figure = drawn(rows, tmp_path / "curves.png", monkeypatch, title="streets")
    assert figure.get_suptitle() == "streets   3 epochs, 30 steps   best: epoch 2, mean IoU 75.0 %"
    assert titles(figure.axes) == ["loss (training)", "score (validation)", "road  90 %", "car  60 %"]
    loss, scores = figure.axes[:2]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training loss", "best: epoch 2"]
    assert [text.get_text() for text in scores.get_legend().get_texts()] == [
        "mean IoU",
        "pixel accuracy",
        "best: epoch 2",
    ]
    assert list(loss.lines[0].get_xdata()) == [1, 2, 3]
    for axes in figure.axes[:4]:
        assert all(tick == round(tick) for tick in axes.get_xticks())
        assert axes.lines[-1].get_xdata()[0] == 2  # the mark of the best epoch


def test_the_loss_of_the_validation_is_beside_that_of_the_training(tmp_path, monkeypatch):
    """The validation came every second epoch."""
    rows = [row(1), row(2, 0.25) | {"val_loss": 0.7}, row(3), row(4, 0.5) | {"val_loss": 0.6}]
    axes = drawn(rows, tmp_path / "curves.png", monkeypatch).axes[0]
    assert titles([axes]) == ["loss (training and validation)"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training loss",
        "validation loss",
        "best: epoch 4",
    ]
    training, validation = axes.lines[:2]
    assert list(training.get_ydata()) == [1, 1 / 2, 1 / 3, 1 / 4]
    assert (list(validation.get_xdata()), list(validation.get_ydata())) == ([2, 4], [0.7, 0.6])
    assert training.get_color() != validation.get_color()


def test_a_run_of_one_epoch_without_validation_has_one_plot(tmp_path, monkeypatch):
    figure = drawn([row(1)], tmp_path / "curves.png", monkeypatch)
    assert titles(figure.axes) == ["loss (training)"]
    first, last = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if first <= tick <= last] == [1]
    assert figure.get_suptitle() == "1 epoch, 10 steps"


def test_of_many_classes_the_weakest_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "_MOST_CLASSES", 2)
    figure = drawn([row(1, 0.5, a=0.1, b=0.8, c=0.3, d=0.9)], tmp_path / "curves.png", monkeypatch)
    assert titles(figure.axes)[2:] == ["a  10 %", "c  30 %"]
    assert any("2 weakest of 4 classes" in text.get_text() for text in figure.texts)
