"""Keras variables and NumPy arrays on the same memory: a large model is never held twice.

Under TensorFlow, arrays pass through DLPack. With other backends Keras copies, which is as correct, and slower.
TensorFlow aborts the process on memory that is not aligned to 64 bytes, hence `empty`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing

from converters.types import Shape

if TYPE_CHECKING:
    import keras

_ALIGNMENT = 64


def empty(shape: Shape, dtype: np.typing.DTypeLike) -> np.ndarray:
    """An uninitialized array whose memory TensorFlow can use as it is."""
    return _aligned(np.empty, shape, dtype)


def lazy_zeros(shape: Shape, dtype: str | None = None) -> Any:
    """A tensor of zeros that takes no memory until it is written, as an initializer for what is filled afterwards."""
    return _tensor(_aligned(np.zeros, shape, dtype or "float32"))


def assign(variable: "keras.Variable", array: np.ndarray) -> None:
    """Gives a variable an array that nothing else refers to: the variable may keep its memory."""
    variable.assign(_tensor(array))


def view(variable: "keras.Variable") -> np.ndarray:
    """A variable's values, read-only, without a copy where the backend and the type allow."""
    import keras

    if keras.backend.backend() == "tensorflow" and variable.dtype != "bfloat16":
        return np.from_dlpack(variable.value.read_value())
    return keras.ops.convert_to_numpy(variable)


@contextlib.contextmanager
def saved_without_copies(model: "keras.Model") -> Iterator[None]:
    """Inside, Keras's own saving gets views of the layers' variables; by itself it copies each of them twice."""
    layers = [layer for layer in model.layers if layer.weights]

    def save_into(store: dict[str, Any], layer: "keras.Layer") -> None:
        for index, variable in enumerate(layer.weights):
            store[str(index)] = _UncopiedArray(view(variable))

    try:
        for layer in layers:
            layer.save_own_variables = lambda store, layer=layer: save_into(store, layer)
        yield
    finally:
        for layer in layers:
            with contextlib.suppress(AttributeError):
                del layer.save_own_variables


class _UncopiedArray:
    """An array that `np.array` does not copy: Keras calls that on everything it saves."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self.array


def _aligned(make: Callable[..., np.ndarray], shape: Shape, dtype: np.typing.DTypeLike) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = make(size + _ALIGNMENT, "u1")
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def _tensor(array: np.ndarray) -> Any:
    import keras

    if keras.backend.backend() != "tensorflow" or array.ctypes.data % _ALIGNMENT or not array.flags.writeable:
        return array
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
