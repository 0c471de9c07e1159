"""The types that signatures of this package share."""

import os
from collections.abc import Mapping

import numpy as np

Path = str | os.PathLike[str]
"""A file or a directory on this machine."""

Shape = tuple[int, ...]
"""Sizes of the axes of a tensor."""

Shapes = Mapping[str, Shape]
"""Key of a tensor, or path of a variable -> its shape."""

Arrays = Mapping[str, np.ndarray]
"""Key of a tensor -> its values."""
