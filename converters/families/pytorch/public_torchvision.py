"""torchvision, also under a torch that its wheel was not built for."""

import functools
import importlib.util
import pathlib
import re
from types import ModuleType
from typing import Any


@functools.cache
def import_torchvision() -> ModuleType:
    """The `torchvision` module.

    torchvision's wheel is built for one CUDA torch. Under a CPU torch its compiled operators do not load. Its import
    then fails where it attaches shape functions to operators that do not exist. The import needs their names only,
    and no network needs the operators. So they are declared here without a kernel.

    Raises:
        ImportError: torchvision or torch is not installed.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:  # "operator torchvision::nms does not exist"
        spec = importlib.util.find_spec("torchvision")
        if spec is None or spec.origin is None:
            raise
        registrations = pathlib.Path(spec.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        for name in sorted(set(re.findall(r'register_fake\("torchvision::(\w+)"\)', registrations))):
            _library(torch).define(f"{name}() -> ()")
        import torchvision
    module: ModuleType = torchvision
    return module


@functools.cache  # the declarations last only as long as the library object
def _library(torch: ModuleType) -> Any:
    return torch.library.Library("torchvision", "FRAGMENT")
