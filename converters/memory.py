"""Keras variables and NumPy arrays on the same memory: a large model is never held twice.

Under TensorFlow, arrays pass through DLPack; elsewhere Keras copies, which is as right, and dearer. TensorFlow aborts
the process on memory that is not aligned to 64 bytes, hence `empty`.
"""

import contextlib

import numpy as np

_ALIGNMENT = 64


def empty(shape, dtype):
    """An uninitialised array whose memory TensorFlow can use as it is."""
    return _aligned(np.empty, shape, dtype)


def lazy_zeros(shape, dtype=None):
    """A tensor of zeros that takes no memory until it is written, as an initializer for what is filled afterwards."""
    return _tensor(_aligned(np.zeros, shape, dtype or "float32"))


def assign(variable, array):
    """Gives a variable an array that nobody else holds: the variable may keep the memory as its own."""
    variable.assign(_tensor(array))


def view(variable):
    """A variable's values, read-only, without a copy where the backend and the type allow."""
    import keras

    if keras.backend.backend() == "tensorflow" and variable.dtype != "bfloat16":
        return np.from_dlpack(variable.value.read_value())
    return keras.ops.convert_to_numpy(variable)


@contextlib.contextmanager
def saved_without_copies(model):
    """Inside, Keras's own saving gets views of the layers' variables; by itself it copies each of them twice."""
    layers = [layer for layer in model.layers if layer.weights]

    def save_into(store, layer):
        for index, variable in enumerate(layer.weights):
            store[str(index)] = _AsItIs(view(variable))

    try:
        for layer in layers:
            layer.save_own_variables = lambda store, layer=layer: save_into(store, layer)
        yield
    finally:
        for layer in layers:
            with contextlib.suppress(AttributeError):
                del layer.save_own_variables


class _AsItIs:
    """An array that `np.array`, which Keras calls on everything it saves, takes over without copying it."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def _aligned(make, shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = make(size + _ALIGNMENT, "u1")
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def _tensor(array):
    import keras

    if keras.backend.backend() != "tensorflow" or array.ctypes.data % _ALIGNMENT or not array.flags.writeable:
        return array
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
