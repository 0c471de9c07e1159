"""The types that signatures of this package share."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

Path = str | os.PathLike[str]
"""A file or a directory on this machine."""

Array = np.ndarray
"""Values in NumPy."""

Tensor = keras.KerasTensor | Any
"""A symbolic tensor of Keras, or a tensor of the backend."""

Size = tuple[int, int]
"""Height and width in pixels."""

Preprocessing = str | Mapping[str, Any]
"""A name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it."""

ClassIds = int | Sequence[int] | None
"""One class id, several, or none."""
