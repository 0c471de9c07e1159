"""Kernels of Keras files in another order than Keras's own: Theano's, and those after a flattened channels-first map.

* Theano turns kernels by 180 degrees before it multiplies. Files say `backend`, and Keras 2 turns kernels when it loads
  a file of another kind of backend.
* Keras 1 wrote kernels for the order "th" as `(filters, channels, rows, columns)`.
* A channels-first map that is flattened as it lies in memory has its channels outermost. So have the rows of the
  fully connected layer that reads it.

Reference: https://github.com/keras-team/keras/blob/2.2.4/keras/engine/saving.py, preprocess_weights_for_loading
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.reading import Checkpoint
from converters.reading.keras.configuration import LayerCall, LayerGraph, Result, by_name, read_graph
from converters.types import Shape

_ELEMENTWISE = {"Dropout", "Activation", "ReLU", "LeakyReLU", "Identity", "GaussianNoise", "GaussianDropout"}
_KEEPS_CHANNELS = _ELEMENTWISE | {
    *("MaxPooling2D", "AveragePooling2D", "BatchNormalization", "ZeroPadding2D", "SpatialDropout2D", "Cropping2D"),
    *("UpSampling2D", "Resizing", "Add", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
}


class MendedKernels(NamedTuple):
    """Arrays of a file in Keras's own order.

    Attributes:
        arrays: key -> array.
        shapes: key -> shape.
        notes: sentences for the receipt.
    """

    arrays: Mapping[str, np.ndarray]
    shapes: Mapping[str, Shape]
    notes: tuple[str, ...]


def mend_kernels(checkpoint: Checkpoint) -> MendedKernels:
    """The arrays of a checkpoint, with kernels as Keras 3 has them; other formats than Keras's are left as they are.

    Args:
        checkpoint: the file.
    Raises:
        ConversionError: a configuration that contradicts itself. An array whose order nothing tells raises when it is
            read.
    """
    if not checkpoint.format.startswith("Keras"):
        return MendedKernels(checkpoint, checkpoint.shapes, ())
    graph = read_graph(checkpoint.keras_config) if checkpoint.keras_config else None
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    notes: list[str] = []
    backend, shapes = checkpoint.extras.get("backend"), dict(checkpoint.shapes)
    kernels = [key for key in checkpoint if key.endswith("kernel") and len(shapes[key]) >= 4]
    if old := _old_order(checkpoint, graph, kernels):
        changes |= dict.fromkeys(old, _from_old if backend else _unknown_backend)
        shapes |= {key: tuple(shapes[key][axis] for axis in (2, 3, 1, 0)) for key in old}
        notes.append("kernels in the order of Keras 1 (filters, channels, rows, columns) were brought into today's")
    if backend == "theano" and kernels:
        changes |= {key: _after(changes.get(key), _turned) for key in kernels}
        notes.append(f"the file was written under Theano: {len(kernels)} kernels were turned by 180 degrees")
    flattened = channels_before_dense(graph) if graph else {}
    for key, shape in shapes.items():
        layer, _, variable = key.rpartition("/")
        if variable == "kernel" and len(shape) == 2 and (channels := flattened.get(layer.rpartition("/")[2])):
            if shape[0] % channels == 0:
                changes[key] = _channels_last(channels)
                notes.append(
                    f"{key} reads a flattened channels-first map: its rows were brought into channels-last order"
                )
        elif backend == "theano" and graph is None and variable == "kernel" and len(shape) == 2 and kernels:
            changes[key] = _unknown_rows(shapes[kernels[-1]][-1])
    if not changes:
        return MendedKernels(checkpoint, checkpoint.shapes, ())
    return MendedKernels(_MendedArrays(checkpoint, changes), shapes, tuple(notes))


def channels_before_dense(graph: LayerGraph) -> dict[str, int]:
    """Fully connected layer -> channels of the channels-first map that it reads flattened as it lies in memory.

    Args:
        graph: calls of the model's layers.
    """
    if graph.data_format != "channels_first":
        return {}
    channels: dict[str, int] = {}
    for name, calls in by_name(call for call in graph.calls if call.kind == "Dense").items():
        counts = {_channels(graph, call) for call in calls}
        if len(counts) == 1 and (count := counts.pop()):
            channels[name] = count
    return channels


def _channels(graph: LayerGraph, dense: LayerCall) -> int | None:
    call = _before(graph, dense, _ELEMENTWISE)
    if call is None or call.kind != "Flatten" or call.options.get("data_format") == "channels_first":
        return None
    call = _before(graph, call, _KEEPS_CHANNELS)
    filters = call.options.get("filters") if call is not None and call.kind in ("Conv2D", "Conv2DTranspose") else None
    return filters if type(filters) is int and filters > 0 else None


def _before(graph: LayerGraph, call: LayerCall | None, passed: set[str]) -> LayerCall | None:
    """The nearest call before this one that is of no class among those to be passed."""
    while call is not None and call.inputs:
        source: Result = call.inputs[0]
        call = graph.call(source) if source.which == 0 else None
        if call is None or call.kind not in passed or call.arguments:
            return call
    return None


def _old_order(checkpoint: Checkpoint, graph: LayerGraph | None, kernels: list[str]) -> list[str]:
    """The kernels of a whole model of Keras 1 that has the order "th"."""
    version = checkpoint.extras.get("keras_version")
    if graph is None or (isinstance(version, str) and not version.startswith(("0", "1"))):
        return []
    first = {call.name for call in graph.calls if call.options.get("data_format") == "channels_first"}
    return [key for key in kernels if key.rpartition("/")[0].rpartition("/")[2] in first]


def _from_old(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 1, 0)


def _unknown_backend(kernel: np.ndarray) -> np.ndarray:
    raise ConversionError(
        "its kernels have the order that Keras 1 had for Theano, which turns them by 180 degrees. The file does not "
        "say whether Theano wrote it. Load the model in the Keras and with the backend that wrote it, and "
        "save it with Keras 2: model.save('name.h5')."
    )


def _unknown_rows(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    def check(kernel: np.ndarray) -> np.ndarray:
        if kernel.shape[0] > channels and kernel.shape[0] % channels == 0:
            raise ConversionError(
                f"holds a fully connected layer of {kernel.shape[0]} rows, and was written under Theano. It has no "
                "configuration that says in which order the map before it was flattened. Load the weights into their "
                "model, and save the whole model: model.save('name.h5'); or leave the head out: include_top=False "
                "(--include_top=false)."
            )
        return kernel

    return check


def _turned(kernel: np.ndarray) -> np.ndarray:
    return kernel[(slice(None, None, -1),) * (kernel.ndim - 2)]


def _after(first: Callable[[np.ndarray], np.ndarray] | None, second: Callable[[np.ndarray], np.ndarray]):  # type: ignore[no-untyped-def]
    return second if first is None else lambda kernel: second(first(kernel))


def _channels_last(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    def reorder(kernel: np.ndarray) -> np.ndarray:
        rows, units = kernel.shape
        return kernel.reshape(channels, rows // channels, units).transpose(1, 0, 2).reshape(rows, units)

    return reorder


class _MendedArrays(Mapping[str, np.ndarray]):
    def __init__(self, checkpoint: Checkpoint, changes: Mapping[str, Callable[[np.ndarray], np.ndarray]]) -> None:
        self._checkpoint, self._changes = checkpoint, changes

    def __getitem__(self, key: str) -> np.ndarray:
        array = self._checkpoint[key]
        try:
            return self._changes[key](array) if key in self._changes else array
        except ConversionError as error:
            raise ConversionError(f"{self._checkpoint.path}: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._checkpoint)

    def __len__(self) -> int:
        return len(self._checkpoint)
