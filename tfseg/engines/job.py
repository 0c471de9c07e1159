"""What an engine is built from."""

import dataclasses
from collections.abc import Callable

import keras

from tfseg.types import Array

Run = Callable[[Array], Array]
"""A function from a preprocessed batch, float32 `(batch, height, width, channels)`, to logits."""

AtPrecision = Callable[[str], Run]
"""A function from a dtype to the network in it: the network is converted once, and compiled for each dtype."""


class EngineError(ValueError):
    """Why an engine does not run a model. The model itself computes then, and one line says so."""


@dataclasses.dataclass(frozen=True, eq=False)
class EngineJob:
    """A rewritten network for one engine; the writers of `tfseg.exporting` take it.

    Attributes:
        network: model whose only output are the logits.
        shape: shape of the images `(batch, height, width, channels)`; None where any size is possible.
        threads: threads that the engine may use; None: as many as it likes.
    """

    network: keras.Model
    shape: tuple[int | None, int | None, int | None, int]
    threads: int | None = None

    @property
    def deployed(self) -> keras.Model:
        """The network: engines take preprocessed images and give logits."""
        return self.network

    @property
    def deployed_type(self) -> str:
        """The type of the images."""
        return "float32"

    @property
    def outputs(self) -> str:
        """The name of the output."""
        return "logits"

    @property
    def metadata_text(self) -> str:
        """No metadata: the file does not stay."""
        return "{}"
