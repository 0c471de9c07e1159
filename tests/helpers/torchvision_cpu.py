"""torchvision under a torch that its wheel was not built for."""

import functools
import importlib.util
import pathlib
import re

import pytest


@functools.cache
def import_torchvision():
    """The `torchvision` module; the calling test is skipped where it is not installed.

    torchvision's wheel is built for one CUDA torch. Under a CPU torch its compiled operators do not load, and its
    import then fails where it attaches shape functions to operators that do not exist. Their bare names are enough
    for the import, and no network needs the operators: so they are declared, with no kernel behind them.
    """
    pytest.importorskip("torch")
    found = importlib.util.find_spec("torchvision")
    if found is None:
        pytest.skip("torchvision is not installed")
    # Local imports: collecting the tests must not need torch.
    import torch

    try:
        import torchvision
    except RuntimeError:  # "operator torchvision::nms does not exist"
        registrations = pathlib.Path(found.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        for name in sorted(set(re.findall(r'register_fake\("torchvision::(\w+)"\)', registrations))):
            _library(torch).define(f"{name}() -> ()")
        import torchvision
    return torchvision


@functools.cache  # the declarations last only as long as the library object
def _library(torch):
    return torch.library.Library("torchvision", "FRAGMENT")
