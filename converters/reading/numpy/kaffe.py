"""What caffe-tensorflow (kaffe) writes: a dictionary of layers in a .npy file, which is a pickle behind NumPy's header.

Since May 2016 a layer is a dictionary of named arrays, before that a list of weights and biases. The keys that come out
are `layer/name`. Blobs of Caffe's PSPNet may keep four axes, of which one is longer than 1: all but weights come flat.

Reference: https://github.com/ethereon/caffe-tensorflow: convert.py, kaffe/transformers.py, kaffe/tensorflow/network.py
"""

import dataclasses
import io
import re

from converters.errors import ConversionError
from converters.reading.numpy.npz import read_header
from converters.reading.pickle import machine, numpy_arrays
from converters.reading.pickle.numpy_arrays import Array
from converters.reading.tensors import Tensor

# An array of Python objects; Python 2 gave their size, too.
_HEAD = re.compile(rb"\x93NUMPY.{2,6}\{'descr': '\|O\d?'", re.DOTALL)
_LISTED = ("weights", "biases")


def recognizes(head: bytes) -> bool:
    return _HEAD.match(head) is not None


def load(data: memoryview) -> dict:
    """{"layer/name": Tensor}."""
    head = io.BytesIO(data[:65536])
    shape, _, _ = read_header(head, "it")
    saved, position = machine.load(data, head.tell(), constructors=_CONSTRUCTORS)
    if position != len(data):
        raise ConversionError(f"has {len(data) - position} bytes behind its pickle; the file is damaged.")
    layers = saved.content if isinstance(saved, _Array) else None
    if shape != () or not isinstance(layers, dict) or not layers:
        raise ConversionError(
            "is a NumPy array of Python objects. Expected what caffe-tensorflow writes, a dictionary of layers. Save "
            "other arrays by name: numpy.savez(path, **arrays)."
        )
    return {
        f"{_text(layer)}/{name}": _flat(name, array)
        for layer, parameters in layers.items()
        for name, array in _parameters(layer, parameters).items()
    }


class _Array(Array):
    """An array under construction. The one around the dictionary has no axes and a single object."""

    content = None

    def build(self, state):
        _version, shape, _dtype, _fortran, content = state
        if shape == () and isinstance(content, list) and len(content) == 1:
            self.content = content[0]
        super().build(state)


_CONSTRUCTORS = numpy_arrays.CONSTRUCTORS | {
    (f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: _Array() for core in ("core", "_core")
}


def _parameters(layer, parameters):
    """{name: tensor} of one layer, of either form."""
    if isinstance(parameters, list | tuple) and 1 <= len(parameters) <= len(_LISTED):
        parameters = dict(zip(_LISTED, parameters, strict=False))
    if not isinstance(parameters, dict) or not all(isinstance(array, Array) for array in parameters.values()):
        raise ConversionError(
            f"the layer {layer!a} is none of caffe-tensorflow's: expected {{name: array}}, or the older list of "
            f"weights and biases. Received: {_described(parameters)}."
        )
    return {_text(name): array.tensor for name, array in parameters.items()}


def _described(parameters):
    if isinstance(parameters, dict):
        return "a dictionary with " + ", ".join(f"{key!a}: {_kind(one)}" for key, one in parameters.items())[:200]
    if isinstance(parameters, list | tuple):
        return f"a list of {len(parameters)} ({', '.join(map(_kind, parameters[:5]))})"
    return _kind(parameters)


def _kind(value):
    return "array" if isinstance(value, Array) else type(value).__name__


def _text(name):
    """A name as text, which Python 2 wrote as bytes."""
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if not isinstance(name, str):
        raise ConversionError(f"a layer or an array in it has a name that is no text. Received: {type(name).__name__}.")
    return name


def _flat(name, tensor):
    if name == "weights" or not isinstance(tensor, Tensor) or sum(size != 1 for size in tensor.shape) != 1:
        return tensor
    return dataclasses.replace(tensor, shape=(max(tensor.shape),), strides=None)
