"""What the writers of ONNX, OpenVINO and LiteRT need to know of a network."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from tfseg.types import Array, Tensor

if TYPE_CHECKING:
    import keras


class Deployment(Protocol):
    """A network on its way to another runtime: a job of `tfseg.export`, or one of an engine."""

    @property
    def network(self) -> "keras.Model":
        """The model whose only output are the logits."""

    @property
    def deployed(self) -> "keras.Model":
        """The network with all that `outputs` asks for."""

    @property
    def deployed_type(self) -> str:
        """The type of the images that `deployed` takes."""

    @property
    def shape(self) -> tuple[int | None, int | None, int | None, int]:
        """The shape of the images; None where any size is possible."""

    @property
    def outputs(self) -> str:
        """The name of the output."""

    @property
    def metadata_text(self) -> str:
        """Metadata for files that keep it inside."""


class CalibratedDeployment(Deployment, Protocol):
    """One that has photographs."""

    def calibration(self) -> Iterator[Array | Tensor]:
        """Yields photographs as `deployed` takes them."""
