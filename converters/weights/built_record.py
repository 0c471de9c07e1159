"""What a model that was built from a program remembers: where each tensor went, and which module a layer is.

It travels in the model's `tfseg.layers.Metadata` layer, so it survives `.keras` files, cloning and `dilate`.
"""

import base64
import dataclasses
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.types import Shape
from tfseg.layers.metadata import Metadata


class Place(NamedTuple):
    """A variable that a tensor fills: its path, and the layout that turns the tensor into it."""

    path: str
    layout: str


class SourceTensor(NamedTuple):
    """A tensor of the source.

    Attributes:
        shape: its shape.
        dtype: name of its type.
        places: variables that it fills; several where the source uses one tensor in several layers.
    """

    shape: Shape
    dtype: str
    places: tuple[Place, ...]


class LayerModule(NamedTuple):
    """The module that a layer computes.

    Attributes:
        module: name of the module.
        axes: for each axis of the layer's result, the number of that axis in the module's.
    """

    module: str
    axes: tuple[int, ...]


class CaffeLayer(NamedTuple):
    """A layer of a `.caffemodel`.

    Attributes:
        kind: type of the layer.
        parts: for each of its blobs the part that it is, such as "weight"; `TRANSPOSED` after one that the file holds
            by input and output.
    """

    kind: str
    parts: tuple[str, ...]


TRANSPOSED = "^T"
"""What follows the part of a blob whose two axes are exchanged in the file."""


@dataclasses.dataclass(frozen=True)
class BuiltRecord:
    """What is known of the source of a built model.

    Attributes:
        family: what a receipt calls models of this front-end.
        network: name of the network.
        tensors: key -> the tensor and its variables.
        same: key -> another key that has the same tensor.
        folded: key of a tensor that another one was computed from -> path of its variable -> digest of that.
        kept: key -> a small tensor that no variable holds, such as a counter or a table of places.
        left: key -> why the model does not hold the tensor.
        constants: paths of variables that hold constants of the program, which no state dictionary has.
        modules: name of a layer -> the module that it computes.
        caffe: for a network of Caffe, name of a layer of the file -> its type and the parts that its blobs are.
    """

    family: str
    network: str
    tensors: Mapping[str, SourceTensor]
    same: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folded: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    kept: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    left: Mapping[str, str] = dataclasses.field(default_factory=dict)
    constants: tuple[str, ...] = ()
    modules: Mapping[str, LayerModule] = dataclasses.field(default_factory=dict)
    caffe: Mapping[str, CaffeLayer] = dataclasses.field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Plain dictionaries, lists and texts, as JSON has them."""
        return {
            "family": self.family,
            "network": self.network,
            "tensors": {
                key: [list(tensor.shape), tensor.dtype, [list(place) for place in tensor.places]]
                for key, tensor in self.tensors.items()
            },
            "same": dict(self.same),
            "folded": {key: dict(digests) for key, digests in self.folded.items()},
            "kept": {key: _packed(array) for key, array in self.kept.items()},
            "left": dict(self.left),
            "constants": list(self.constants),
            "modules": {layer: [row.module, list(row.axes)] for layer, row in self.modules.items()},
            "caffe": {layer: [row.kind, list(row.parts)] for layer, row in self.caffe.items()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "BuiltRecord":
        """The record that `config` wrote."""
        return cls(
            config["family"],
            config["network"],
            {
                key: SourceTensor(tuple(shape), dtype, tuple(Place(*place) for place in places))
                for key, (shape, dtype, places) in config["tensors"].items()
            },
            config["same"],
            config["folded"],
            {key: _unpacked(packed) for key, packed in config["kept"].items()},
            config["left"],
            tuple(config["constants"]),
            {layer: LayerModule(module, tuple(axes)) for layer, (module, axes) in config["modules"].items()},
            {layer: CaffeLayer(kind, tuple(parts)) for layer, (kind, parts) in config.get("caffe", {}).items()},
        )


def remember(model: keras.Model, record: BuiltRecord) -> None:
    """Lets a model carry a record.

    Args:
        model: built model, which has a `Metadata` layer.
        record: what is known of its source.
    """
    for layer in model.layers:
        if isinstance(layer, Metadata):
            layer.source = record.config()


def record_of(model: keras.Model) -> BuiltRecord | None:
    """The record that a model carries; None for a model that was not built from a program.

    Args:
        model: any Keras model.
    """
    for layer in model.layers:
        if isinstance(layer, Metadata) and layer.source:
            return BuiltRecord.from_config(layer.get_config()["source"])
    return None


def digest(values: np.ndarray) -> str:
    """A short hash of numbers in single precision, by which a change is noticed.

    Args:
        values: array of any shape.
    """
    return hashlib.sha256(np.ascontiguousarray(values, "float32").tobytes()).hexdigest()[:16]


def _packed(array: np.ndarray) -> list[Any]:
    text = base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode("ascii")
    return [str(array.dtype), list(array.shape), text]


def _unpacked(packed: Any) -> np.ndarray:
    dtype, shape, text = packed
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype).reshape(shape)
