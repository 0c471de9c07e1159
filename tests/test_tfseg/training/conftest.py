"""Shared by the tests of training."""

import pytest

from tfseg.training import runs


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Drawing the curves takes half a second per epoch."""
    monkeypatch.setattr(runs, "draw_curves", lambda rows, path, title: None)
