"""torchvision under a torch that its wheel was not built for."""

import functools
import importlib.util
import pathlib
import re

import pytest


@functools.cache
def import_torchvision():
    """Returns the `torchvision` module; skips the calling test if it is not installed.

    torchvision's wheel is built for one CUDA torch. Under a CPU torch its compiled operators do not load. Its import
    then fails where it attaches shape functions to operators that do not exist. The import needs their names only,
    and no network needs the operators. So they are declared here without a kernel.
    """
    pytest.importorskip("torch")
    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        pytest.skip("torchvision is not installed")
    # Local imports: collecting the tests must not need torch.
    import torch

    try:
        import torchvision
    except RuntimeError:  # "operator torchvision::nms does not exist"
        registrations = pathlib.Path(spec.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        for name in sorted(set(re.findall(r'register_fake\("torchvision::(\w+)"\)', registrations))):
            _library(torch).define(f"{name}() -> ()")
        import torchvision
    return torchvision


@functools.cache  # the declarations last only as long as the library object
def _library(torch):
    return torch.library.Library("torchvision", "FRAGMENT")
