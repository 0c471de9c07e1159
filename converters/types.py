"""The types that signatures of this package share."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Path = str | os.PathLike[str]
"""A file or a directory on this machine."""

Shape = tuple[int, ...]
"""Sizes of the axes of a tensor."""

Shapes = Mapping[str, Shape]
"""Key of a tensor, or path of a variable -> its shape."""

Arrays = Mapping[str, np.ndarray]
"""Key of a tensor -> its values."""


class TorchModule(Protocol):
    """A live torch module, of which this package uses the state dictionary."""

    def state_dict(self) -> Mapping[str, Any]:
        """Key -> tensor."""


Weights = Path | Sequence[Path] | Mapping[str, Any] | TorchModule
"""Where weights come from: path, URL or published name, several of those, arrays by key, or a torch module."""
