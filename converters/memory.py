"""Keras variables and NumPy arrays on the same memory: a large model is never held twice.

Under TensorFlow, arrays pass through DLPack; variables of Keras's NumPy backend are arrays. With other backends Keras
copies, which is as correct, and slower.
TensorFlow aborts the process on memory that is not aligned to 64 bytes, hence `empty`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing

from converters.types import Shape
from tfseg.variable_views import view

if TYPE_CHECKING:
    import keras

_ALIGNMENT = 64


def empty(shape: Shape, dtype: np.typing.DTypeLike) -> np.ndarray:
    """An uninitialized array whose memory TensorFlow can use as it is."""
    return _aligned(np.empty, shape, dtype)


def lazy_zeros(shape: Shape, dtype: str | None = None) -> Any:
    """A tensor of zeros that takes no memory until it is written, as an initializer for what is filled afterwards."""
    array = _aligned(np.zeros, shape, dtype or "float32")
    return _UncopiedArray(array) if _backend() == "numpy" else _tensor(array)


def assign(variable: "keras.Variable", array: np.ndarray) -> None:
    """Gives a variable an array that nothing else refers to: the variable may keep its memory."""
    if _backend() == "numpy" and tuple(variable.shape) == array.shape and variable.dtype == array.dtype.name:
        variable._direct_assign(_UncopiedArray(array))  # `assign` would copy it twice
    else:
        variable.assign(_tensor(array))


@contextlib.contextmanager
def saved_without_copies(model: "keras.Model") -> Iterator[None]:
    """Inside, Keras's own saving gets views of the layers' variables; by itself it copies each of them twice."""
    import keras

    layers = [layer for layer in model.layers if layer.weights]

    def save_into(store: dict[str, Any], save: Callable[[dict[str, Any]], None]) -> None:
        variables: dict[str, Any] = {}  # without those of layers in the layer, which Keras saves by themselves
        save(variables)
        for key, value in variables.items():
            store[key] = _UncopiedArray(view(value)) if isinstance(value, keras.Variable) else value

    try:
        for layer in layers:
            save = layer.save_own_variables
            layer.save_own_variables = lambda store, save=save: save_into(store, save)
        yield
    finally:
        for layer in layers:
            with contextlib.suppress(AttributeError):
                del layer.save_own_variables


class _UncopiedArray:
    """An array that `np.array` does not copy: Keras calls that on everything it saves."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.dtype = array.dtype

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self.array


def _aligned(make: Callable[..., np.ndarray], shape: Shape, dtype: np.typing.DTypeLike) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = make(size + _ALIGNMENT, "u1")
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def _backend() -> str:
    import keras

    return keras.backend.backend()


def _tensor(array: np.ndarray) -> Any:
    if _backend() != "tensorflow" or array.ctypes.data % _ALIGNMENT or not array.flags.writeable:
        return array
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
