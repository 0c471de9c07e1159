"""The picture of a confusion matrix: numbers, totals, precision and recall are in it."""

import numpy as np
import pytest

figures = pytest.importorskip("matplotlib.figure")

from tfseg.drawing import confusion  # noqa: E402

NAMES = ("road", "car", "never")
MATRIX = np.array([[6000, 2000, 0], [0, 2000, 0], [0, 0, 0]])


def texts(matrix, names, path, monkeypatch, **options):
    """What is written in the picture, as matplotlib knows it."""
    drawn = []
    savefig = figures.Figure.savefig
    monkeypatch.setattr(
        figures.Figure,
        "savefig",
        lambda figure, *args, **kwargs: (drawn.append(figure), savefig(figure, *args, **kwargs)),
    )
    confusion.draw_matrix(matrix, names, path, **options)
    axes = drawn[0].axes[0]
    right, top = (child for child in axes.child_axes)
    return {
        "cells": [text.get_text() for text in axes.texts],
        "rows": [label.get_text() for label in right.get_yticklabels()],
        "columns": [label.get_text() for label in top.get_xticklabels()],
        "title": axes.get_title(loc="left"),
    }


def test_cells_totals_precision_and_recall_are_written(tmp_path, monkeypatch):
    written = texts(MATRIX, NAMES, tmp_path / "matrix.png", monkeypatch, title="streets")
    assert written["cells"] == ["75", "25", "100"]  # of each true class; nothing where there is nothing
    assert written["rows"] == ["75   8 k", "100   2 k", "-   0"]
    assert written["columns"] == ["100   6 k", "50   4 k", "-   0"]
    assert written["title"] == "streets: confusion of 3 classes\n10 k pixels, 80.0 % right"
    assert (tmp_path / "matrix.png").stat().st_size > 10_000


def test_many_classes_have_no_numbers_in_their_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(confusion, "_MOST_NUMBERS", 3)
    written = texts(np.eye(4, dtype=int), list("abcd"), tmp_path / "matrix.png", monkeypatch)
    assert written["cells"] == []
    assert written["rows"] == ["100   1"] * 4
