"""torchvision under a torch that its wheel was not built for."""

import importlib.util

import pytest

from converters.families.pytorch import public_torchvision


def import_torchvision():
    """Returns the `torchvision` module; skips the calling test if it is not installed."""
    pytest.importorskip("torch")
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    return public_torchvision.import_torchvision()
