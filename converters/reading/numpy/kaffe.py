"""What caffe-tensorflow (kaffe) writes: a dictionary of layers in a .npy file, a pickle after NumPy's header.

Since May 2016 a layer is a dictionary of named arrays; before, it was a list of weights and biases. The keys here are
`layer/name`. Blobs of Caffe's PSPNet may keep four axes, of which one is longer than 1: only weights keep them here.

Reference: https://github.com/ethereon/caffe-tensorflow: convert.py, kaffe/transformers.py, kaffe/tensorflow/network.py
"""

import dataclasses
import io
import re
from typing import Any

from converters.errors import ConversionError
from converters.reading.numpy.npz import read_header
from converters.reading.pickle import machine, numpy_arrays
from converters.reading.pickle.numpy_arrays import PickledArray
from converters.reading.tensors import AnyTensor, Tensor

# Header of an array of Python objects; Python 2 stated their size, too.
_HEAD = re.compile(rb"\x93NUMPY.{2,6}\{'descr': '\|O\d?'", re.DOTALL)
_LISTED = ("weights", "biases")


def recognizes(head: bytes) -> bool:
    """Whether a file begins as NumPy's array of Python objects."""
    return _HEAD.match(head) is not None


def load(data: memoryview) -> dict[str, AnyTensor]:
    """The tensors by "layer/name".

    Args:
        data: bytes of the file.
    Raises: ConversionError for a damaged file, and for another array of Python objects.
    """
    head = io.BytesIO(data[:65536])
    shape, _, _ = read_header(head, "it")
    saved, position = machine.load(data, head.tell(), constructors=_CONSTRUCTORS)
    if position != len(data):
        raise ConversionError(f"has {len(data) - position} bytes after its pickle; the file is damaged.")
    layers = saved.content if isinstance(saved, _PickledArray) else None
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


class _PickledArray(PickledArray):
    """An array under construction. The one around the dictionary has no axes and a single object."""

    content: object = None

    def build(self, state: Any) -> None:
        """Fills the array, or takes its single object."""
        _version, shape, _dtype, _fortran, content = state
        if shape == () and isinstance(content, list) and len(content) == 1:
            self.content = content[0]
        super().build(state)


_CONSTRUCTORS = {
    **numpy_arrays.CONSTRUCTORS,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: _PickledArray() for core in ("core", "_core")},
}


def _parameters(layer: object, parameters: object) -> dict[str, AnyTensor]:
    """The tensors of one layer, in either form, by name."""
    if isinstance(parameters, list | tuple) and 1 <= len(parameters) <= len(_LISTED):
        parameters = dict(zip(_LISTED, parameters, strict=False))
    if not isinstance(parameters, dict) or not all(isinstance(array, PickledArray) for array in parameters.values()):
        raise ConversionError(
            f"the layer {layer!a} is not one of caffe-tensorflow's: expected {{name: array}}, or the older list of "
            f"weights and biases. Received: {_described(parameters)}."
        )
    return {_text(name): array.tensor for name, array in parameters.items()}


def _described(parameters: object) -> str:
    if isinstance(parameters, dict):
        return "a dictionary with " + ", ".join(f"{key!a}: {_kind(value)}" for key, value in parameters.items())[:200]
    if isinstance(parameters, list | tuple):
        return f"a list of {len(parameters)} ({', '.join(map(_kind, parameters[:5]))})"
    return _kind(parameters)


def _kind(value: object) -> str:
    return "array" if isinstance(value, PickledArray) else type(value).__name__


def _text(name: object) -> str:
    """A name as text; Python 2 wrote bytes."""
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if not isinstance(name, str):
        raise ConversionError(f"a layer or array has a name that is not text. Received: {type(name).__name__}.")
    return name


def _flat(name: str, tensor: AnyTensor) -> AnyTensor:
    if name == "weights" or not isinstance(tensor, Tensor) or sum(size != 1 for size in tensor.shape) != 1:
        return tensor
    return dataclasses.replace(tensor, shape=(max(tensor.shape),), strides=None)
